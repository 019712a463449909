"""Where billing stands after a transition, and the commitment that goes with it.

Every next billing date is a date of the stored schedule; only restarting replaces the schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import attrs

from subscription_lifecycle.machine.guard import BillingDates, Context
from subscription_lifecycle.machine.transition import same, unchanged
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.policy import ResumeRule
from subscription_lifecycle.model.schedule import BillingPeriod, BillingSchedule
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard.causes import PAUSE
from subscription_lifecycle.standard.commands import Correct, Reactivate
from subscription_lifecycle.standard.states import ACTIVE, PAST_DUE, SCHEDULED, TRIALING

__all__ = [
    "advanced",
    "advanced_or_restarted",
    "after_the_pause",
    "begins_anew",
    "corrected",
    "corrected_term",
    "count_what_was_served",
    "cycles_after",
    "extended",
    "first_day_without_service",
    "goes_on_billing",
    "new_term",
    "next_period",
    "next_term",
    "next_term_when_over",
    "owed_after_all",
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

_BILLED = (ACTIVE, PAST_DUE, TRIALING, SCHEDULED)


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
    return restarted(context) if begins_anew(context) else unchanged(context)


def advanced_or_restarted(context: AnyCommand) -> BillingDates:
    """As policy `recovery` says: the next date of the schedule, or a new period."""
    return restarted(context) if begins_anew(context) else advanced(context)


def today_or_restarted(context: AnyCommand) -> BillingDates:
    """As policy `recovery` says: the next renewal runs today, or a new period is bought."""
    return restarted(context) if begins_anew(context) else renews_today(context)


def begins_anew(context: AnyCommand) -> bool:
    """Whether paying what is owed after service went off buys a new period: policy says so and the plan has one left.

    Who only pays what is owed, with recurring billing off, buys none; nor who has paid for the period that runs.
    """
    subscription = context.subscription
    if context.policy.recovery != "restart" or not has_periods_left(subscription):
        return False
    wanted = subscription.recurring_billing or isinstance(context.command, Reactivate)
    over = context.today >= subscription.next_billing_date
    return wanted and (over or any(debt.period.end > context.today for debt in subscription.arrears))


def advanced(context: AnyCommand) -> BillingDates:
    """The next date of the same schedule after today; the days until then are billed."""
    schedule = context.subscription.schedule
    end = schedule.next_date(after=context.today)
    return BillingDates(schedule, end, BillingPeriod(context.today, end))


def renews_today(context: AnyCommand) -> BillingDates:
    """Where billing goes on, a new schedule from today whose first renewal runs next; elsewhere nothing changes."""
    if context.target not in _BILLED:
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
    days, old = timedelta(days=paused_days(context)), context.subscription.next_billing_date
    if not days:
        return unchanged(context)
    if resume_rule(context) == "move":
        running = first_day_without_service(context) < old
        schedule = context.subscription.schedule.restarted(old + days)
        return BillingDates(schedule, old + days, moved=days if running else timedelta())
    return attrs.evolve(_dates_that_stay(context), lost=_days_lost(context))


def _dates_that_stay(context: AnyCommand) -> BillingDates:
    subscription, today = context.subscription, context.today
    begins_today = BillingDates(subscription.schedule.restarted(today), today)
    ahead = today < subscription.next_billing_date
    if not goes_on_billing(subscription):
        return unchanged(context) if ahead else begins_today
    if resume_rule(context) == "restart":
        return restarted(context) if context.row.due is None else begins_today
    return unchanged(context) if ahead else advanced(context)


def _days_lost(context: AnyCommand) -> tuple[date, date] | None:
    """Those that become credit; all from the pause on, where the period that was paid for does not go on."""
    if not kept_ahead(context):
        return first_day_without_service(context), date.max
    return (first_day_without_service(context), context.today) if days_become_credit(context) else None


def kept_ahead(context: AnyCommand) -> bool:
    """The period that was paid for goes on."""
    subscription = context.subscription
    restarts = resume_rule(context) == "restart" and goes_on_billing(subscription) and paused_days(context)
    return not restarts and context.today < subscription.next_billing_date


def days_become_credit(context: AnyCommand) -> bool:
    """Policy says so, or its dates would move if the calendar's could."""
    return context.policy.pause_credit or context.policy.resume == "move"


