"""What is owed again where money that was counted on failed, what paying it buys, and what writing it off leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import attrs

from subscription_lifecycle.machine.guard import Context
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.charge import Debt, Settlement
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.schedule import BillingPeriod
from subscription_lifecycle.standard.billing_dates import resume_rule
from subscription_lifecycle.standard.causes import CUSTOMER, DUNNING, NON_PAYMENT
from subscription_lifecycle.standard.charges import by_days, first_day_unserved
from subscription_lifecycle.standard.states import PAST_DUE

AnyCommand = Context[Command]


def owed_again(
    context: AnyCommand, period: BillingPeriod, amount: Money, standing: list[Settlement], invoice: str | None = None
) -> tuple[Debt, ...]:
    """A period that is owed again; paying it buys what the money that failed still stood for. Takes its settlement.

    What the customer has back already is a debt of its own, and buys nothing.
    """
    period = _period_now(context, period, standing)
    same = [paid for paid in standing if paid.period == period]
    touching = [paid for paid in standing if paid.period.start < period.end and period.start < paid.period.end]
    found = next(iter(same or touching), None)
    whole = Debt(period, amount, context.today, invoice=invoice)
    if found is not None:
        standing.remove(found)
        if found.refunded is not None or not found.by_payment:
            return (attrs.evolve(whole, buys="nothing"),)
        bought = attrs.evolve(whole, buys="again" if found.recharged else "period")
        if amount <= found.by_payment:
            return (bought,)
        still = attrs.evolve(bought, period=found.period, amount=found.by_payment)
        return still, attrs.evolve(whole, amount=amount - found.by_payment, buys="nothing")
    if period.end > _first_day_not_over(context):
        # All its days to come went back, or a new period took their place.
        return (attrs.evolve(whole, buys="nothing"),)
    return (whole,)


def _first_day_not_over(context: AnyCommand) -> date:
    """What was paid for a period that ends later is known still."""
    subscription = context.subscription
    since = subscription.since if subscription.causes else None
    return context.today if since is None else local_day(since, subscription.time_zone)


def _period_now(context: AnyCommand, period: BillingPeriod, standing: Iterable[Settlement]) -> BillingPeriod:
    """The period of a line that was paid; where the last pause moved it, as its settlement knows it: billing began anew
    at its end."""
    paused, end = context.subscription.paused, context.subscription.schedule.anchor
    if paused is None or paused.since < period.start or resume_rule(context) != "move":
        return period
    moved = BillingPeriod(end - timedelta(days=period.days), end)
    return moved if any(paid.period == moved for paid in standing) else period


def let_go_of_the_rest(context: AnyCommand) -> Mapping[str, Any]:
    """The days to come of what is written off are not a gift: who comes back buys them.

    Where no way back charges anything (a pause, a block by the provider), nothing is remembered.
    """
    subscription, first = context.subscription, first_day_unserved(context)
    if subscription.state != PAST_DUE and not {CUSTOMER, DUNNING, NON_PAYMENT} & set(subscription.causes):
        return {}
    rest: list[Settlement] = []
    for debt in subscription.arrears:
        start, end = max(first, debt.period.start), debt.period.end
        if debt.buys == "nothing" or end <= first:
            continue
        part = by_days(context, debt.amount, (end - start).days, debt.period.days)
        zero = Money.zero(part.currency)
        rest.append(Settlement(debt.period, zero, recharged=debt.buys == "again", refunded=part, refunded_from=start))
    if not rest:
        return {}
    # Of an interrupted period, what was not served may still go back.
    since = date.min if subscription.causes else context.today
    return {"settlements": (*(paid for paid in subscription.settlements if paid.period.end > since), *rest)}
