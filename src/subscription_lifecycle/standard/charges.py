"""What a transition asks for, in money. Each rule answers for one purpose; a row adds several up."""

from __future__ import annotations

from datetime import date, timedelta

from subscription_lifecycle.machine.guard import Context
from subscription_lifecycle.machine.transition import nothing
from subscription_lifecycle.model.actor import Role
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.charge import NO_CHARGE, Charge, ChargeLine, Debt, Purpose, Settlement
from subscription_lifecycle.model.command import Command, SettlePayment
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.schedule import BillingPeriod
from subscription_lifecycle.standard.billing_dates import (
    begins_anew,
    days_become_credit,
    first_day_without_service,
    kept_ahead,
    owed_after_all,
    paused_days,
    resume_rule,
)
from subscription_lifecycle.standard.commands import ReportInvoice
from subscription_lifecycle.standard.states import ACTIVE, PAST_DUE, SCHEDULED

__all__ = [
    "all_forgiven",
    "all_owed",
    "arrears",
    "arrears_after_hold",
    "invoice_paid",
    "nothing",
    "one_period",
    "owed_after_hold",
    "period_on_an_invoice",
    "price_of_resuming",
    "recharge",
    "recharge_after_hold",
    "rest_of_period",
    "unserved_days",
    "what_it_pays",
]

AnyCommand = Context[Command]


def price_of(context: AnyCommand, period: BillingPeriod) -> Money:
    """The plan's price for the quantity; of a shorter stretch than a whole period, the part by days."""
    whole = context.dates.schedule.period_containing(period.start)
    price = context.subscription.price
    return by_days(context, price, period.days, whole.days)


def by_days(context: AnyCommand, amount: Money, days: int, of: int) -> Money:
    """The part of a sum that some of its days have, by the policy's rounding; all of them, or more, have the whole."""
    if days >= of:
        return amount
    return min(amount, amount.prorated(days, of, rounding=context.policy.rounding))


def one_period(context: AnyCommand) -> Charge:
    """The period that is billed (S22), and with policy `served_unpaid="owed"` the earlier ones that had access."""
    periods = (*owed_after_all(context), *([] if context.dates.billed is None else [context.dates.billed]))
    return Charge(tuple(ChargeLine("period", price_of(context, period), period) for period in periods))


def period_on_an_invoice(context: AnyCommand) -> Charge:
    """The period that is billed, where an invoice asks for it; else nothing is asked for yet."""
    method = context.payment_method
    by_invoice = method is not None and context.policy.activation(method.kind) == "at_once"
    return one_period(context) if by_invoice else NO_CHARGE


def rest_of_period(context: AnyCommand) -> Charge:
    """What is left of the current period, by days, today included."""
    return one_period(context)


def all_owed(context: AnyCommand) -> Charge:
    """Every debt, oldest first; the clock asks for none that waits for an operator."""
    by_clock = Role.CLOCK in context.by.roles
    held = tuple(debt for debt in context.subscription.arrears if debt.held and by_clock)
    debts = tuple(debt for debt in context.subscription.arrears if debt not in held)
    return Charge(tuple(ChargeLine("arrears", debt.amount, debt.period) for debt in debts), settles=debts, holds=held)


def what_it_pays(context: Context[SettlePayment]) -> Charge:
    """Whole debts that money which came is enough for, oldest first."""
    paid = paid_by(context.command.amount, context.subscription.arrears)
    received = sum((debt.amount for debt in paid), Money.zero(context.subscription.currency))
    lines = tuple(ChargeLine("arrears", debt.amount, debt.period) for debt in paid)
    return Charge(lines, settles=paid, received=received)


def paid_by(amount: Money | None, debts: tuple[Debt, ...]) -> tuple[Debt, ...]:
    """The oldest debts that an amount pays whole."""
    paid: list[Debt] = []
    for debt in debts:
        if amount is None or amount.currency != debt.amount.currency or amount < debt.amount:
            break
        paid.append(debt)
        amount = amount - debt.amount
    return tuple(paid)


def all_forgiven(context: AnyCommand) -> Charge:
    """Every debt is let go of; the entry says by whom."""
    return Charge(forgives=context.subscription.arrears)


def arrears(context: AnyCommand) -> Charge:
    """What policy does with debts on a reactivation: collects, keeps or forgives them (A3)."""
    if not context.subscription.arrears:
        return NO_CHARGE
    match context.policy.arrears:
        case "collect":
            return all_owed(context)
        case "forgive":
            return all_forgiven(context)
        case "keep":
            return Charge(holds=context.subscription.arrears)


