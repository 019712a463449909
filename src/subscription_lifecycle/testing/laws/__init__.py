"""What must hold after every step, for any lifecycle: sixteen laws, and how to write your own.

A law is a function of a Step that raises AssertionError. `lifecycle_machine` asks every law after every step; most look
at the whole history so far, so nothing that went wrong is forgotten.
"""

from subscription_lifecycle.testing.law import Law, law
from subscription_lifecycle.testing.laws.money import debts_stay, money_adds_up, service_is_paid
from subscription_lifecycle.testing.laws.record import (
    answers_agree,
    final_is_final,
    history_is_the_truth,
    roles_are_respected,
    time_is_honest,
)
from subscription_lifecycle.testing.laws.refunds import there_and_back, unserved_days_come_back
from subscription_lifecycle.testing.laws.time import (
    dates_are_scheduled,
    due_rows_progress,
    periods_tile,
    promises_hold,
    service_is_covered,
    sweeps_do_not_matter,
)
from subscription_lifecycle.testing.step import Step

ALL = (
    final_is_final,
    history_is_the_truth,
    answers_agree,
    periods_tile,
    dates_are_scheduled,
    money_adds_up,
    debts_stay,
    service_is_covered,
    service_is_paid,
    unserved_days_come_back,
    there_and_back,
    sweeps_do_not_matter,
    due_rows_progress,
    promises_hold,
    roles_are_respected,
    time_is_honest,
)
"""The sixteen, in the order of the guide."""

__all__ = [
    "ALL",
    "Law",
    "Step",
    "answers_agree",
    "dates_are_scheduled",
    "debts_stay",
    "due_rows_progress",
    "final_is_final",
    "history_is_the_truth",
    "law",
    "money_adds_up",
    "periods_tile",
    "promises_hold",
    "roles_are_respected",
    "service_is_covered",
    "service_is_paid",
    "sweeps_do_not_matter",
    "there_and_back",
    "time_is_honest",
    "unserved_days_come_back",
]
