"""A process that dies before or after any effect: the same end, one capture, no refund lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    MONTHLY,
    Actor,
    MemoryStore,
    Money,
    PaymentMethod,
    Plan,
    Role,
    Subscriptions,
)
from subscription_lifecycle.testing import FakeClock, FakeGateway
from subscription_lifecycle.testing.faults import MortalSubscriptions, crash_at_every_effect

ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
CARD = PaymentMethod.card("tok_1", country="NL")
PLAN = Plan("basic", Money.of("20.00", "EUR"), MONTHLY)


def world(at: str) -> Callable[[], MortalSubscriptions]:
    """A subscription that began on 1 January with recurring billing off, seen at another instant."""

    def make() -> MortalSubscriptions:
        clock = FakeClock()
        subs = MortalSubscriptions(MemoryStore(), FakeGateway(clock), clock=clock)
        subs.start(
            "s",
            customer="contoso",
            plan=PLAN,
            payment_method=CARD,
            recurring_billing=False,
            by=ALICE,
            idempotency_key="start",
        )
        clock.set(at)
        return subs

    return make


def reactivate(subs: Subscriptions) -> Any:
    return subs.reactivate("s", payment_method=CARD, by=ALICE, idempotency_key="back")


def cancel(subs: Subscriptions) -> Any:
    return subs.cancel("s", when="now", refund="prorated", by=ALICE, idempotency_key="leave")


@pytest.mark.parametrize(
    ("act", "at", "state", "captures", "refunds"),
    [(reactivate, "2024-02-03T09:00Z", ACTIVE, 2, 0), (cancel, "2024-01-10T09:00Z", CANCELLED, 1, 1)],
    ids=["a charge", "a refund"],
)
def test_dying_at_every_effect(
    act: Callable[[Subscriptions], Any], at: str, state: Any, captures: int, refunds: int
) -> None:
    def check(subs: Subscriptions) -> None:
        act(subs)
        assert subs.get("s").state == state
        assert len(subs.gateway.captures) == captures
        assert len(subs.gateway.refunds) == refunds
        assert not subs.get("s").refunds

    assert crash_at_every_effect(world(at), act, check) >= 8


def test_a_repeated_write_of_a_durable_engine_does_nothing() -> None:
    """Every effect is run twice, as an engine that replays would: the second answers as the first did."""

    class Twice(Subscriptions):
        def perform(self, effect: Any) -> Any:
            first = super().perform(effect)
            second = super().perform(effect)
            assert type(first) is type(second)
            return second

    clock = FakeClock()
    gateway = FakeGateway(clock)
    subs = Twice(MemoryStore(), gateway, clock=clock)
    subs.start("s", customer="contoso", plan=PLAN, payment_method=CARD, by=ALICE, idempotency_key="start")
    cancel(subs)
    reactivate(subs)
    assert [capture.amount.minor for capture in gateway.captures] == [2000, 2000]
    assert len(gateway.refunds) == 1
    assert subs.get("s").state == ACTIVE
    assert [entry.version for entry in subs.history("s")] == list(range(1, len(subs.history("s")) + 1))
