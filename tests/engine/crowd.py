"""Many subscriptions that are due at once, and a gateway that treats each in its own way."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from tests.engine.cast import ALICE, BANK, CARD, PLAN

from subscription_lifecycle import Entry, Interrupted, MemoryStore, PaymentDeclined, Subscriptions
from subscription_lifecycle.ports import CaptureRequest, PaymentOutcome, Store, Stored
from subscription_lifecycle.testing import FakeClock, FakeGateway
from subscription_lifecycle.testing.faults import MortalSubscriptions

MOODS = ("capture", "decline", "process", "action", "time out", "time out charged", "less")
"""How a new payment of a subscription goes."""


class Moody(FakeGateway):
    """Each subscription's payments go as its mood is; what was asked for before goes as it went."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.moods: Mapping[str, str] = {}
        self.asked = Counter[str]()

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        with self._lock:
            self.asked[request.reference] += 1
            if request.reference not in self.ledger:
                self._told(self.moods.get(request.subscription, "capture"), request)
            return super().capture(request)

    def _told(self, mood: str, request: CaptureRequest) -> None:
        match mood:
            case "decline":
                self.decline_next()
            case "process":
                self.process_next()
            case "action":
                self.require_action_next()
            case "time out" | "time out charged":
                if self.asked[request.reference] == 1:
                    self.time_out_next(charged=mood == "time out charged")
            case "less":
                self.take_next(attrs.evolve(request.amount, minor=request.amount.minor - 1))
            case _:
                pass


def crowd(
    moods: Iterable[str] = ("capture",) * 3,
    store: Store | None = None,
    *,
    kind: type[Any] = MortalSubscriptions,
    gateway: type[Moody] = Moody,
    banks: Iterable[int] = (),
    at: str = "2024-02-01T09:00Z",
) -> Any:
    """Subscriptions "s0", "s1", … that began on 1 January, each with a renewal due on 1 February."""
    clock = FakeClock("2024-01-01T00:00Z")
    till, chosen = gateway(clock), list(moods)
    subs = kind(MemoryStore() if store is None else store, till, clock=clock)
    begin = Subscriptions(subs.store, till, clock=clock)
    for number in range(len(chosen)):
        begin.start(
            f"s{number}",
            customer="contoso",
            plan=PLAN,
            payment_method=BANK if number in set(banks) else CARD,
            recurring_billing=True,
            by=ALICE,
            idempotency_key="start",
        )
    begin.recover()
    till.moods = {f"s{number}": mood for number, mood in enumerate(chosen)}
    clock.set(at)
    return subs


def lives(subs: Any) -> dict[str, tuple[Stored, tuple[Entry, ...]]]:
    """Everything on record, by id."""
    found = {}
    for subscription in subs.store.search(None, None, None, 10_000):
        stored = subs.store.load(subscription.id, None)
        found[subscription.id] = (stored, tuple(subs.store.history(subscription.id)))
    return found


def taken(subs: Any) -> dict[str, int]:
    """What the gateway took, by reference; never twice."""
    assert all(count == 1 for count in Counter(capture.reference for capture in subs.gateway.captures).values())
    return {capture.reference: capture.amount.minor for capture in subs.gateway.captures}


def told(subs: Any) -> set[str]:
    """The payments whose money is on record, by reference."""
    return {
        entry.payment.reference
        for _, history in lives(subs).values()
        for entry in history
        if entry.payment is not None and entry.payment.status in ("captured", "mismatched")
    }


def quiet(subs: Any) -> None:
    """Sweeps until nothing moves any more."""
    for _ in range(10):
        with contextlib.suppress(PaymentDeclined, Interrupted):
            if not subs.sweep().entries:
                return
    raise AssertionError("it never comes to rest")


def all_is_told(subs: Any) -> None:
    """What was taken is on record, and nothing else is."""
    quiet(subs)
    assert set(taken(subs)) == told(subs)
