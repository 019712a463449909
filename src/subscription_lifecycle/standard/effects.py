"""What else a transition changes in the snapshot, beside state, dates, debts and money."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import attrs

from subscription_lifecycle.machine.guard import Context
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.charge import Debt, RefundDue, Settlement
from subscription_lifecycle.model.command import Command, FailPayment, SettlePayment
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.schedule import BillingPeriod
from subscription_lifecycle.model.subscription import LastPause, ScheduledCancellation, ScheduledPause, Subscription
from subscription_lifecycle.standard.billing_dates import (
    days_become_credit,
    first_day_without_service,
    kept_ahead,
    paused_days,
    resume_rule,
)
from subscription_lifecycle.standard.causes import PAUSE
from subscription_lifecycle.standard.charges import (
    by_days,
    first_day_unserved,
    paid_by,
    paid_from,
    period_on_an_invoice,
    price_of,
)
from subscription_lifecycle.standard.commands import (
    Cancel,
    Correct,
    Notify,
    Pause,
    Refund,
    ReportInvoice,
    SetRecurringBilling,
)
from subscription_lifecycle.standard.debts import owed_again
from subscription_lifecycle.standard.due_dates import another_block_stands, days_of_the_block, owed_since_later
from subscription_lifecycle.standard.limits import first_day_of_pause
from subscription_lifecycle.standard.notices import what_is_to_come
from subscription_lifecycle.standard.states import ACTIVE, PAST_DUE, PAUSED

AnyCommand = Context[Command]
Changes = Mapping[str, Any]


def choose_payment_method(context: AnyCommand) -> Changes:
    """The method the command brings goes on file (S12, S19)."""
    return {"payment_method": context.payment_method, "disputed_method": None}


def retry_another_method(context: AnyCommand) -> Changes:
    """The next retry asks it; days that passed while none could be asked are over."""
    subscription, today = context.subscription, context.today
    return {"attempted_on": max(subscription.attempted_on or today, today)} if subscription.arrears else {}


def forget_what_was_scheduled(context: AnyCommand) -> Changes:
    """Service ended before: a cancellation or a pause to come is withdrawn."""
    return {"cancellation": None, "pause": None}


def withdraw_a_past_cancellation(context: AnyCommand) -> Changes:
    """Who comes back after the day that a cancellation was asked for stays."""
    scheduled = context.subscription.cancellation
    return {} if scheduled is None or scheduled.on > context.today else {"cancellation": None}


def set_recurring_billing(context: Context[SetRecurringBilling]) -> Changes:
    """As asked; a scheduled cancellation is withdrawn when it goes on."""
    return {"recurring_billing": True, "cancellation": None} if context.command.on else {"recurring_billing": False}


def end_recurring_billing(context: AnyCommand) -> Changes:
    """Cancelling switches recurring billing off, and nothing else ever does by itself; a pause to come is withdrawn."""
    return {"recurring_billing": False, "cancellation": None, "pause": None}


def schedule_cancellation(context: Context[Cancel]) -> Changes:
    """It is remembered until its day, with the refund that was asked for."""
    assert isinstance(context.command.when, date)
    return {
        "recurring_billing": False,
        "cancellation": ScheduledCancellation(context.command.when, context.command.refund),
    }


def refund_as_asked(context: Context[Cancel]) -> Changes:
    """Paid days go back as the command asks."""
    return _refund(context, context.command.refund)


def refund_as_scheduled(context: AnyCommand) -> Changes:
    """Paid days go back as was asked when the cancellation was scheduled."""
    scheduled = context.subscription.cancellation
    return _refund(context, "none" if scheduled is None else scheduled.refund)


def _refund(context: AnyCommand, refund: str) -> Changes:
    """To the payment they came from; what came from credit, from an invoice or from elsewhere becomes credit."""
    if refund == "none":
        return {}
    subscription = context.subscription
    settlements, credit = [], subscription.credit or Money.zero(subscription.currency)
    unserved = first_day_unserved(context)
    # One refund a payment, whatever it had paid for: gateways know a refund by its payment.
    going_back: dict[str, Money] = {}
    for paid in paid_from(context, unserved):
        if paid.refunded is not None or _is_a_gift(paid) or paid.period.end <= unserved:
            settlements.append(paid)
            continue
        start = paid.period.start if refund == "full" else max(unserved, paid.period.start)
        amount = by_days(context, paid.amount, (paid.period.end - start).days, paid.period.days)
        by_gateway = _by_gateway(paid, amount)
        if by_gateway and paid.reference is not None:
            going_back[paid.reference] = going_back.get(paid.reference, Money.zero(amount.currency)) + by_gateway
        credit = credit + amount - by_gateway
        settlements.append(attrs.evolve(paid, refunded=amount, refunded_from=start))
    reason = f"{context.command.title} on {context.today}"
    given_back = [paid.refunded_from for paid in settlements if paid.refunded_from is not None]
    return {
        "settlements": tuple(settlements),
        "refunds": (*subscription.refunds, *(RefundDue(name, money, reason) for name, money in going_back.items())),
        "credit": credit or None,
        "paid_through": min([subscription.paid_through, *(max(day, context.today) for day in given_back)]),
    }


def _by_gateway(paid: Settlement, amount: Money) -> Money:
    if paid.reference is None or paid.invoiced or not paid.refundable:
        return Money.zero(amount.currency)
    return min(amount, paid.by_payment)


def give_back_a_payment(context: Context[Refund]) -> Changes:
    """Money of one payment goes back as a favour: of what it paid for so much is a gift, the latest days first.

    What is left stays paid for. Where days of it come back later, it becomes credit: the payment was refunded once.
    """
    command, subscription = context.command, context.subscription
    amount = command.amount or Money(context.facts["payment"]["captured"], subscription.currency)
    settlements, left = [], amount
    for paid in reversed(subscription.settlements):
        if paid.reference == command.reference and paid.refunded is None:
            gift = min(left, paid.by_payment)
            left = left - gift
            paid = attrs.evolve(paid, amount=paid.amount - gift, refundable=False)
        settlements.append(paid)
    return {
        "settlements": tuple(reversed(settlements)),
        "refunds": (*subscription.refunds, RefundDue(command.reference, amount, command.reason or "refunded")),
    }


def _is_a_gift(paid: Settlement) -> bool:
    """All of it went back as a favour: its days are paid for, and none of them brings anything."""
    return not paid.amount and not paid.refundable


def give_back_the_rest(context: Context[SettlePayment]) -> Changes:
    """Of money that came late, what pays no debt."""
    command, subscription = context.command, context.subscription
    zero = Money.zero(subscription.currency)
    left = (command.amount or zero) - sum((debt.amount for debt in paid_by(command.amount, subscription.arrears)), zero)
    if not left:
        return {}
    if not command.refundable:
        return {"credit": (subscription.credit or zero) + left}
    return {"refunds": (*subscription.refunds, RefundDue(command.reference, left, "came late"))}


def forget_refunded(context: AnyCommand) -> Changes:
    """What a cancellation refunded, or support wrote off, has been paid again, or is over."""
    return {"settlements": tuple(paid for paid in context.subscription.settlements if paid.refunded_from is None)}


def schedule_the_pause(context: Context[Pause]) -> Changes:
    """It is remembered until its day."""
    return {"pause": ScheduledPause(first_day_of_pause(context), context.command.until)}


def withdraw_the_pause(context: AnyCommand) -> Changes:
    """It is not wanted any more."""
    return {"pause": None}


def remember_the_pause(context: AnyCommand) -> Changes:
    """When it began, and in which billed period."""
    subscription, command = context.subscription, context.command
    asked = command if isinstance(command, Pause) else subscription.pause
    until = None if asked is None else asked.until
    return {"paused": LastPause(context.today, subscription.cycles, until), "pause": None}


def know_the_pause(context: AnyCommand) -> Changes:
    """Of one that is brought in paused: since when."""
    subscription = context.subscription
    if PAUSE not in subscription.causes or subscription.paused is not None:
        return {}
    until = subscription.until if subscription.state == PAUSED else subscription.held_until
    return {"paused": LastPause(first_day_without_service(context), subscription.cycles, until)}


def choose_another_end(context: Context[Pause]) -> Changes:
    """The pause goes on until another day."""
    begun, cycles = first_day_without_service(context), context.subscription.cycles
    paused = context.subscription.paused or LastPause(begun, cycles)
    return {"paused": attrs.evolve(paused, until=context.command.until)}


def give_the_days_back(context: AnyCommand) -> Changes:
    """Where the dates move, what was paid for moves with them; else the days that became credit, or were given up."""
    subscription, begun, days = context.subscription, first_day_without_service(context), paused_days(context)
    if not days:
        return {}
    changes: dict[str, Any] = {}
    touched = [paid for paid in subscription.settlements if paid.period.end > begun]
    if resume_rule(context) == "move":
        changes["settlements"] = tuple(_moved(paid, timedelta(days=days)) for paid in touched)
        if subscription.arrears and context.row.due is None and context.policy.arrears == "collect":
            changes["paid_through"] = context.dates.next_billing_date
        elif subscription.paid_through > begun:
            changes["paid_through"] = subscription.paid_through + timedelta(days=days)
    elif kept_ahead(context):
        kept = [paid for paid in touched if paid.period.end > context.today]
        if days_become_credit(context):
            touched = [paid.without(begun, context.today, context.policy.rounding) for paid in kept]
        changes["settlements"] = tuple(touched)
    else:
        changes["settlements"] = ()
        if context.dates.billed is None:
            changes["paid_through"] = min(subscription.paid_through, context.today)
    if context.row.due is not None and subscription.arrears:
        # Nobody was asked for what came to be owed meanwhile: it falls due as the clock resumes service.
        changes["arrears"] = tuple(
            attrs.evolve(debt, period=context.dates.moved_along(subscription, debt.period), since=context.today)
            for debt in subscription.arrears
        )
    return changes


def _moved(paid: Settlement, days: timedelta) -> Settlement:
    return attrs.evolve(paid, period=BillingPeriod(paid.period.start + days, paid.period.end + days))


def extend_the_trial(context: AnyCommand) -> Changes:
    """Once."""
    end = context.dates.next_billing_date
    return {"trial_end": end, "paid_through": end, "trial_extended": True}


def end_the_trial(context: AnyCommand) -> Changes:
    """Its last days are given up for the first period, which is paid."""
    assert context.dates.billed is not None
    return {"trial_end": context.today, "paid_through": context.dates.billed.end}


def announce(context: Context[Notify]) -> Changes:
    """It was said, and for which day; before a deletion there are as many days left as policy says, however late."""
    kind, subscription = context.command.notice, context.subscription
    about = what_is_to_come(kind, subscription, context.policy)
    assert about is not None, "a notice is due only where something is to come"
    changes: dict[str, Any] = {"noticed": frozen_mapping({**subscription.noticed, kind: about})}
    if kind == "deletion":
        days = timedelta(days=context.policy.notices[kind])
        changes["until"] = max(about, local_day(context.now, subscription.time_zone) + days)
        changes["noticed"] = frozen_mapping({**subscription.noticed, kind: changes["until"]})
    return changes


def hold_the_clock(context: AnyCommand) -> Changes:
    """While a block stands, the deadline of the state it left waits."""
    subscription = context.subscription
    return {"held_until": subscription.held_until if subscription.until is None else subscription.until}


def release_the_clock(context: AnyCommand) -> Changes:
    """The last block is lifted; dunning goes on where it stood: debts, the last try and the ladder move by its days."""
    if another_block_stands(context):
        return {}
    subscription, changes = context.subscription, dict[str, Any]({"held_until": None})
    blocked = days_of_the_block(context)
    if context.target != PAST_DUE or not blocked:
        return changes
    changes["arrears"] = owed_since_later(context, blocked)
    if subscription.attempted_on is not None:
        changes["attempted_on"] = min(subscription.attempted_on + blocked, context.today)
    if (told := subscription.noticed.get("dunning")) is not None:
        changes["noticed"] = frozen_mapping({**subscription.noticed, "dunning": told + blocked})
    return changes


def owe_the_period(context: AnyCommand) -> Changes:
    """The period joins the arrears; nothing is captured for it alone. One that is put on an invoice is no debt yet, and
    what was owed before it still is."""
    billed = context.dates.billed
    if period_on_an_invoice(context).lines:
        return {"paid_through": context.subscription.paid_through}
    assert billed is not None, "only a row that bills a period can owe it"
    debt = Debt(billed, price_of(context, billed), context.today)
    return {"arrears": (*context.subscription.arrears, debt)}


def owe_the_invoice(context: Context[ReportInvoice]) -> Changes:
    """The lines of an unpaid invoice are debts, once each, and have paid for nothing."""
    subscription, invoice = context.subscription, context.command.invoice
    known = {debt.period for debt in subscription.arrears if debt.invoice == invoice}
    lines = [line for line in context.command.lines if line.amount.minor > 0 and line.period not in known]
    standing = [paid for paid in subscription.settlements if paid.invoiced]
    debts = tuple(debt for line in lines for debt in owed_again(context, line.period, line.amount, standing, invoice))
    unpaid = {debt.period for debt in debts}
    return _in_default(subscription, debts) | {
        "arrears": _with_debts(subscription, debts),
        "settlements": _without(subscription, lambda paid: paid.invoiced and paid.period in unpaid),
        "paid_through": min([subscription.paid_through, *(period.start for period in unpaid)]),
    }


def settle_the_invoice(context: Context[ReportInvoice]) -> Changes:
    """Its debts were paid elsewhere: what a later cancellation gives back of them becomes credit."""
    subscription, invoice = context.subscription, context.command.invoice
    settled = tuple(
        Settlement(debt.period, debt.amount, invoiced=True, recharged=debt.buys == "again")
        for debt in subscription.arrears
        if debt.invoice == invoice and debt.buys != "nothing"
    )
    # Of an interrupted period, what was not served may still go back.
    since = date.min if subscription.causes else context.today
    standing = (paid for paid in subscription.settlements + settled if paid.period.end > since)
    return {"settlements": tuple(standing)}


def owe_what_was_paid(context: Context[FailPayment]) -> Changes:
    """What the failed money had paid for is owed again, since today; what was to go back of it is not."""
    subscription, command = context.subscription, context.command
    if not command.amount:
        # Nothing failed: a debt is heard of that was made before.
        return {}
    going_back = [refund.amount for refund in subscription.refunds if refund.reference == command.reference]
    # Of money that came late, a part may pay for nothing: what goes back is that part first.
    zero = Money.zero(subscription.currency)
    paid_nothing = command.amount - min(command.amount, sum((line.amount for line in command.lines), zero))
    back = sum(going_back, zero)
    left, back, debts = command.amount, back - min(back, paid_nothing), list[Debt]()
    standing = [paid for paid in subscription.settlements if paid.reference == command.reference]
    for line in reversed(command.lines):
        part = min(left, line.amount)
        left, kept = left - part, part - min(back, part)
        back = back - (part - kept)
        if kept.minor > 0:
            debts += owed_again(context, line.period, kept, standing)
    periods = [debt.period.start for debt in debts]
    return _in_default(subscription, debts) | {
        "arrears": _with_debts(subscription, debts),
        "refunds": tuple(refund for refund in subscription.refunds if refund.reference != command.reference),
        "submitted": tuple(debit for debit in subscription.submitted if debit.reference != command.reference),
        "settlements": _without(subscription, lambda paid: paid.reference == command.reference),
        "paid_through": min([subscription.paid_through, *periods]),
    }


def _in_default(subscription: Subscription, debts: Iterable[Debt]) -> dict[str, Any]:
    """Interrupted, the state it returns to is the one these debts would have led to, and dunning begins there."""
    if subscription.interrupted != ACTIVE or not any(debts):
        return {}
    return {"interrupted": PAST_DUE, "held_until": None}


def _with_debts(subscription: Subscription, debts: Iterable[Debt]) -> tuple[Debt, ...]:
    return tuple(sorted((*subscription.arrears, *debts), key=lambda debt: debt.period))


def _without(subscription: Subscription, gone: Callable[[Settlement], bool]) -> tuple[Settlement, ...]:
    """The settlements that stand; of one that is gone, what credit paid, and that it went back or was a gift."""
    standing: list[Settlement] = []
    for paid in subscription.settlements:
        if not gone(paid):
            standing.append(paid)
        elif paid.refunded is not None or _is_a_gift(paid):
            standing.append(attrs.evolve(paid, reference=None))
        elif paid.from_credit:
            standing.append(attrs.evolve(paid, amount=paid.from_credit, reference=None))
    return tuple(standing)


def correct(context: Context[Correct]) -> Changes:
    """Credit and metadata become what the command names."""
    asked = attrs.asdict(context.command, recurse=False)
    dates = ("reason", "next_billing_date", "term_end", "until")
    return {name: value for name, value in asked.items() if name not in dates and value is not None}
