"""Money that moves again, lived through, and ways to break what follows: chargebacks, late and wrong sums, refunds."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.laws.life import CARD, SUPPORT, Life

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    PAST_DUE,
    STANDARD,
    Cancel,
    Disable,
    Lifecycle,
    Money,
    PayArrears,
    Reactivate,
)
from subscription_lifecycle.engine import capturing, late, refunds, reports
from subscription_lifecycle.model.command import FailPayment, SettlePayment
from subscription_lifecycle.ports import (
    Captured,
    ChargebackReversed,
    ChargedBack,
    Declined,
    PaymentOutcome,
    RefundFailed,
)
from subscription_lifecycle.standard import arrears, owe_what_was_paid
from subscription_lifecycle.standard.commands import Refund

Patch = pytest.MonkeyPatch
SEVEN = Money(7, "EUR")


def hears(life: Life, reference: str, outcome: PaymentOutcome) -> None:
    """The gateway knows it, and says so."""
    machine = life.machine
    before, moved = machine._stored(), machine._moved()
    if isinstance(outcome, ChargedBack | ChargebackReversed):
        machine.customers_only = False
    if not isinstance(outcome, RefundFailed):
        life.gateway.report(reference, outcome)
    machine.subs.report_payment(reference, outcome)
    machine._check(f"report {outcome}", before, moved=moved)


def first(life: Life) -> str:
    return life.gateway.captures[0].reference


def waits(life: Life) -> str:
    """Expired, and the payment for coming back has to be approved."""
    life.start(recurring_billing=False)
    life.later(31)
    life.gateway.require_action_next()
    life.give(Reactivate(CARD))
    return life.gateway.requests[-1].reference


# -- what is lived through


def is_paid_late(life: Life) -> None:
    """Given up after a day, captured after three: nobody owes anything."""
    reference = waits(life)
    life.later(3)
    hears(life, reference, Captured("ch", life.clock()))


def pays_twice_late(life: Life) -> None:
    """Two declined payments come after all: the first for one period, the second for two, of which one is owed."""
    life.start()
    life.declining(2)
    life.later(29)
    hears(life, first(life), ChargedBack("dp"))
    life.give(PayArrears(CARD.card("tok_2", country="NL")))
    life.gateway.forget()
    declined = [reference for reference, outcome in life.gateway.ledger.items() if isinstance(outcome, Declined)]
    for reference in (declined[0], declined[-1]):
        hears(life, reference, Captured("ch", life.clock()))


def pays_another_amount(life: Life) -> None:
    """Parked, until support blocks service and the sum goes back."""
    life.start(recurring_billing=False)
    life.later(31)
    life.gateway.take_next(SEVEN)
    life.give(Reactivate(CARD))
    life.give(Disable(), by=SUPPORT)
    life.sweep()


def is_charged_back(life: Life) -> None:
    """And pays again."""
    life.start()
    hears(life, first(life), ChargedBack("dp"))
    life.give(PayArrears(CARD.card("tok_2", country="NL")))


def wins_it_back(life: Life) -> None:
    """What the bank took, it gives back."""
    life.start()
    hears(life, first(life), ChargedBack("dp"))
    hears(life, first(life), ChargebackReversed("dp"))


def pays_and_wins_it_back(life: Life) -> None:
    is_charged_back(life)
    hears(life, first(life), ChargebackReversed("dp"))


def is_charged_back_before_the_refund(life: Life) -> None:
    """The gateway takes no refund on until the bank has taken all of it."""
    life.start()
    life.later(9)
    life.gateway.refuse_refunds()
    life.give(Cancel("now", "prorated"))
    hears(life, first(life), ChargedBack("dp"))
    life.gateway.refuse_refunds(None)
    life.sweep()


def waits_for_a_refund(life: Life) -> None:
    """One that was made, and did not arrive."""
    life.start()
    life.give(Refund(first(life)), by=SUPPORT)
    hears(life, first(life), life.gateway.fail_refund(first(life)))
    life.sweep()


# -- late and wrong sums


def late_money_goes_nowhere(patch: Patch) -> None:
    right = late.record

    def record(lifecycle: Any, before: Any, event: Any, command: Any, now: Any, changes: Any, *more: Any) -> Any:
        return right(lifecycle, before, event, command, now, {}, *more)

    patch.setattr(late, "record", record)


def late_money_is_noted(patch: Patch) -> None:
    """As if it settled something, and nothing is said of where it goes."""

    def came_late(lifecycle: Any, stored: Any, payment: Any, now: Any, **_: Any) -> Any:
        result = yield from reports._noted(lifecycle, stored, "settled", payment, now, {})
        return result.subscription, result.entries

    patch.setattr(reports, "came_late", came_late)


def late_money_is_not_heard(patch: Patch) -> None:
    def came_late(lifecycle: Any, stored: Any, *_: Any, **__: Any) -> Any:
        yield from ()
        return stored.subscription, ()

    patch.setattr(reports, "came_late", came_late)


def the_rest_is_kept() -> Lifecycle:
    return STANDARD.replace(SettlePayment, PAST_DUE, case="restores", effects=[])


def any_amount_will_do(patch: Patch) -> None:
    patch.setattr(capturing, "_mismatched", lambda attempt, outcome, code: None)


def a_wrong_sum_is_kept(patch: Patch) -> None:
    right = capturing.RefundDue

    def nothing(reference: str, amount: Money, reason: str) -> Any:
        return right(reference, Money.zero(amount.currency), reason)

    patch.setattr(capturing, "RefundDue", nothing)


# -- chargebacks


def nobody_owes_what_was_charged_back(patch: Patch) -> None:
    patch.setattr(reports, "_owing", lambda *_: None)


def a_part_of_it_is_owed() -> Lifecycle:
    def part(context: Any) -> Any:
        changes = owe_what_was_paid(context)
        return {**changes, "arrears": tuple(attrs.evolve(debt, amount=SEVEN) for debt in changes["arrears"])}

    return STANDARD.replace(FailPayment, ACTIVE, case="owes", effects=[part])


def debts_are_charged_twice() -> Lifecycle:
    return STANDARD.replace(PayArrears, PAST_DUE, charge=(arrears, arrears))


def what_a_bank_took_goes_back_too() -> Lifecycle:
    def keeps_the_refund(context: Any) -> Any:
        changes = owe_what_was_paid(context)
        return {name: change for name, change in changes.items() if name != "refunds"}

    return STANDARD.replace(FailPayment, CANCELLED, effects=[keeps_the_refund])


def what_a_bank_gave_back_is_kept(patch: Patch) -> None:
    patch.setattr(reports, "_cost_the_customer", lambda lost, payment: Money.zero(payment.amount.currency))


# -- refunds that failed


def a_failed_refund_is_forgotten(patch: Patch) -> None:
    def failed_refund(lifecycle: Any, stored: Any, *_: Any) -> Any:
        yield from ()
        return stored.subscription, ()

    patch.setattr(reports, "failed_refund", failed_refund)


def a_failed_refund_is_doubled(patch: Patch) -> None:
    right = refunds.record

    def record(lifecycle: Any, before: Any, event: Any, command: Any, now: Any, changes: Any, *more: Any) -> Any:
        if event == "refund_failed":
            changes = {"refunds": changes["refunds"] * 2}
        return right(lifecycle, before, event, command, now, changes, *more)

    patch.setattr(refunds, "record", record)
