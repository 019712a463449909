"""Ways to break a pause, and the lives in which it is seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
from tests.laws.life import Life

from subscription_lifecycle import (
    ACTIVE,
    PAUSED,
    SAME_STATE,
    STANDARD,
    Charge,
    Lifecycle,
    Money,
    Pause,
    Policy,
    Renew,
    Resume,
    Transition,
)
from subscription_lifecycle.standard import (
    BillingDates,
    after_the_pause,
    first_billing_date,
    is_due,
    may_manage_billing,
    next_period,
    no_deadline,
    one_period,
    price_of_resuming,
    unchanged,
)

DAYS = timedelta(days=5)
GENEROUS = STANDARD.with_policies(Policy(resume="keep", pause_credit=True))


def pauses_and_comes_back(life: Life) -> None:
    life.start()
    life.later(9)
    life.give(Pause())
    life.later(12)
    life.give(Resume())
    life.daily(40)


def pauses_for_an_hour(life: Life) -> None:
    life.start()
    life.later(9)
    life.give(Pause())
    life.later(0.05)
    life.give(Resume())


def pauses_for_long(life: Life) -> None:
    life.start()
    life.later(9)
    life.give(Pause())
    life.later(60)


def pauses_every_night(life: Life) -> None:
    """The hostile customer: service by day, a paused day for each."""
    life.start()
    life.later(0.5)
    for _ in range(40):
        life.give(Pause())
        life.later(0.4)
        life.give(Resume())
        life.later(0.6)


def loses_paid_days() -> Lifecycle:
    return STANDARD.replace(Resume, PAUSED, billing_date=unchanged, effects=[])


def gives_days() -> Lifecycle:
    def later(context: Any) -> BillingDates:
        dates = after_the_pause(context)
        date = dates.next_billing_date + DAYS
        return BillingDates(dates.schedule.restarted(date), date)

    return STANDARD.replace(Resume, PAUSED, billing_date=later)


def credits_it_all() -> Lifecycle:
    def credited(context: Any) -> Charge:
        found = price_of_resuming(context)
        return attrs.evolve(found, credits=context.subscription.price + Money(0, context.subscription.currency))

    return GENEROUS.replace(Resume, PAUSED, charge=credited)


def never_ends() -> Lifecycle:
    return STANDARD.replace(Pause, ACTIVE, case="now", until=no_deadline)


def bills_while_paused() -> Lifecycle:
    row = Transition(
        Renew,
        PAUSED,
        SAME_STATE,
        date="passed",
        guards=[is_due],
        due=first_billing_date,
        charge=one_period,
        declined=PAUSED,
        billing_date=next_period,
    )
    return STANDARD.extend(row)


def as_often_as_one_likes() -> Lifecycle:
    return STANDARD.replace(Pause, ACTIVE, case="now", guards=[may_manage_billing])
