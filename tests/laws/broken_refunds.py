"""Ways to give a customer too little back, and the lives in which it is seen."""

from __future__ import annotations

from datetime import date
from typing import Any

import attrs
from tests.laws.broken_money import first, hears, waits
from tests.laws.broken_pauses import GENEROUS
from tests.laws.life import CARD, SUPPORT, Life

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DISABLED,
    PAST_DUE,
    PAUSED,
    PROVIDER,
    STANDARD,
    BillingPeriod,
    Cancel,
    Charge,
    Context,
    Enable,
    Lifecycle,
    Pause,
    PaymentMethod,
    Reactivate,
    ReportInvoice,
    Resume,
)
from subscription_lifecycle.model.charge import ChargeLine
from subscription_lifecycle.model.command import FailPayment
from subscription_lifecycle.ports import Captured, ChargedBack
from subscription_lifecycle.standard import (
    arrears,
    end_recurring_billing,
    nothing,
    owe_what_was_paid,
    price_of_resuming,
    refund_as_asked,
    settle_the_invoice,
)

AnyContext = Context[Any]
LEAVE = Cancel("now", "prorated")


def leaves(life: Life) -> None:
    life.start()
    life.later(9)
    life.give(LEAVE)


def leaves_for_days(life: Life) -> None:
    leaves(life)
    life.later(4)
    life.give(Reactivate(CARD))


def leaves_while_paused(life: Life) -> None:
    life.start()
    life.later(9)
    life.give(Pause())
    life.later(12)
    life.give(LEAVE)


def pauses_and_leaves(life: Life) -> None:
    life.start()
    life.later(9)
    life.give(Pause())
    life.later(12)
    life.give(Resume())
    life.later(2)
    life.give(LEAVE)


def pays_an_invoice_and_leaves(life: Life) -> None:
    """Which was reported unpaid first."""
    life.start(payment_method=PaymentMethod.invoice(country="NL"))
    life.later(2)
    for paid in (False, True):
        life.machine.an_invoice_is_reported(number=1, paid=paid, by=SUPPORT)
    life.later(2)
    life.give(LEAVE)


def leaves_with_an_open_invoice(life: Life) -> None:
    """Credit is given for its days; then it is not paid, and then it is."""
    life.start(payment_method=PaymentMethod.invoice(country="NL"))
    life.later(2)
    life.give(LEAVE)
    for paid in (False, True):
        life.machine.an_invoice_is_reported(number=1, paid=paid, by=SUPPORT)


def is_given_all_back(life: Life) -> None:
    """By support, for served days too: those are not charged again."""
    life.start()
    life.later(9)
    life.give(Cancel("now", "full"), by=SUPPORT)
    life.give(Reactivate(CARD))


def pauses_until_it_leaves(life: Life) -> None:
    """Back an hour after the pause would have ended."""
    life.start()
    life.later(0.5)
    life.give(Pause(until=date(2024, 2, 10)))
    life.later(9)
    life.give(Cancel("now"))
    life.later(0.3)
    life.give(Reactivate(CARD))


def pays_while_a_bank_takes_back(life: Life) -> None:
    """A period is bought while the one before turns into a debt."""
    reference = waits(life)
    hears(life, first(life), ChargedBack("dp"))
    hears(life, reference, Captured("ch", life.clock()))
    life.give(LEAVE)


def _cancelled_by(effect: Any, source: Any = ACTIVE) -> Lifecycle:
    return STANDARD.replace(Cancel, source, case="now", effects=[effect, end_recurring_billing])


def gives_half() -> Lifecycle:
    def half(context: Context[Cancel]) -> Any:
        changes = refund_as_asked(context)
        parts = [attrs.evolve(due, amount=due.amount.split(2)[1]) for due in changes["refunds"]]
        return {**changes, "refunds": tuple(parts)}

    return _cancelled_by(half)


def refunds_from_tomorrow_on() -> Lifecycle:
    def a_day_less(context: Context[Cancel]) -> Any:
        changes = refund_as_asked(context)
        day = context.subscription.price.split(31)[-1]
        return {**changes, "refunds": tuple(attrs.evolve(due, amount=due.amount - day) for due in changes["refunds"])}

    return _cancelled_by(a_day_less)


def forgets_the_days_of_the_pause() -> Lifecycle:
    def from_today(context: Context[Cancel]) -> Any:
        return refund_as_asked(attrs.evolve(context, subscription=context.subscription.changed({"causes": ()})))

    return _cancelled_by(from_today, PAUSED)


def days_move_and_are_not_paid_any_more() -> Lifecycle:
    def moved(context: AnyContext) -> Any:
        paid = context.subscription.settlements[0]
        return {"settlements": (attrs.evolve(paid, period=BillingPeriod(paid.period.start, context.today)),)}

    return STANDARD.replace(Resume, PAUSED, effects=[moved])


def pauses_give_no_credit() -> Lifecycle:
    def nothing_back(context: AnyContext) -> Charge:
        return attrs.evolve(price_of_resuming(context), credits=None)

    return GENEROUS.replace(Resume, PAUSED, charge=nothing_back)


def blocks_give_no_credit() -> Lifecycle:
    return STANDARD.replace(Enable, DISABLED, cause=PROVIDER, date="passed", charge=nothing)


def asks_for_the_whole_again() -> Lifecycle:
    def whole(context: AnyContext) -> Charge:
        period = BillingPeriod(context.today, context.subscription.next_billing_date)
        return Charge((ChargeLine("recharge", context.subscription.price, period),))

    return STANDARD.replace(Reactivate, CANCELLED, date="ahead", charge=(arrears, whole))


def half_an_invoice_counts() -> Lifecycle:
    def half(context: Context[ReportInvoice]) -> Any:
        settled = settle_the_invoice(context)["settlements"]
        return {"settlements": tuple(attrs.evolve(paid, amount=paid.amount.split(2)[1]) for paid in settled)}

    return STANDARD.replace(ReportInvoice, PAST_DUE, case="paid", effects=[half])


def forgets_what_was_just_paid() -> Lifecycle:
    """A debt that is heard of while a payment is open takes away what that payment buys."""

    def forgotten(context: Context[FailPayment]) -> Any:
        gone, paid = context.command.reference, context.subscription.settlements
        return {**owe_what_was_paid(context), "settlements": tuple(each for each in paid if each.reference != gone)}

    return STANDARD.replace(FailPayment, ACTIVE, case="owes", effects=[forgotten])
