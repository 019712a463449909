"""A small table: two states one lives in, one that two causes lead to, one that is final."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar

import attrs

from subscription_lifecycle import (
    INTERRUPTED_STATE,
    MONTHLY,
    BillingSchedule,
    Cause,
    Command,
    Context,
    Lifecycle,
    Money,
    Plan,
    Policy,
    State,
    Subscription,
    Transition,
    guard,
)

HERE, THERE, AWAY, GONE = State("here"), State("there"), State("away"), State("gone", final=True)
STOLEN, LOST = Cause("stolen", rank=1), Cause("lost", rank=2)
FIRST, NEXT = date(2024, 3, 1), date(2024, 4, 1)

begun = Subscription(
    id="sub",
    customer="anybody",
    plan=Plan("plan", Money(100, "EUR"), MONTHLY),
    state=HERE,
    schedule=BillingSchedule(FIRST, MONTHLY),
    next_billing_date=NEXT,
    paid_through=NEXT,
    term_start=FIRST,
    term_end=NEXT,
    version=1,
)


@attrs.frozen
class Begin(Command):
    creates: ClassVar[bool] = True

    def create(self, id: str, at: datetime) -> Subscription:
        return attrs.evolve(begun, id=id, version=0)


@attrs.frozen
class Call(Command):
    pass


@attrs.frozen
class Bring(Command):
    pass


@attrs.frozen
class Lose(Command):
    pass


@attrs.frozen
class Take(Command):
    pass


@attrs.frozen
class Find(Command):
    pass


@attrs.frozen
class Drop(Command):
    pass


@guard("never", "It is never possible.")
def never(context: Context[Any]) -> bool:
    return False


lifecycle = Lifecycle(
    (
        Transition(Begin, HERE, HERE),
        Transition(Call, HERE, THERE),
        Transition(Bring, (HERE, THERE), HERE),
        Transition(Lose, (HERE, THERE), AWAY, adds=LOST),
        Transition(Take, HERE, AWAY, adds=STOLEN),
        Transition(Take, AWAY, GONE),
        Transition(Find, AWAY, INTERRUPTED_STATE, cause=(LOST, STOLEN)),
    ),
    policies=Policy(),
    name="tests",
)
