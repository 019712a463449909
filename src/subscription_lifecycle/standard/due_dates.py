"""When the clock acts, and the deadlines that states are entered with.

Due rules are pure functions of subscription and policy to an instant; deadlines are local days, pinned when a state is
entered. A window counts from the event; one that ends in deletion counts from the moment its entry is written, so that
nothing irreversible comes sooner than announced.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import attrs

from subscription_lifecycle.machine.guard import Context
from subscription_lifecycle.model.calendar import days_after, local_day, start_of_day
from subscription_lifecycle.model.charge import Debt
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard.billing_dates import (
    cycles_after,
    first_day_without_service,
    goes_on_billing,
    has_periods_left,
)
from subscription_lifecycle.standard.causes import PAUSE, PROVIDER
from subscription_lifecycle.standard.commands import Cancel, Correct, Pause, PauseAsScheduled
from subscription_lifecycle.standard.states import (
    ACTIVE,
    CANCELLED,
    DISABLED,
    EXPIRED,
    PAST_DUE,
    PAUSED,
    SCHEDULED,
    TRIALING,
)

AnyCommand = Context[Command]


# -- when the clock acts


def billing_date(subscription: Subscription, policy: Policy) -> datetime | None:
    """The next billing date, while recurring billing is on or the term runs on (inside a term instalments are due)."""
    return _begins(subscription, subscription.next_billing_date) if _last_day_of(subscription) is None else None


def _last_day_of(subscription: Subscription) -> date | None:
    """Where service ends by itself, if nothing more is to be billed: recurring billing is off and the term over, or
    every period of the plan was billed."""
    if goes_on_billing(subscription):
        return None
    return subscription.term_end if has_periods_left(subscription) else subscription.next_billing_date


def billing_date_within_retries(subscription: Subscription, policy: Policy) -> datetime | None:
    """The next billing date, if it comes before the retries end: when they do, nothing more is added."""
    due, end = billing_date(subscription, policy), end_of_retries(subscription, policy)
    if policy.when_retries_end == "keep":
        return due
    return due if due is None or end is None or due < end else None


def first_billing_date(subscription: Subscription, policy: Policy) -> datetime | None:
    """The first day that is billed."""
    return _begins(subscription, subscription.next_billing_date)


def end_of_term(subscription: Subscription, policy: Policy) -> datetime | None:
    """The term's end, where recurring billing is off and every instalment was billed; the end of the last period."""
    last = _last_day_of(subscription)
    return None if last is None else _begins(subscription, last)


def end_of_trial(subscription: Subscription, policy: Policy) -> datetime | None:
    """The trial's end, if a paid period follows: recurring billing is on and a payment method is there (A13)."""
    return first_billing_date(subscription, policy) if _converts(subscription) else None


def end_of_unconverted_trial(subscription: Subscription, policy: Policy) -> datetime | None:
    """The trial's end, where it does not turn into a paid period (A13)."""
    return None if _converts(subscription) else first_billing_date(subscription, policy)


def _converts(subscription: Subscription) -> bool:
    return subscription.recurring_billing and subscription.payment_method is not None


def date_of_cancellation(subscription: Subscription, policy: Policy) -> datetime | None:
    """The day a cancellation was asked for; once service is back, if that is later."""
    if subscription.cancellation is None:
        return None
    asked = _begins(subscription, subscription.cancellation.on)
    return asked if subscription.since is None else max(asked, subscription.since)


def date_of_pause(subscription: Subscription, policy: Policy) -> datetime | None:
    """The day a pause was asked for; the day service is in good standing again, if that is later and some of it is
    left. None where service ends before."""
    pause, ends = subscription.pause, _last_day_of(subscription)
    if pause is None or (ends is not None and ends <= pause.on):
        return None
    day = pause.on
    if subscription.since is not None:
        day = max(day, local_day(subscription.since, subscription.time_zone))
    return None if pause.until is not None and pause.until <= day else _begins(subscription, day)


def deadline(subscription: Subscription, policy: Policy) -> datetime | None:
    """The promised end of the state."""
    return None if subscription.until is None else _begins(subscription, subscription.until)


def next_retry(subscription: Subscription, policy: Policy) -> datetime | None:
    """The policy's next retry day, counted from the oldest debt.

    None for what is paid by invoice, nor for a method that was declined for good or whose payment is disputed, unless
    policy asks it again.
    """
    oldest, method = oldest_debt(subscription), subscription.payment_method
    if oldest is None or (method is not None and policy.activation(method.kind) == "at_once"):
        return None
    if method is not None and method == subscription.declined_method and policy.after_hard_decline == "stop":
        return None
    if method is not None and method == subscription.disputed_method and policy.disputed_method == "skip":
        return None
    last = max(oldest, subscription.attempted_on or oldest)
    days = [day for count in policy.retry_after if (day := oldest + timedelta(days=count)) > last]
    if not days:
        return None
    if subscription.since is None:
        return _begins(subscription, days[0])
    # Days that passed while a block stood are made good once, when it is lifted.
    missed = [day for day in days if _begins(subscription, day) <= subscription.since]
    return subscription.since if missed else _begins(subscription, days[0])