def recharge(context: AnyCommand) -> Charge:
    """Of what a cancellation refunded (A4) or support wrote off, the days still to come, a line for each period."""
    parts: dict[tuple[Purpose, BillingPeriod], Money] = {}
    for paid in context.subscription.settlements:
        if paid.refunded is None or paid.refunded_from is None or paid.period.end <= context.today:
            continue
        start = max(first_day_unserved(context), paid.period.start)
        refunded = (paid.period.end - paid.refunded_from).days
        amount = by_days(context, paid.refunded, (paid.period.end - start).days, refunded)
        # Nothing was paid for what was written off: it is bought for the first time.
        key: tuple[Purpose, BillingPeriod] = (
            "period" if paid.was_written_off and not paid.recharged else "recharge",
            BillingPeriod(start, paid.period.end),
        )
        parts[key] = parts.get(key, Money.zero(amount.currency)) + amount
    return Charge(tuple(ChargeLine(purpose, amount, period) for (purpose, period), amount in parts.items()))


def recharge_after_hold(context: AnyCommand) -> Charge:
    """As `recharge`; nothing where policy `recovery` begins a new period instead."""
    return NO_CHARGE if begins_anew(context) else recharge(context)


def arrears_after_hold(context: AnyCommand) -> Charge:
    """As `arrears`; where policy `recovery` restarts, periods that service went off in are let go of."""
    return _without_unserved(context, arrears(context)) if begins_anew(context) else arrears(context)


def owed_after_hold(context: AnyCommand) -> Charge:
    """As `all_owed`; where policy `recovery` restarts, periods that service went off in are let go of."""
    return _without_unserved(context, all_owed(context)) if begins_anew(context) else all_owed(context)


def _without_unserved(context: AnyCommand, charge: Charge) -> Charge:
    """What the charge does with debts that were served; the others are let go of."""
    subscription = context.subscription
    off = context.today if subscription.since is None else local_day(subscription.since, subscription.time_zone)
    let_go = tuple(debt for debt in subscription.arrears if debt.period.end > off)
    settled = tuple(debt for debt in charge.settles if debt not in let_go)
    return Charge(
        tuple(ChargeLine("arrears", debt.amount, debt.period) for debt in settled),
        settles=settled,
        holds=tuple(debt for debt in charge.holds if debt not in let_go),
        forgives=(*let_go, *(debt for debt in charge.forgives if debt not in let_go)),
    )


def price_of_resuming(context: AnyCommand) -> Charge:
    """The period that is bought, if one is; paid days that the pause took become credit where they do not move.

    What is owed and collected with it counts as paid.
    """
    charge = one_period(context)
    if resume_rule(context) == "move" or not days_become_credit(context) or not paused_days(context):
        return charge
    begun, until = first_day_without_service(context), context.today if kept_ahead(context) else date.max
    collected = arrears(context).settles if arrears in context.row.charge else ()
    owed = (Settlement(debt.period, debt.amount) for debt in collected if debt.buys != "nothing")
    lost = [
        (paid, (min(until, paid.period.end) - max(begun, paid.period.start)).days)
        for paid in (*paid_from(context, begun), *owed)
        if paid.refunded is None
    ]
    parts = [by_days(context, paid.amount, days, paid.period.days) for paid, days in lost if days > 0]
    return charge + Charge(credits=sum(parts, Money.zero(context.subscription.currency))) if parts else charge


def paid_from(context: AnyCommand, day: date) -> tuple[Settlement, ...]:
    """The settlements; of a subscription that was adopted, what was paid for before that is not over on the day: no
    payment of ours, but paid all the same."""
    subscription = context.subscription
    if subscription.settlements:
        return subscription.settlements
    unpaid = subscription.state == SCHEDULED or subscription.trial_end == subscription.paid_through
    if unpaid or subscription.paid_through <= day:
        return ()
    whole = subscription.schedule.period_containing(subscription.paid_through - timedelta(days=1))
    period = BillingPeriod(whole.start, min(whole.end, subscription.paid_through))
    return (Settlement(period, by_days(context, subscription.price, period.days, whole.days)),)


def first_day_unserved(context: AnyCommand) -> date:
    """The first day of a pause whose days are given back; else today."""
    given_back = resume_rule(context) == "move" or days_become_credit(context)
    return first_day_without_service(context) if given_back else context.today


def unserved_days(context: AnyCommand) -> Charge:
    """Days that were paid and blocked become credit, where service comes back."""
    subscription = context.subscription
    if context.target not in (ACTIVE, PAST_DUE) or subscription.since is None:
        return Charge()
    blocked = local_day(subscription.since, subscription.time_zone)
    parts = [
        by_days(context, paid.amount, (paid.period.end - blocked).days, paid.period.days)
        for paid in paid_from(context, blocked)
        if paid.refunded is None and paid.period.end > blocked
    ]
    return Charge(credits=sum(parts, Money.zero(subscription.currency))) if parts else Charge()


def invoice_paid(context: Context[ReportInvoice]) -> Charge:
    """The debts of that invoice were paid elsewhere."""
    return Charge(
        settles=tuple(debt for debt in context.subscription.arrears if debt.invoice == context.command.invoice)
    )
