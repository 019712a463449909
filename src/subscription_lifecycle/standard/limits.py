"""How soon, how long and how often: the limits that policy and plan set."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from subscription_lifecycle.machine.guard import Context, guard
from subscription_lifecycle.model.actor import Role
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.standard.billing_dates import (
    after_the_pause,
    begins_anew,
    first_day_without_service,
    has_periods_left,
)
from subscription_lifecycle.standard.causes import LAPSED, NON_PAYMENT, PAUSE
from subscription_lifecycle.standard.commands import ExtendTrial, Pause, Reactivate, Resume
from subscription_lifecycle.standard.states import SCHEDULED, TRIALING

AnyCommand = Context[Command]


def _support(policy: Policy) -> Iterable[Role]:
    return policy.support_roles


@guard(
    "notice.short",
    "The end of service must be asked for earlier.",
    remedy="Choose a day from {earliest} on, or ask support.",
    reads_command=True,
    allowed_roles=_support,
    details=lambda context: {"earliest": context.today + timedelta(days=context.policy.notice_days)},
)
def notice_is_given(context: AnyCommand) -> bool:
    if not context.policy.notice_days or context.by.roles & context.policy.support_roles:
        return True
    if context.subscription.state in (SCHEDULED, TRIALING):
        # Who tries it out, or waits for it to begin, would have to pay to be allowed to leave.
        return True
    when = getattr(context.command, "when", "term_end")
    last = context.today if when == "now" else context.subscription.term_end if isinstance(when, str) else when
    return bool(context.today + timedelta(days=context.policy.notice_days) <= last)


@guard(
    "cycles.none",
    "Every period that the plan has was billed.",
    remedy="Start a new subscription.",
)
def cycles_are_left(context: AnyCommand) -> bool:
    return has_periods_left(context.subscription)


@guard(
    "reactivate.too_late",
    "The time in which it could be reactivated is over.",
    remedy="Ask support, or start a new subscription.",
    allowed_roles=_support,
)
def reactivation_is_in_time(context: AnyCommand) -> bool:
    subscription, days = context.subscription, context.policy.reactivation_days
    if days is None or subscription.since is None or context.by.roles & context.policy.support_roles:
        return True
    ended = local_day(subscription.since, subscription.time_zone)
    if subscription.cause == LAPSED:
        # It ended when it expired, which was before it lapsed.
        ended = min(ended, subscription.next_billing_date)
    return context.today <= ended + timedelta(days=days)


@guard(
    "reactivate.period_over",
    "The period that was interrupted is over: it cannot be kept.",
    remedy="Leave keep_or_refuse out.",
    reads_command=True,
)
def period_is_kept_or_refused(context: Context[Reactivate]) -> bool:
    kept = context.today < context.subscription.next_billing_date
    if context.subscription.cause == NON_PAYMENT:
        kept = kept and not begins_anew(context)
    return kept or not context.command.keep_or_refuse


@guard(
    "reactivate.start_on",
    "Only support may let a new period begin on an earlier day, and only one that still runs, on unbilled days.",
    remedy="Leave start_on out, or choose a later day.",
    reads_command=True,
)
def earlier_start_is_possible(context: Context[Reactivate]) -> bool:
    start, subscription = context.command.start_on, context.subscription
    if start is None:
        return True
    ended = context.today if subscription.since is None else local_day(subscription.since, subscription.time_zone)
    unbilled = max(ended, subscription.next_billing_date) <= start <= context.today
    by_support = bool(context.by.roles & context.policy.support_roles)
    return by_support and unbilled and subscription.schedule.restarted(start).next_date(after=start) > context.today


@guard(
    "reactivate.not_new",
    "No new period is bought here that could begin on an earlier day.",
    remedy="Leave start_on out.",
    reads_command=True,
)
def no_earlier_start_is_asked_for(context: Context[Reactivate]) -> bool:
    return context.command.start_on is None


@guard("arrears.some", "Something is owed.", remedy="Pay what is owed first.")
def nothing_is_owed(context: AnyCommand) -> bool:
    return not context.subscription.arrears


@guard(
    "pause.again",
    "It was paused in this billing period already.",
    remedy="Wait for the next period, or ask support.",
    reads_command=True,
    allowed_roles=_support,
)
def pause_is_the_first_of_the_period(context: Context[Pause]) -> bool:
    subscription, paused = context.subscription, context.subscription.paused
    first = paused is None or paused.cycles < subscription.cycles
    first = first or first_day_of_pause(context) >= subscription.next_billing_date
    return first or bool(context.by.roles & context.policy.support_roles)


@guard(
    "pause.date",
    "A pause begins later than today, and before service ends.",
    remedy='Choose such a day, or when="now".',
    reads_command=True,
)
def pause_is_to_come(context: Context[Pause]) -> bool:
    subscription = context.subscription
    on = first_day_of_pause(context)
    ends = max(subscription.next_billing_date, subscription.term_end)
    cycles = subscription.plan.cycles
    if cycles is not None and subscription.cycles >= cycles:
        ends = subscription.next_billing_date
    elif subscription.recurring_billing:
        ends = date.max
    if subscription.cancellation is not None:
        ends = min(ends, subscription.cancellation.on)
    return context.today < on < ends


@guard(
    "pause.length",
    "A pause ends after it began, and lasts no longer than policy allows.",
    remedy="Choose a day up to {latest}.",
    reads_command=True,
    details=lambda context: {"latest": _latest_resumption(context)},
)
def pause_is_short_enough(context: Context[Pause]) -> bool:
    until = context.command.until
    return until is None or max(context.today, first_day_of_pause(context)) < until <= _latest_resumption(context)


def first_day_of_pause(context: Context[Pause]) -> date:
    """The local day from which service is to be interrupted, or was."""
    subscription, when = context.subscription, context.command.when
    if PAUSE in subscription.causes:
        return first_day_without_service(context)
    if isinstance(when, date):
        return when
    return context.today if when == "now" else subscription.next_billing_date


def _latest_resumption(context: Context[Pause]) -> date:
    return first_day_of_pause(context) + timedelta(days=context.policy.pause_days)


@guard(
    "resume.payment_method",
    "There is something to pay and no payment method.",
    remedy="Give a payment method.",
    reads_command=True,
)
def resuming_can_be_paid(context: Context[Resume]) -> bool:
    if context.payment_method is not None or not context.subscription.price:
        return True
    bills = after_the_pause(context).billed is not None
    return not bills and (not context.subscription.arrears or context.policy.arrears != "collect")


@guard("pause.none", "No pause is asked for.", remedy="There is nothing to withdraw.")
def pause_is_scheduled(context: AnyCommand) -> bool:
    return context.subscription.pause is not None


@guard("trial.extended", "The trial was extended already.", remedy="Convert it, or let it end.")
def trial_was_not_extended(context: AnyCommand) -> bool:
    return not context.subscription.trial_extended


@guard(
    "trial.early",
    "A trial is extended in its last days only.",
    remedy="Ask again from {from_day} on.",
    details=lambda context: {"from_day": _extendable_from(context)},
)
def trial_is_about_to_end(context: AnyCommand) -> bool:
    return context.today >= _extendable_from(context)


def _extendable_from(context: AnyCommand) -> date:
    return context.subscription.next_billing_date - timedelta(days=context.policy.trial_extension_within)


@guard(
    "trial.length",
    "A trial is extended to a later day, and no further than policy allows.",
    remedy="Choose a day up to {latest}.",
    reads_command=True,
    details=lambda context: {"latest": _latest_trial_end(context)},
)
def extension_is_short_enough(context: Context[ExtendTrial]) -> bool:
    until = context.command.until
    return until is None or context.subscription.next_billing_date < until <= _latest_trial_end(context)


def _latest_trial_end(context: AnyCommand) -> date:
    return context.subscription.next_billing_date + timedelta(days=context.policy.trial_extension_days)
