"""What a process is killed in, effect by effect, and how it must have ended when it was repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs
from tests.kills.gateway import Gateway
from tests.kills.lives import ALICE, METHODS, PLANS, SUPPORT

from subscription_lifecycle import ACTIVE, CANCELLED, DISABLED, PAST_DUE, State, Subscriptions
from subscription_lifecycle.engine.writing import reference_of
from subscription_lifecycle.ports import ActionRequired, Captured, Declined
from subscription_lifecycle.testing.fakes import FakeClock

FIRST_DAY = "2024-01-01T09:00Z"


@attrs.frozen
class World:
    """What one process has of it."""

    id: str
    subs: Subscriptions
    gateway: Gateway
    clock: FakeClock


def start(world: World, *, recurring_billing: bool = False) -> Any:
    return world.subs.start(
        world.id,
        customer="contoso",
        plan=PLANS[0],
        payment_method=METHODS[0],
        recurring_billing=recurring_billing,
        by=ALICE,
        idempotency_key="start",
    )


def renewing(world: World) -> None:
    start(world, recurring_billing=True)


def cancel(world: World) -> Any:
    return world.subs.cancel(world.id, when="now", refund="prorated", by=ALICE, idempotency_key="leave")


def sweep(world: World) -> Any:
    report = world.subs.sweep()
    for _, error in report.failed:
        raise error
    return report


def reactivate(world: World) -> Any:
    return world.subs.reactivate(world.id, payment_method=METHODS[1], by=ALICE, idempotency_key="back")


def block(world: World) -> Any:
    return world.subs.disable(world.id, reason="abuse", by=SUPPORT, idempotency_key="block")


def hears(world: World) -> Any:
    reference = reference_of(world.id, "back")
    outcome = world.gateway.settle(reference, Captured(f"ch_{reference}", world.clock()))
    return world.subs.report_payment(reference, outcome)


def pays(world: World) -> Any:
    return world.subs.pay_arrears(world.id, payment_method=METHODS[1], by=ALICE, idempotency_key="pay")


def comes_back(world: World) -> None:
    """The customer has to approve the payment first."""
    world.gateway.next(ActionRequired("ch", {"type": "redirect"}))
    reactivate(world)


def falls_behind(world: World) -> None:
    world.gateway.next(Declined("insufficient_funds", True))
    sweep(world)


def nothing(world: World) -> None:
    pass


@attrs.frozen
class Act:
    """`before` is done on the first day, `then` when it is `at`; `act` is what is cut off."""

    at: str
    act: Callable[[World], Any]
    state: State
    before: Callable[[World], Any] = start
    then: Callable[[World], Any] = nothing

    @property
    def instant(self) -> datetime:
        return datetime.fromisoformat(self.at)


ACTS: dict[str, Act] = {
    "start": Act(FIRST_DAY, start, ACTIVE, nothing),
    "cancel": Act("2024-01-10T09:00Z", cancel, CANCELLED),
    "renew": Act("2024-02-01T09:00Z", sweep, ACTIVE, renewing),
    "fall behind": Act("2024-02-01T10:00Z", falls_behind, PAST_DUE, renewing),
    "pay": Act("2024-02-01T11:00Z", pays, ACTIVE, renewing, falls_behind),
    "reactivate": Act("2024-02-03T09:00Z", reactivate, ACTIVE),
    "block": Act("2024-02-03T10:00Z", block, DISABLED, start, comes_back),
    "hear": Act("2024-02-03T11:00Z", hears, ACTIVE, start, comes_back),
}
"""By time: whoever sweeps in a later one finds nothing to do in the earlier."""
