"""Where billing stands after a transition, and the commitment that goes with it.

Every next billing date is a date of the stored schedule; only restarting replaces the schedule.
"""

from __future__ import annotations

from datetime import date, timedelta

from subscription_lifecycle.machine.guard import BillingDates, Context
from subscription_lifecycle.machine.transition import same, unchanged
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.policy import ResumeRule
from subscription_lifecycle.model.schedule import BillingPeriod, BillingSchedule
from subscription_lifecycle.standard.causes import PAUSE
from subscription_lifecycle.standard.commands import Reactivate
from subscription_lifecycle.standard.states import ACTIVE, PAST_DUE, SCHEDULED, TRIALING

__all__ = [
    "advanced",
    "advanced_or_restarted",
    "after_the_pause",
    "extended",
    "first_day_without_service",
    "new_term",
    "next_period",
    "next_term",
    "next_term_when_over",
    "paused_days",
    "renews_today",
    "restarted",
    "resume_rule",
    "same",
    "term_after_the_pause",
    "term_as_recovered",
    "term_from_today",
    "today_or_restarted",
    "trial_extended",
    "trial_term",
    "unchanged",
    "unchanged_or_restarted",
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
    """A new schedule from today, or from the earlier day a reactivation names; its first period is billed."""
    asked = context.command.start_on if isinstance(context.command, Reactivate) else None
    start = asked or context.today
    schedule = context.subscription.schedule.restarted(start)
    end = schedule.next_date(after=start)
    return BillingDates(schedule, end, BillingPeriod(start, end))


def unchanged_or_restarted(context: AnyCommand) -> BillingDates:
    """As policy `recovery` says: the date stays, or a new period begins."""
    return restarted(context) if context.policy.recovery == "restart" else unchanged(context)


def advanced_or_restarted(context: AnyCommand) -> BillingDates:
    """As policy `recovery` says: the next date of the schedule, or a new period."""
    return restarted(context) if context.policy.recovery == "restart" else advanced(context)


def today_or_restarted(context: AnyCommand) -> BillingDates:
    """As policy `recovery` says: the next renewal runs today, or a new period is bought."""
    return restarted(context) if context.policy.recovery == "restart" else renews_today(context)


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


def trial_extended(context: AnyCommand) -> BillingDates:
    """The trial ends later, and so the first paid period begins later."""
    subscription = context.subscription
    latest = subscription.next_billing_date + timedelta(days=context.policy.trial_extension_days)
    end = getattr(context.command, "until", None) or latest
    schedule = subscription.schedule
    own = schedule.align == "anniversary" and schedule.anchor == subscription.next_billing_date
    return BillingDates(schedule.restarted(end) if own else schedule, end)


def after_the_pause(context: AnyCommand) -> BillingDates:
    """As policy `resume` says. What ended meanwhile, with recurring billing off, is over today."""
    subscription, rule = context.subscription, resume_rule(context)
    schedule, date, today = subscription.schedule, subscription.next_billing_date, context.today
    if rule == "move":
        moved = date + timedelta(days=paused_days(context))
        return unchanged(context) if moved == date else BillingDates(schedule.restarted(moved), moved)
    if not subscription.recurring_billing and max(date, subscription.term_end) <= today:
        return BillingDates(schedule.restarted(today), today)
    if rule == "restart":
        by_clock = context.row.due is not None
        return BillingDates(schedule.restarted(today), today) if by_clock else restarted(context)
    if today < date:
        return unchanged(context)
    if rule == "keep":
        return advanced(context)
    end = schedule.next_date(after=today)
    return BillingDates(schedule, end, None, (BillingPeriod(today, end),))


def resume_rule(context: AnyCommand) -> ResumeRule:
    """The policy's. Natural boundaries of the calendar do not move: there the dates stay, and lost days are credit."""
    if context.policy.resume == "move" and context.subscription.schedule.align == "calendar":
        return "keep"
    return context.policy.resume


def paused_days(context: AnyCommand) -> int:
    """The local days since the pause began, today not included."""
    return (context.today - first_day_without_service(context)).days


def first_day_without_service(context: AnyCommand) -> date:
    """The first local day of the pause that stands; today, if none does."""
    subscription = context.subscription
    if PAUSE not in subscription.causes:
        return context.today
    if subscription.paused is not None:
        return subscription.paused.since
    since = context.at if subscription.since is None else subscription.since
    return min(context.today, local_day(since, subscription.time_zone))


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


def term_after_the_pause(context: AnyCommand) -> tuple[date, date]:
    """Where the dates moved, the term has as many periods left as before; else it stays while it lasts."""
    subscription, dates = context.subscription, context.dates
    if resume_rule(context) == "move":
        if dates.next_billing_date == subscription.next_billing_date:
            return same(context)
        left = len(_periods(subscription.schedule, subscription.next_billing_date, subscription.term_end))
        ends = dates.schedule.nth_after(dates.next_billing_date, left) if left else dates.next_billing_date
        return subscription.term_start, ends
    if dates.next_billing_date == context.today:
        return context.today, context.today
    if dates.next_billing_date <= subscription.term_end and dates.schedule == subscription.schedule:
        return same(context)
    return _term_from(context, context.today)


def trial_term(context: AnyCommand) -> tuple[date, date]:
    """The trial's own."""
    return context.subscription.term_start, context.dates.next_billing_date


def term_as_recovered(context: AnyCommand) -> tuple[date, date]:
    """A new period begins a new term."""
    if context.policy.recovery == "restart":
        return next_term(context)
    return term_from_today(context)


def term_from_today(context: AnyCommand) -> tuple[date, date]:
    """Where billing begins anew today, so does the term: it is over until the renewal has run."""
    if context.dates.next_billing_date != context.today:
        return same(context)
    return context.today, context.today
