"""Kill Bill as a lifecycle: its ladder, its catalog's default, and its words for our conditions."""

from __future__ import annotations

from typing import Final

from tests.oracles.published import Case
from tests.oracles.systems import LASTING, LONG

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DISABLED,
    EXPIRED,
    NON_PAYMENT,
    PAST_DUE,
    SCHEDULED,
    STANDARD,
    TRIALING,
    Access,
    Command,
    Context,
    DunningStep,
    Money,
    Policy,
)
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.machine.transition import Transition
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.charge import Charge
from subscription_lifecycle.model.schedule import MONTHLY, Period
from subscription_lifecycle.standard import (
    advanced,
    all_owed,
    cancelled_window,
    end_of_service,
    first_billing_date,
    is_due,
    new_term,
    rest_of_period,
)
from subscription_lifecycle.standard.causes import DUNNING
from subscription_lifecycle.standard.commands import CancelForNonPayment, PayArrears, RetryPayment, Start

PRICES: Final = {"Shotgun": "249.95", "Pistol": "29.95"}
TERMS: Final = {"MONTHLY": MONTHLY, "ANNUAL": Period(1, "year"), "WEEKLY": Period(1, "week")}
TRIAL: Final = Period(30, "day")
ENTITLEMENTS: Final = {
    SCHEDULED: "PENDING",
    TRIALING: "ACTIVE",
    ACTIVE: "ACTIVE",
    PAST_DUE: "ACTIVE",
    DISABLED: "BLOCKED",
    CANCELLED: "CANCELLED",
    EXPIRED: "EXPIRED",
}
CYCLE_DAYS: Final = {"TestIntegration.java#testBasePlanCompleteWithBillingDayInPast:245": 31}
"""The account's own, where it is not the day of its first paid period; the data shows it in the bills only."""


def takes_access(rung: Case) -> bool:
    return "cancel" in rung or bool(rung.get("block_entitlement_and_billing"))


def cancels_at_the_end(policy: Case | None) -> bool:
    return policy is not None and any(rung.get("cancel") == "END_OF_TERM" for rung in policy["states_worst_first"])


def blocked_days_are_credited(context: Context[Command]) -> Charge:
    """Of what is owed, the days that service was off."""
    subscription = context.subscription
    assert subscription.since is not None
    off, credit = local_day(subscription.since, subscription.time_zone), Money.zero(subscription.currency)
    for debt in subscription.arrears:
        days = (debt.period.end - max(off, debt.period.start)).days
        if days > 0:
            credit = credit + debt.amount.prorated(days, debt.period.days)
    return Charge(credits=credit)


def kill_bill(policy: Case | None) -> Lifecycle:
    """Its ladder as ours; service ends on the first rung that blocks or cancels, and billing with it.

    Paid then, the rest of the cycle is billed on the old cycle day, and the blocked days are credited. A rung that
    cancels at the term's end takes access at once and is cancelled on the next billing date.
    """
    rungs = [] if policy is None else list(reversed(policy["states_worst_first"]))
    ladder, retries, final = [], LONG, "keep"
    for rung in rungs:
        days = int(rung["time_since_earliest_unpaid_invoice"].removesuffix(" DAYS"))
        off = takes_access(rung)
        ladder.append(DunningStep(days, rung["state"], Access.NONE if off else Access.FULL))
        if off and final == "keep":
            retries, final = days, "cancel" if rung.get("cancel") == "IMMEDIATE" else "disable"
    lifecycle = STANDARD.with_policies(
        Policy(
            **LASTING,
            retry_days=retries,
            retry_after=tuple(range(8, 400, 8)),
            when_retries_end=final,  # type: ignore[arg-type]
            dunning=tuple(ladder),
        )
    )
    lifecycle = lifecycle.replace(Start, SCHEDULED, case="trial", claims=None)
    if cancels_at_the_end(policy):
        lifecycle = lifecycle.extend(
            Transition(
                CancelForNonPayment,
                DISABLED,
                CANCELLED,
                cause=NON_PAYMENT,
                adds=DUNNING,
                lifts=NON_PAYMENT,
                guards=[is_due],
                due=first_billing_date,
                until=cancelled_window,
            )
        )
    for command in (PayArrears, RetryPayment):
        lifecycle = lifecycle.replace(
            command,
            DISABLED,
            cause=NON_PAYMENT,
            date="passed",
            charge=(all_owed, rest_of_period, blocked_days_are_credited),
            billing_date=advanced,
            commitment=new_term,
            until=end_of_service,
        )
    return lifecycle
