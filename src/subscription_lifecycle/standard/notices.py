"""What is announced before it comes, and when; and what dunning does to access meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta

from subscription_lifecycle.model.calendar import start_of_day
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.model.state import Access
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard.causes import PROVIDER
from subscription_lifecycle.standard.due_dates import billing_date, deadline, oldest_debt


def _billing_date(subscription: Subscription, policy: Policy) -> date | None:
    on = subscription.next_billing_date
    if billing_date(subscription, policy) is None or _interrupted_before(subscription, policy, on):
        return None
    return on


def _interrupted_before(subscription: Subscription, policy: Policy, on: date) -> bool:
    """Whether a cancellation or a pause that was asked for comes first, and the renewal not on that day."""
    cancellation, pause = subscription.cancellation, subscription.pause
    if cancellation is not None and cancellation.on <= on:
        return True
    if pause is None or pause.on > on:
        return False
    resumes = pause.until or pause.on + timedelta(days=policy.pause_days)
    moves = policy.resume == "restart" or (policy.resume == "move" and subscription.schedule.align != "calendar")
    return moves or resumes > on


def _trial_end(subscription: Subscription, policy: Policy) -> date | None:
    return subscription.next_billing_date


def _expiry(subscription: Subscription, policy: Policy) -> date | None:
    return subscription.until


def _deletion(subscription: Subscription, policy: Policy) -> date | None:
    return None if subscription.cause == PROVIDER else subscription.until


def _card_expiry(subscription: Subscription, policy: Policy) -> date | None:
    return None if subscription.payment_method is None else subscription.payment_method.expires


def _rung(subscription: Subscription, policy: Policy) -> date | None:
    """The first rung below the last that was announced, of this debt; of those that passed during a block, the last."""
    oldest, told = oldest_debt(subscription), subscription.noticed.get("dunning")
    if oldest is None or subscription.cause == PROVIDER:
        return None
    days = (oldest + timedelta(days=step.days) for step in policy.dunning)
    below = [day for day in days if told is None or told < oldest or day > told]
    since, zone = subscription.since, subscription.time_zone
    passed = [day for day in below if since is not None and start_of_day(day, zone) <= since]
    return passed[-1] if passed else next(iter(below), None)


_TO_COME: Mapping[str, Callable[[Subscription, Policy], date | None]] = {
    "renewal": _billing_date,
    "trial_end": _trial_end,
    "expiry": _expiry,
    "deletion": _deletion,
    "card_expiry": _card_expiry,
    "dunning": _rung,
}


def what_is_to_come(notice: str, subscription: Subscription, policy: Policy) -> date | None:
    """The local day that an announcement of this kind is about; None where nothing is to come."""
    return _TO_COME[notice](subscription, policy)


def _days_before(notice: str, subscription: Subscription, policy: Policy) -> datetime | None:
    days = policy.notices.get(notice) if policy.notices else None
    about = None if days is None else what_is_to_come(notice, subscription, policy)
    if days is None or about is None or subscription.noticed.get(notice) == about:
        return None
    instant = start_of_day(about - timedelta(days=days), subscription.time_zone)
    # Not before there was anything to announce: the state, and the period that ends.
    began = [instant] if subscription.since is None else [instant, subscription.since]
    if notice == "renewal" or (notice == "expiry" and subscription.recurring_billing):
        before = about - timedelta(days=1)
        began.append(start_of_day(subscription.schedule.period_containing(before).start, subscription.time_zone))
    return max(began)


def before_renewal(subscription: Subscription, policy: Policy) -> datetime | None:
    """As many days before the next billing date as policy says."""
    return _days_before("renewal", subscription, policy)


def before_trial_end(subscription: Subscription, policy: Policy) -> datetime | None:
    """As many days before a trial ends as policy says."""
    return _days_before("trial_end", subscription, policy)


def before_expiry(subscription: Subscription, policy: Policy) -> datetime | None:
    """As many days before service runs out as policy says."""
    return _days_before("expiry", subscription, policy)


def before_deletion(subscription: Subscription, policy: Policy) -> datetime | None:
    """As many days before it is deleted as policy says."""
    return _days_before("deletion", subscription, policy)


def deadline_announced(subscription: Subscription, policy: Policy) -> datetime | None:
    """The promised end of the state; where policy says that it is announced, not before it was."""
    announced = "deletion" not in policy.notices or subscription.noticed.get("deletion") == subscription.until
    return deadline(subscription, policy) if announced else None


def before_card_expiry(subscription: Subscription, policy: Policy) -> datetime | None:
    """As many days before the card expires as policy says."""
    return _days_before("card_expiry", subscription, policy)


def next_rung(subscription: Subscription, policy: Policy) -> datetime | None:
    """The next rung of the ladder, timed from the oldest debt."""
    day = _rung(subscription, policy) if policy.dunning else None
    if day is None:
        return None
    instant = start_of_day(day, subscription.time_zone)
    return instant if subscription.since is None else max(instant, subscription.since)


def access_while_owing(subscription: Subscription, policy: Policy, today: date) -> Access:
    """What the state says, and no more than the rung of the ladder that the oldest debt has reached."""
    access, oldest = subscription.state.access, oldest_debt(subscription) if policy.dunning else None
    if oldest is None:
        return access
    reached = [step.access for step in policy.dunning if oldest + timedelta(days=step.days) <= today]
    return min([access, *reached], key=lambda access: access.width)