def corrected(context: Context[Correct]) -> BillingDates:
    """The next billing date that the command names; days up to it are given."""
    subscription = context.subscription
    return BillingDates(subscription.schedule, context.command.next_billing_date or subscription.next_billing_date)


def owed_after_all(context: AnyCommand) -> tuple[BillingPeriod, ...]:
    """The served periods that policy `served_unpaid` bills: the last ones, and no more than the plan has left."""
    subscription, served = context.subscription, context.dates.served_unpaid
    if context.policy.served_unpaid != "owed":
        return ()
    if subscription.plan.cycles is None:
        return served
    left = max(0, subscription.plan.cycles - subscription.cycles - (context.dates.billed is not None))
    return served[max(0, len(served) - left) :]


def cycles_after(context: AnyCommand) -> int:
    """How many periods are billed once the command is done."""
    return context.subscription.cycles + (context.dates.billed is not None) + len(owed_after_all(context))


def count_what_was_served(context: AnyCommand) -> Mapping[str, int]:
    """Periods that are billed after they were served count like any other."""
    return {"cycles": cycles_after(context)}


def goes_on_billing(subscription: Subscription) -> bool:
    """Whether another period is to be billed: recurring billing or the term goes on, and the plan has periods left."""
    on = subscription.recurring_billing or subscription.next_billing_date < subscription.term_end
    return on and has_periods_left(subscription)


def has_periods_left(subscription: Subscription) -> bool:
    """Whether the plan has periods that were not billed yet."""
    cycles = subscription.plan.cycles
    return cycles is None or subscription.cycles < cycles


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
    """As many instalments are left as before where the dates moved or a period was bought; else it stays, if it can."""
    subscription, dates, today = context.subscription, context.dates, context.today
    end = dates.next_billing_date
    if end == subscription.next_billing_date and dates.schedule == subscription.schedule:
        return same(context)
    if end == today and not goes_on_billing(subscription) and resume_rule(context) != "move":
        return today, today
    if dates.schedule != subscription.schedule:
        first = end if dates.billed is None else dates.billed.start
        left = len(_periods(subscription.schedule, subscription.next_billing_date, subscription.term_end))
        if left:
            begun = subscription.term_start if resume_rule(context) == "move" else today
            return begun, dates.schedule.nth_after(first, left)
        if resume_rule(context) == "move":
            return subscription.term_start, end
    elif end <= subscription.term_end:
        return same(context)
    return (today, today) if end == today else _term_from(context, today)


def corrected_term(context: Context[Correct]) -> tuple[date, date]:
    """The end that the command names; without a commitment the term ends with what is billed."""
    subscription, command = context.subscription, context.command
    if command.term_end is not None:
        return subscription.term_start, command.term_end
    if subscription.plan.term is None and command.next_billing_date is not None:
        return subscription.term_start, max(subscription.term_end, command.next_billing_date)
    return same(context)


def trial_term(context: AnyCommand) -> tuple[date, date]:
    """The trial's own."""
    return context.subscription.term_start, context.dates.next_billing_date


def term_as_recovered(context: AnyCommand) -> tuple[date, date]:
    """A new period begins a new term."""
    if begins_anew(context):
        return next_term(context)
    return term_from_today(context)


def term_from_today(context: AnyCommand) -> tuple[date, date]:
    """Where billing begins anew today, so does the term: it is over until the renewal has run."""
    if context.dates.next_billing_date != context.today or context.target not in _BILLED:
        return same(context)
    return context.today, context.today
