"""Each law is broken on purpose and seen to fail: a law that nothing can break says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import pytest
from tests.laws import broken, broken_money, broken_pauses, broken_refunds
from tests.laws.life import ALICE, CARD, NOBODY, SUPPORT, TRIAL, Life

from subscription_lifecycle import (
    STANDARD,
    Cancel,
    ChangePaymentMethod,
    Delete,
    Disable,
    Enable,
    Lifecycle,
    PayArrears,
    Reactivate,
    SetRecurringBilling,
)
from subscription_lifecycle.testing import laws
from subscription_lifecycle.testing.laws import Law

Scenario = Callable[[Life], None]


# -- what is lived through; the unbroken library keeps every law in each of them


def ends_and_comes_back(life: Life) -> None:
    life.start()
    life.give(Delete(), Reactivate(CARD))


def is_renewed(life: Life) -> None:
    life.start()
    for _ in range(4):
        life.later(31)


def is_declined(life: Life) -> None:
    """The renewal, then a payment that the customer makes; and one that is refused."""
    life.start()
    life.declining(2)
    life.later(29)
    life.give(PayArrears(CARD.card("tok_2", country="NL")))
    life.give(Disable(), by=ALICE)
    life.give(PayArrears(CARD))


def expires(life: Life) -> None:
    """Far away from UTC."""
    life.start(time_zone="America/Los_Angeles", recurring_billing=False)
    life.later(29.5)
    life.later(10)


def expires_unwatched(life: Life) -> None:
    life.start(recurring_billing=False)
    life.later(400)


def lapses_and_comes_back(life: Life) -> None:
    life.start(recurring_billing=False)
    life.daily(35)
    life.give(Reactivate(CARD))


def cancels_and_comes_back(life: Life) -> None:
    life.start()
    life.later(9)
    life.give(Cancel("now", "prorated"), Reactivate(CARD))


def comes_and_goes(life: Life) -> None:
    """The hostile customer: cancelled at night, back in the morning, refunds always, for months."""
    life.start()
    for _ in range(4):
        life.later(3)
        life.give(Cancel("now", "prorated"), Reactivate(CARD))
        life.later(26)


def never_pays(life: Life) -> None:
    """The hostile customer with a dead card."""
    life.start()
    life.declining(30)
    life.later(29)
    life.daily(10)
    life.give(ChangePaymentMethod(CARD))
    life.daily(30)
    life.give(Reactivate(CARD))


def is_blocked(life: Life) -> None:
    life.start()
    life.later(9)
    life.give(Disable(), by=SUPPORT)
    life.give(Enable(), by=ALICE)
    life.give(Enable(), by=SUPPORT)


def is_refused(life: Life) -> None:
    life.start()
    life.give(SetRecurringBilling(False), by=NOBODY)
    life.give(SetRecurringBilling(False), by=SUPPORT)
    life.give(SetRecurringBilling(True))
    life.give(SetRecurringBilling(True), by=broken.CLOCK)


def times_out(life: Life) -> None:
    life.start(plan=TRIAL)
    for charged in (False, True):
        life.gateway.time_out_next(charged=charged)
        life.later(14 + 31 * charged)
        life.sweep()


def dies_paying(life: Life) -> None:
    """After each of the effects of a payment, once."""
    life.start(recurring_billing=False)
    for effect in range(7):
        life.later(31)
        life.dies_at(effect, Reactivate(CARD))
        life.sweep()


def clocks_differ(life: Life) -> None:
    life.start()
    life.later(5)
    life.give(SetRecurringBilling(False))
    life.later(-0.1, sweep=False)
    life.give(SetRecurringBilling(True))


SCENARIOS: tuple[Scenario, ...] = (
    ends_and_comes_back, is_renewed, is_declined, expires, expires_unwatched, lapses_and_comes_back,
    cancels_and_comes_back, comes_and_goes, never_pays, is_blocked, is_refused, times_out, dies_paying, clocks_differ,
    broken_refunds.leaves_with_an_open_invoice, broken_refunds.is_given_all_back, broken_refunds.pauses_until_it_leaves,
)  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_library_as_it_is_keeps_every_law(scenario: Scenario) -> None:
    scenario(Life())


# -- what is broken: a table of other rows, or a part of the library that does something else

Break = Lifecycle | Callable[[pytest.MonkeyPatch], Lifecycle | None]


@attrs.frozen
class Broken:
    law: Law
    scenario: Scenario
    by: Break


BREAKS: Mapping[str, Broken] = {
    "a row leads out of a final state": Broken(
        laws.final_is_final, ends_and_comes_back, broken.a_row_out_of_a_final_state
    ),
    # history_is_the_truth
    "entries leave out a field": Broken(laws.history_is_the_truth, is_renewed, broken.entries_leave_out_a_field),
    "a decline changes the payment method": Broken(
        laws.history_is_the_truth, is_declined, broken.a_decline_changes_the_method
    ),
    "a refusal is written": Broken(laws.history_is_the_truth, is_refused, broken.a_refusal_is_written),
    "a moody price": Broken(laws.history_is_the_truth, is_renewed, broken.a_moody_price()),
    "a moody deadline": Broken(laws.history_is_the_truth, is_renewed, broken.a_moody_deadline()),
    # answers_agree
    "explain knows no refusal": Broken(laws.answers_agree, is_blocked, broken.explain_forgets),
    "a preview forgets the price": Broken(laws.answers_agree, cancels_and_comes_back, broken.a_preview_for_nothing),
    "a guard answers differently each time": Broken(laws.answers_agree, is_refused, broken.a_moody_guard()),
    "what is offered is refused": Broken(laws.answers_agree, is_refused, broken.actions_offer_everything),
    "what is not offered succeeds": Broken(laws.answers_agree, is_refused, broken.actions_offer_nothing),
    # periods_tile
    "periods overlap": Broken(laws.periods_tile, is_renewed, broken.renewed_by(broken.a_day_early)),
    "a month between periods": Broken(laws.periods_tile, is_renewed, broken.renewed_by(broken.a_period_late)),
    # dates_are_scheduled
    "the anchor drifts": Broken(laws.dates_are_scheduled, is_renewed, broken.renewed_by(broken.from_the_last_date)),
    "thirty days for a month": Broken(laws.dates_are_scheduled, is_renewed, broken.renewed_by(broken.thirty_days)),
    # money_adds_up
    "money before intent": Broken(laws.money_adds_up, dies_paying, broken.captures_before_it_reserves),
    "another reference each time": Broken(laws.money_adds_up, times_out, broken.another_reference_each_time),
    "a refund is paid twice": Broken(laws.money_adds_up, cancels_and_comes_back, broken.refunded_twice()),
    "a refund is lost": Broken(laws.money_adds_up, cancels_and_comes_back, broken.refunds_are_only_confirmed),
    "a period is charged twice": Broken(laws.money_adds_up, is_renewed, broken.charged_twice()),
    "credit is never used up": Broken(laws.money_adds_up, broken.has_credit, broken.credit_stays),
    "late money goes nowhere": Broken(
        laws.money_adds_up, broken_money.is_paid_late, broken_money.late_money_goes_nowhere
    ),
    "late money is noted and kept": Broken(
        laws.money_adds_up, broken_money.is_paid_late, broken_money.late_money_is_noted
    ),
    "late money is not heard of": Broken(
        laws.money_adds_up, broken_money.is_paid_late, broken_money.late_money_is_not_heard
    ),
    "what late money leaves is kept": Broken(
        laws.money_adds_up, broken_money.pays_twice_late, broken_money.the_rest_is_kept()
    ),
    "any amount will do": Broken(
        laws.money_adds_up, broken_money.pays_another_amount, broken_money.any_amount_will_do
    ),
    "a wrong sum is kept": Broken(
        laws.money_adds_up, broken_money.pays_another_amount, broken_money.a_wrong_sum_is_kept
    ),
    "debts are charged twice": Broken(
        laws.money_adds_up, broken_money.is_charged_back, broken_money.debts_are_charged_twice()
    ),
    "what a bank gave back is kept": Broken(
        laws.money_adds_up, broken_money.pays_and_wins_it_back, broken_money.what_a_bank_gave_back_is_kept
    ),
    "what a bank gave back pays nothing": Broken(
        laws.money_adds_up, broken_money.wins_it_back, broken_money.what_a_bank_gave_back_is_kept
    ),
    "a failed refund is forgotten": Broken(
        laws.money_adds_up, broken_money.waits_for_a_refund, broken_money.a_failed_refund_is_forgotten
    ),
    "a failed refund is doubled": Broken(
        laws.money_adds_up, broken_money.waits_for_a_refund, broken_money.a_failed_refund_is_doubled
    ),
    # debts_stay
    "a chargeback is owed by nobody": Broken(
        laws.debts_stay, broken_money.is_charged_back, broken_money.nobody_owes_what_was_charged_back
    ),
    "a chargeback is owed in part": Broken(
        laws.debts_stay, broken_money.is_charged_back, broken_money.a_part_of_it_is_owed()
    ),
    "what a bank took goes back too": Broken(
        laws.debts_stay,
        broken_money.is_charged_back_before_the_refund,
        broken_money.what_a_bank_took_goes_back_too(),
    ),
    "an effect drops a debt": Broken(laws.debts_stay, never_pays, broken.another_card_forgets_debts()),
    "a debt is settled for nothing": Broken(laws.debts_stay, is_declined, broken.paid_for_nothing()),
    "a declined period is owed by nobody": Broken(laws.debts_stay, is_declined, broken.declines_owe_nothing),
    # service_is_covered
    "the date moves and nothing is billed": Broken(
        laws.service_is_covered, is_renewed, broken.renewed_by(broken.without_a_bill)
    ),
    "expired for ever": Broken(laws.service_is_covered, expires, broken.expired_for_ever()),
    "billed without access": Broken(laws.service_is_covered, broken.stays_cancelled, broken.billed_while_cancelled()),
    "a pause loses paid days": Broken(
        laws.service_is_covered, broken_pauses.pauses_and_comes_back, broken_pauses.loses_paid_days()
    ),
    "a pause gives days": Broken(
        laws.service_is_covered, broken_pauses.pauses_and_comes_back, broken_pauses.gives_days()
    ),
    "the clock bills while paused": Broken(
        laws.service_is_covered, broken_pauses.pauses_for_long, broken_pauses.bills_while_paused()
    ),
    # service_is_paid
    "paused as often as one likes": Broken(
        laws.service_is_paid, broken_pauses.pauses_every_night, broken_pauses.as_often_as_one_likes()
    ),
    "a pause is credited whole": Broken(
        laws.service_is_paid, broken_pauses.pauses_and_comes_back, broken_pauses.credits_it_all()
    ),
    "what was refunded comes back for free": Broken(laws.service_is_paid, comes_and_goes, broken.back_for_free()),
    "unpaid periods are not owed": Broken(laws.service_is_paid, never_pays, broken.declines_owe_nothing),
    "all money back": Broken(laws.service_is_paid, broken.wants_all_back, broken.refunds_without_question()),
    # unserved_days_come_back
    "half of it goes back": Broken(
        laws.unserved_days_come_back, broken_refunds.leaves, broken_refunds.gives_half()
    ),
    "a day is kept": Broken(
        laws.unserved_days_come_back, broken_refunds.leaves, broken_refunds.refunds_from_tomorrow_on()
    ),
    "the days of a pause are kept": Broken(
        laws.unserved_days_come_back,
        broken_refunds.leaves_while_paused,
        broken_refunds.forgets_the_days_of_the_pause(),
    ),
    "days that moved are not paid any more": Broken(
        laws.unserved_days_come_back,
        broken_refunds.pauses_and_leaves,
        broken_refunds.days_move_and_are_not_paid_any_more(),
    ),
    "a pause gives no credit": Broken(
        laws.unserved_days_come_back, broken_pauses.pauses_and_comes_back, broken_refunds.pauses_give_no_credit()
    ),
    "a block gives no credit": Broken(
        laws.unserved_days_come_back, broken.has_credit, broken_refunds.blocks_give_no_credit()
    ),
    "coming back costs more than went back": Broken(
        laws.unserved_days_come_back, broken_refunds.leaves_for_days, broken_refunds.asks_for_the_whole_again()
    ),
    "an invoice that was paid counts for half": Broken(
        laws.unserved_days_come_back,
        broken_refunds.pays_an_invoice_and_leaves,
        broken_refunds.half_an_invoice_counts(),
    ),
    "a debt takes away what is being paid": Broken(
        laws.unserved_days_come_back,
        broken_refunds.pays_while_a_bank_takes_back,
        broken_refunds.forgets_what_was_just_paid(),
    ),
    # there_and_back
    "coming back begins a new term": Broken(laws.there_and_back, cancels_and_comes_back, broken.back_to_a_new_term()),
    "coming back costs it all": Broken(laws.there_and_back, cancels_and_comes_back, broken.back_at_full_price()),
    "a block costs the paid days": Broken(laws.there_and_back, is_blocked, broken.blocks_take_paid_days()),
    "an hour of pause moves the date": Broken(
        laws.there_and_back, broken_pauses.pauses_for_an_hour, broken_pauses.gives_days()
    ),
    # sweeps_do_not_matter
    "windows from the sweep": Broken(laws.sweeps_do_not_matter, expires_unwatched, broken.windows_from_the_sweep()),
    "dates from the sweep": Broken(laws.sweeps_do_not_matter, broken.ends_quietly, broken.dates_from_the_sweep()),
    # due_rows_progress
    "a row that is always due": Broken(laws.due_rows_progress, is_renewed, broken.always_due()),
    "many rows in one instant": Broken(laws.due_rows_progress, is_renewed, broken.often_due),
    # promises_hold
    "the clock shortens a deadline": Broken(laws.promises_hold, never_pays, broken.deadlines_shrink()),
    "a deletion that nobody announced": Broken(laws.promises_hold, expires_unwatched, broken.windows_from_the_event()),
    "a deletion before its time": Broken(laws.promises_hold, broken.is_lapsed, broken.deleted_early()),
    "a pause never ends": Broken(laws.promises_hold, broken_pauses.pauses_for_long, broken_pauses.never_ends()),
    # roles_are_respected
    "reactivating switches recurring billing on": Broken(
        laws.roles_are_respected, lapses_and_comes_back, broken.reactivation_renews()
    ),
    "a customer lifts the block": Broken(laws.roles_are_respected, is_blocked, broken.anyone_enables()),
    "more roles, more refusals": Broken(laws.roles_are_respected, is_refused, broken.support_may_not()),
    "without a role": Broken(laws.roles_are_respected, is_refused, broken.anyone_switches()),
    "the clock does what it likes": Broken(laws.roles_are_respected, is_refused, broken.the_clock_switches()),
    # time_is_honest
    "recorded by a wandering clock": Broken(laws.time_is_honest, clocks_differ, broken.clocks_are_believed),
    "what is recorded holds later": Broken(laws.time_is_honest, is_blocked, broken.entries_hold_tomorrow),
    "days begin in Greenwich": Broken(laws.time_is_honest, broken.lives_far_away, broken.due_in_greenwich),
    "payments by the gateway's name": Broken(laws.time_is_honest, is_renewed, broken.another_reference_each_time),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_law_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = BREAKS[name]
    lifecycle = found.by if isinstance(found.by, Lifecycle) else found.by(monkeypatch) or STANDARD
    with pytest.raises(AssertionError) as caught:
        found.scenario(Life(lifecycle, [found.law]))
    assert f"The law: {found.law.sentence}." in caught.value.__notes__


@pytest.mark.parametrize("scenario", sorted({found.scenario for found in BREAKS.values()}, key=lambda s: s.__name__))
def test_the_law_holds_where_nothing_is_broken(scenario: Scenario) -> None:
    scenario(Life())


def test_every_law_is_broken_once() -> None:
    assert {found.law.sentence for found in BREAKS.values()} == {law.sentence for law in laws.ALL}
    assert len(laws.ALL) == 16