def next_retry_without_service(subscription: Subscription, policy: Policy) -> datetime | None:
    """As `next_retry`, while service is off and before the deadline; behind the billing date only while it recurs."""
    since, until = subscription.since, subscription.until
    if since is None:
        return None
    # Days that passed before service went off are over.
    went_off = local_day(since, subscription.time_zone)
    if _begins(subscription, went_off) == since:
        went_off -= timedelta(days=1)
    last = max(went_off, subscription.attempted_on or went_off)
    due = next_retry(subscription.changed({"attempted_on": last}), policy)
    if due is None or (until is not None and due >= _begins(subscription, until)):
        return None
    passed = due >= _begins(subscription, subscription.next_billing_date)
    return due if subscription.recurring_billing or not passed else None


def end_of_retries_that_disables(subscription: Subscription, policy: Policy) -> datetime | None:
    """The end of the retries, or of service. Past due for as long as nothing is paid, if policy says "keep"."""
    if policy.when_retries_end == "keep":
        return end_of_term(subscription, policy)
    return end_of_retries(subscription, policy) if policy.when_retries_end == "disable" else None


def end_of_retries_that_cancels(subscription: Subscription, policy: Policy) -> datetime | None:
    """The same, where policy cancels then."""
    return end_of_retries(subscription, policy) if policy.when_retries_end == "cancel" else None


def end_of_retries(subscription: Subscription, policy: Policy) -> datetime | None:
    """The end of the retries, or of the term where recurring billing is off, whichever is first."""
    ends = [subscription.until or _end_of_retries(subscription, policy), _last_day_of(subscription)]
    found = [day for day in ends if day is not None]
    return _begins(subscription, min(found)) if found else None


def _begins(subscription: Subscription, day: date) -> datetime:
    return start_of_day(day, subscription.time_zone)


def oldest_debt(subscription: Subscription) -> date | None:
    """Since when the debt is owed that dunning counts from; none for debts that wait for an operator."""
    return min((debt.since for debt in subscription.arrears if not debt.held), default=None)


def _end_of_retries(subscription: Subscription, policy: Policy) -> date | None:
    oldest = oldest_debt(subscription)
    return None if oldest is None else oldest + timedelta(days=policy.retry_days)


# -- deadlines of the state that is entered


def no_deadline(context: AnyCommand) -> date | None:
    """The clock is held."""
    return None


def expired_window(context: AnyCommand) -> date | None:
    """The days in EXPIRED, from the term's end."""
    return days_after(context.at, context.policy.expired_days, context.subscription.time_zone)


def disabled_window(context: AnyCommand) -> date | None:
    """The days in DISABLED, from when it is written: deletion follows."""
    return days_after(context.now, context.policy.disabled_days, context.subscription.time_zone)


def cancelled_window(context: AnyCommand) -> date | None:
    """The days in CANCELLED, from when it is written: deletion follows."""
    return days_after(context.now, context.policy.cancelled_days, context.subscription.time_zone)


def retries(context: AnyCommand) -> date | None:
    """The days of retries, from the oldest debt; the last day of service, if that is first."""
    kept = context.subscription.until if context.subscription.state == PAST_DUE else None
    return _no_later_than_service(context, kept or _retries_from(context, oldest_debt(context.subscription)))


def _retries_from(context: AnyCommand, oldest: date | None) -> date | None:
    """Where they end, counted from that debt, or from today; None where they end nothing."""
    if context.policy.when_retries_end == "keep":
        return None
    return min(oldest or context.today, context.today) + timedelta(days=context.policy.retry_days)


def _no_later_than_service(context: AnyCommand, end: date | None) -> date | None:
    ends = [day for day in (end, end_of_service(context)) if day is not None]
    return min(ends, default=None)


def end_of_service(context: AnyCommand) -> date | None:
    """In ACTIVE, where recurring billing is off: a cancellation that was asked for, or the term's end."""
    return _last_period(context) if context.subscription.recurring_billing else _last_day(context)


def end_of_service_now(context: AnyCommand) -> date | None:
    """As recurring billing goes off; another state's deadline stays, past due no later than the end of service."""
    until = context.subscription.until
    if context.target == PAST_DUE:
        return min(_last_day(context), until or date.max)
    return _last_day(context) if context.target == ACTIVE else until


def no_end_of_service(context: AnyCommand) -> date | None:
    """As recurring billing goes on, the end of the plan's last period if it runs; past due, the end of the retries
    again; another state's deadline stays."""
    until = context.subscription.until
    if context.target == PAST_DUE:
        end = _retries_from(context, oldest_debt(context.subscription))
        ends = [day for day in (end and max(end, until or end), _last_period(context)) if day is not None]
        return min(ends, default=None)
    return _last_period(context) if context.target == ACTIVE else until


