"""Where billing stands after a transition, and the commitment that goes with it.

Every next billing date is a date of the stored schedule; only restarting replaces the schedule.
"""

from __future__ import annotations

from datetime import date, timedelta

from subscription_lifecycle.machine.guard import BillingDates, Context
from subscription_lifecycle.machine.transition import same, unchanged
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.schedule import BillingPeriod, BillingSchedule
from subscription_lifecycle.standard.states import ACTIVE, PAST_DUE, SCHEDULED, TRIALING

__all__ = [
    "advanced",
    "extended",
    "new_term",
    "next_period",
    "next_term",
    "next_term_when_over",
    "renews_today",
    "restarted",
    "same",
    "term_from_today",
    "unchanged",
]

AnyCommand = Context[Command]


def next_period(context: AnyCommand) -> BillingDates:
    """The period from the next billing date on is billed."""
    schedule, start = context.subscription.schedule, context.subscription.next_billing_date
    end = schedule.next_date(after=start)
    return BillingDates(schedule, end, BillingPeriod(start, end))


def extended(context: AnyCommand) -> BillingDates:
    """The first schedule date after both the old date and today (S21); the last period before it is billed.

    Periods before that one had access and were never billed: they are recorded as served unpaid.
    """
    schedule, old = context.subscription.schedule, context.subscription.next_billing_date
    end = schedule.next_date(after=max(old, context.today))
    start = max(old, schedule.period_containing(end - timedelta(days=1)).start)
    return BillingDates(schedule, end, BillingPeriod(start, end), _periods(schedule, old, start))


def restarted(context: AnyCommand) -> BillingDates:
    """A new schedule from today; its first period is billed."""
    schedule = context.subscription.schedule.restarted(context.today)
    end = schedule.next_date(after=context.today)
    return BillingDates(schedule, end, BillingPeriod(context.today, end))


def advanced(context: AnyCommand) -> BillingDates:
    """The next date of the same schedule after today; the days until then are billed."""
    schedule = context.subscription.schedule
    end = schedule.next_date(after=context.today)
    return BillingDates(schedule, end, BillingPeriod(context.today, end))


def renews_today(context: AnyCommand) -> BillingDates:
    """Where billing goes on, a new schedule from today whose first renewal runs next; elsewhere nothing changes."""
    if context.target not in (ACTIVE, PAST_DUE, TRIALING, SCHEDULED):
        return unchanged(context)
    return BillingDates(context.subscription.schedule.restarted(context.today), context.today)


def _periods(schedule: BillingSchedule, start: date, end: date) -> tuple[BillingPeriod, ...]:
    found = []
    while start < end:
        following = schedule.next_date(after=start)
        found.append(BillingPeriod(start, following))
        start = following
    return tuple(found)


# -- the commitment


def _term_from(context: AnyCommand, start: date) -> tuple[date, date]:
    return start, context.dates.schedule.nth_after(start, context.subscription.plan.periods_per_term)


def next_term(context: AnyCommand) -> tuple[date, date]:
    """The term that begins with the billed period."""
    assert context.dates.billed is not None, "a term begins with a billed period"
    return _term_from(context, context.dates.billed.start)


def new_term(context: AnyCommand) -> tuple[date, date]:
    """A new term, from the billed period on."""
    return next_term(context)


def next_term_when_over(context: AnyCommand) -> tuple[date, date]:
    """Inside the term it stays; the period billed at its end begins the next."""
    if context.subscription.next_billing_date < context.subscription.term_end:
        return same(context)
    return next_term(context)


def term_from_today(context: AnyCommand) -> tuple[date, date]:
    """Where billing begins anew today, so does the term: it is over until the renewal has run."""
    if context.dates.next_billing_date != context.today:
        return same(context)
    return context.today, context.today
