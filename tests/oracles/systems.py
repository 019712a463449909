"""Other billing systems as lifecycles: rows of named rules and a policy each, and their words for our conditions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import attrs
from tests.oracles.published import Case

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DELETED,
    DISABLED,
    EXPIRED,
    NON_PAYMENT,
    PAST_DUE,
    PAUSED,
    SCHEDULED,
    STANDARD,
    TRIALING,
    Access,
    Cause,
    Command,
    Context,
    DunningStep,
    Policy,
    State,
    guard,
)
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.machine.transition import INTERRUPTED_STATE, Transition
from subscription_lifecycle.model.calendar import start_of_day
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.schedule import BillingSchedule
from subscription_lifecycle.standard import (
    BillingDates,
    all_forgiven,
    arrears,
    billing_date,
    cancelled_window,
    choose_payment_method,
    deadline_it_had,
    end_of_service,
    is_due,
    may_manage_billing,
    new_term,
    next_period,
    next_term,
    next_term_when_over,
    nothing,
    one_period,
    owe_the_period,
    restarted,
    resume_date,
    retries,
    trial_term,
)
from subscription_lifecycle.standard.causes import CUSTOMER, DUNNING, PAUSE
from subscription_lifecycle.standard.commands import Cancel, Expire, Pause, PayArrears, Reactivate, Renew, Resume
from subscription_lifecycle.standard.groups import NEW_PERIOD, NEXT_PERIOD, PAID_BY_ANY, SAME_PERIOD

LONG: Final = 3650
LASTING: Final[dict[str, Any]] = {
    "expired_days": LONG,
    "disabled_days": LONG,
    "cancelled_days": LONG,
    "pause_days": LONG,
}
"""Windows that close behind no case: none of them says when anything is deleted."""

RESUMED_BY_DATE = (
    Transition(
        Resume,
        PAUSED,
        INTERRUPTED_STATE,
        date="ahead",
        lifts=PAUSE,
        guards=[may_manage_billing, *PAID_BY_ANY],
        charge=arrears,
        until=deadline_it_had,
        effects=[choose_payment_method],
    ),
    Transition(
        Resume,
        PAUSED,
        INTERRUPTED_STATE,
        date="passed",
        lifts=PAUSE,
        guards=[may_manage_billing, *PAID_BY_ANY],
        charge=(arrears, one_period),
        billing_date=restarted,
        commitment=new_term,
        until=deadline_it_had,
        effects=[choose_payment_method],
    ),
)
"""Inside the period it goes on; after it a new one is bought."""


def lasting(**policy: Any) -> Lifecycle:
    return STANDARD.with_policies(Policy(**(LASTING | policy)))


# ---- Maxio -----------------------------------------------------------------------------------------------------------

TRIAL_ENDED = State("trial_ended", access=Access.NONE)
LEFT_THE_TRIAL = Cause("left_the_trial", 45)


@attrs.frozen
class ReactivateIntoTrial(Command, stored=False):
    """The flag `include_trial`."""

    payment_method: PaymentMethod | None = None


def a_trial_from_today(context: Context[Command]) -> BillingDates:
    trial = context.subscription.plan.trial
    assert trial is not None
    end = BillingSchedule(context.today, trial).next_date(context.today)
    return BillingDates(context.subscription.schedule.restarted(end), end)


@guard("pause.renewal", "The renewal is less than a day away.", remedy="Wait for it.")
def renewal_is_a_day_away(context: Context[Command]) -> bool:
    subscription = context.subscription
    return start_of_day(subscription.next_billing_date, subscription.time_zone) - context.at >= timedelta(days=1)


def maxio(case: Case) -> Lifecycle:
    lifecycle = (
        lasting()
        .without(Resume, PAUSED)
        .replace(Expire, TRIALING, target=TRIAL_ENDED, until=None)
        .replace(Cancel, TRIALING, case="now", target=TRIAL_ENDED, adds=LEFT_THE_TRIAL)
        .guarded(Pause, renewal_is_a_day_away, source=ACTIVE)
        .extend(
            *RESUMED_BY_DATE,
            Transition(
                Reactivate,
                TRIAL_ENDED,
                INTERRUPTED_STATE,
                cause=LEFT_THE_TRIAL,
                date="ahead",
                guards=SAME_PERIOD,
                until=deadline_it_had,
                effects=[choose_payment_method],
            ),
            Transition(
                Reactivate,
                TRIAL_ENDED,
                ACTIVE,
                date="passed",
                lifts=LEFT_THE_TRIAL,
                guards=NEW_PERIOD,
                charge=(arrears, one_period),
                billing_date=restarted,
                commitment=new_term,
                until=end_of_service,
                effects=[choose_payment_method],
            ),
            Transition(
                ReactivateIntoTrial,
                CANCELLED,
                TRIALING,
                lifts=(CUSTOMER, DUNNING, PAUSE),
                guards=[may_manage_billing],
                billing_date=a_trial_from_today,
                commitment=trial_term,
                until=deadline_it_had,
                effects=[choose_payment_method, lambda context: {"trial_end": context.dates.next_billing_date}],
            ),
        )
    )
    if case["when"].get("policy") != "restart":
        return lifecycle
    return lifecycle.replace(
        Reactivate,
        CANCELLED,
        date="ahead",
        target=ACTIVE,
        charge=(arrears, one_period),
        billing_date=restarted,
        commitment=new_term,
        until=end_of_service,
    )


# ---- the others ------------------------------------------------------------------------------------------------------


def chargebee(case: Case) -> Lifecycle:
    return lasting().without(Resume, PAUSED).extend(*RESUMED_BY_DATE)


def revenuecat(case: Case) -> Lifecycle:
    """Without grace, service is gone on the day of the decline."""
    grace = case["given"].get("grace_days", 0)
    gone = (DunningStep(grace, "expired", Access.NONE),)
    return lasting(retry_days=grace, retry_after=(), dunning=gone, recovery="restart")


def apple(case: Case) -> Lifecycle:
    """Service while it is in grace, then none until the retries end; what grace gave is never asked for."""
    grace, end = case["given"]["grace_days"], case["given"]["retry_days"]
    lifecycle = lasting(retry_days=grace, retry_after=(), disabled_days=end - grace, recovery="restart")
    for ahead in ("ahead", "passed"):
        lifecycle = lifecycle.replace(
            PayArrears, DISABLED, cause=NON_PAYMENT, date=ahead, charge=(all_forgiven, one_period)
        )
    return lifecycle


def recurly(case: Case) -> Lifecycle:
    return lasting()


@guard("resume.period_over", "The period that was paused is over: it cannot be continued.", remedy="Start a new one.")
def paused_period_still_runs(context: Context[Command]) -> bool:
    return context.today < context.subscription.next_billing_date


def paddle(case: Case) -> Lifecycle:
    if case["when"].get("policy") == "continue_existing_billing_period":
        return lasting(resume="keep").guarded(Resume, paused_period_still_runs, source=PAUSED)
    return lasting(resume="restart")


def yuno(case: Case) -> Lifecycle:
    resume = {"KEEP": "keep", "RESTART": "restart"}.get(case["when"].get("policy", "KEEP"))
    return lasting(resume=resume, reactivation_days=30)


COLLECTION_PAUSED = State("collection_paused", access=Access.FULL)


@attrs.frozen
class PauseCollection(Command, stored=False):
    """With `mark_uncollectible`: service goes on, its periods are billed and given up."""


def stripe(case: Case) -> Lifecycle:
    final = {"unpaid": "disable", "canceled": "cancel", "past_due": "keep"}[case["given"].get("final_action", "unpaid")]
    lifecycle = lasting(when_retries_end=final, resume="keep").extend(
        Transition(PauseCollection, ACTIVE, COLLECTION_PAUSED, guards=[may_manage_billing]),
        Transition(
            Renew,
            COLLECTION_PAUSED,
            COLLECTION_PAUSED,
            date="passed",
            guards=[is_due],
            due=billing_date,
            billing_date=next_period,
            commitment=next_term_when_over,
        ),
    )
    match case["given"].get("missing_payment_method"):
        case "pause":
            return lifecycle.replace(Expire, TRIALING, target=PAUSED, adds=PAUSE, until=resume_date)
        case "cancel":
            return lifecycle.replace(Expire, TRIALING, target=CANCELLED, adds=CUSTOMER, until=cancelled_window)
        case "create_invoice":
            return lifecycle.replace(
                Expire,
                TRIALING,
                target=PAST_DUE,
                billing_date=next_period,
                commitment=new_term,
                until=retries,
                effects=[owe_the_period],
            )
        case _:
            return lifecycle


def polar(case: Case) -> Lifecycle:
    """What lapsed is reinstated from its old end on, and nothing is charged."""
    return lasting().replace(
        Reactivate, EXPIRED, charge=nothing, billing_date=next_period, commitment=next_term, guards=NEXT_PERIOD
    )


Words = Mapping[tuple[State, Cause | None], str]


@attrs.frozen
class System:
    """`words`: what it calls our conditions; `ending`: what it calls ACTIVE with recurring billing off."""

    lifecycle: Any
    words: Words
    ending: str | None = None
    events: Mapping[tuple[str, str], tuple[str, ...]] = {}
    codes: Mapping[str, str] = {}


SYSTEMS: Final[Mapping[str, System]] = {
    "maxio": System(
        maxio,
        {
            (ACTIVE, None): "active",
            (TRIALING, None): "trialing",
            (TRIAL_ENDED, None): "trial_ended",
            (TRIAL_ENDED, LEFT_THE_TRIAL): "trial_ended",
            (CANCELLED, CUSTOMER): "canceled",
            (EXPIRED, None): "expired",
            (PAUSED, PAUSE): "on_hold",
        },
    ),
    "chargebee": System(
        chargebee, {(ACTIVE, None): "active", (CANCELLED, CUSTOMER): "canceled", (PAUSED, PAUSE): "paused"}
    ),
    "rc": System(
        revenuecat,
        {(ACTIVE, None): "active", (DISABLED, NON_PAYMENT): "expired"},
        ending="cancelled_not_expired",
        events={
            ("Renew", "declined"): ("BILLING_ISSUE",),
            ("Disable", "applied"): ("CANCELLATION", "EXPIRATION"),
            ("PayArrears", "applied"): ("RENEWAL",),
            ("SetRecurringBilling", "applied"): ("UNCANCELLATION",),
        },
    ),
    "apple": System(apple, {(ACTIVE, None): "active"}),
    "recurly": System(
        recurly, {(ACTIVE, None): "active", (TRIALING, None): "active", (DELETED, None): "failed"}, ending="canceled"
    ),
    "paddle": System(paddle, {(ACTIVE, None): "active", (PAUSED, PAUSE): "paused"}),
    "yuno": System(
        yuno,
        {
            (ACTIVE, None): "ACTIVE",
            (TRIALING, None): "TRIALING",
            (CANCELLED, CUSTOMER): "CANCELED",
            (EXPIRED, None): "COMPLETED",
            (PAUSED, PAUSE): "PAUSED",
        },
        codes={"not_possible": "INVALID_SUBSCRIPTION_STATUS"},
    ),
    "stripe": System(
        stripe,
        {
            (SCHEDULED, None): "incomplete",
            (DELETED, None): "incomplete_expired",
            (ACTIVE, None): "active",
            (COLLECTION_PAUSED, None): "active",
            (TRIALING, None): "trialing",
            (PAST_DUE, None): "past_due",
            (DISABLED, NON_PAYMENT): "unpaid",
            (CANCELLED, CUSTOMER): "canceled",
            (PAUSED, PAUSE): "paused",
        },
    ),
    "polar": System(polar, {(ACTIVE, None): "active", (EXPIRED, None): "canceled"}),
}