def _last_period(context: AnyCommand) -> date | None:
    """The end of the plan's last period, once that one was billed."""
    cycles = context.subscription.plan.cycles
    return None if cycles is None or cycles_after(context) < cycles else context.dates.next_billing_date


def corrected_deadline(context: Context[Correct]) -> date | None:
    """The day that the command names; else, in ACTIVE, the end of service as the corrected dates have it."""
    if context.command.until is not None:
        return context.command.until
    moved = context.command.next_billing_date is not None or context.command.term_end is not None
    return end_of_service(context) if moved and context.target == ACTIVE else context.subscription.until


def deadline_if_settled(context: AnyCommand) -> date | None:
    """As service is in good standing again; else the state's own deadline stays."""
    return end_of_service(context) if context.target == ACTIVE else context.subscription.until


def _last_day(context: AnyCommand) -> date:
    _, term_end = context.term
    when = getattr(context.command, "when", None)
    asked = when if isinstance(when, date) else None
    # Whoever cancels once more replaces the day that was asked for before.
    scheduled = None if isinstance(context.command, Cancel) else context.subscription.cancellation
    to_come = scheduled is not None and scheduled.on > context.today
    days = [term_end, *([asked] if asked else []), *([scheduled.on] if scheduled and to_come else [])]
    cycles = context.subscription.plan.cycles
    if cycles is not None:
        left = cycles - cycles_after(context)
        billed_until = context.dates.next_billing_date
        days.append(context.dates.schedule.nth_after(billed_until, left) if left > 0 else billed_until)
    return min(days)


def resume_date(context: AnyCommand) -> date:
    """The day a pause was asked to end on, or the last that policy allows."""
    subscription, command = context.subscription, context.command
    asked, begun = None, context.today
    if PAUSE in subscription.causes:
        begun, paused = first_day_without_service(context), subscription.paused
        asked = None if paused is None else paused.until
    if isinstance(command, Pause):
        asked = command.until
    elif isinstance(command, PauseAsScheduled) and subscription.pause is not None:
        asked = subscription.pause.until
    return asked or begun + timedelta(days=context.policy.pause_days)


def retries_after_the_pause(context: AnyCommand) -> date | None:
    """The days of retries, from today: while it was paused nobody was asked to pay."""
    return _no_later_than_service(context, _retries_from(context, context.today))


def extended_trial(context: AnyCommand) -> date:
    """The trial's new end."""
    return context.dates.next_billing_date


def deadline_it_had(context: AnyCommand) -> date | None:
    """The deadline of the state that is returned to; before deletion never less than a day that is still to come."""
    subscription, held = context.subscription, context.subscription.held_until
    if another_block_stands(context):
        return None
    match context.target:
        case state if state == ACTIVE:
            return end_of_service(context)
        case state if state == PAST_DUE:
            if subscription.state == PAUSED:
                return held or retries_after_the_pause(context)
            blocked = days_of_the_block(context)
            oldest = oldest_debt(subscription.changed({"arrears": owed_since_later(context, blocked)}))
            return _no_later_than_service(context, held + blocked if held else _retries_from(context, oldest))
        case state if state == PAUSED:
            return max(held or resume_date(context), context.today)
        case state if state in (TRIALING, SCHEDULED):
            return context.dates.next_billing_date
        case state if state == EXPIRED:
            return held or expired_window(context)
        case state if state == CANCELLED:
            return held if held is not None and held > context.today else cancelled_window(context)
        case state if state == DISABLED:
            return held if held is not None and held > context.today else disabled_window(context)
        case _:
            return subscription.until


def days_of_the_block(context: AnyCommand) -> timedelta:
    """The local days for which the provider's block held dunning, as it is lifted."""
    since = context.subscription.since
    return context.today - local_day(since or context.at, context.subscription.time_zone)


def owed_since_later(context: AnyCommand, blocked: timedelta) -> tuple[Debt, ...]:
    """Nobody was asked for them while the block stood: they fall due as many days later, and not behind today."""
    subscription = context.subscription
    return tuple(
        attrs.evolve(
            debt,
            period=context.dates.moved_along(subscription, debt.period),
            since=min(debt.since + blocked, context.today),
        )
        for debt in subscription.arrears
    )


def another_block_stands(context: AnyCommand) -> bool:
    """Whether the clock is held still when the row's own cause is lifted: by one as strong as the provider's block."""
    causes = context.subscription.causes
    lifted = context.row.lifts or causes[:1]
    return any(cause.rank <= PROVIDER.rank for cause in causes if cause not in lifted)


def deadline_of_the_state(context: AnyCommand) -> date | None:
    """The deadline it was brought with, or the window of its state from today."""
    subscription = context.subscription
    if subscription.until is not None or subscription.cause == PROVIDER:
        return subscription.until
    windows = {
        EXPIRED: expired_window,
        DISABLED: disabled_window,
        CANCELLED: cancelled_window,
        PAST_DUE: retries,
        ACTIVE: end_of_service,
        PAUSED: resume_date,
    }
    rule = windows.get(subscription.state)
    return subscription.next_billing_date if rule is None else rule(context)
