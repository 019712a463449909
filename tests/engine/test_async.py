"""The asynchronous face: the same flow, so the same answers; and tasks that are cancelled at any effect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from subscription_lifecycle import (
    ACTIVE,
    EXPIRED,
    MONTHLY,
    SYSTEM,
    Actor,
    AsyncSubscriptions,
    AwaitingPayment,
    MemoryStore,
    Money,
    PaymentDeclined,
    PaymentMethod,
    Plan,
    Reactivate,
    Refused,
    Role,
    Subscriptions,
)
from subscription_lifecycle.engine.effects import Effect
from subscription_lifecycle.ports import CaptureRequest, PaymentOutcome, Refunded, Stored, Write
from subscription_lifecycle.testing import FakeClock, FakeGateway

ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
CARD = PaymentMethod.card("tok_1", country="NL")
PLAN = Plan("basic", Money.of("20.00", "EUR"), MONTHLY)


class AsyncGateway:
    """FakeGateway with coroutines."""

    idempotency_window: timedelta | None = None

    def __init__(self, inner: FakeGateway) -> None:
        self.inner = inner

    async def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        await asyncio.sleep(0)
        return self.inner.capture(request)

    async def find(self, reference: str, /) -> PaymentOutcome | None:
        return self.inner.find(reference)

    async def refund(self, reference: str, amount: Money, /) -> Refunded:
        return self.inner.refund(reference, amount)


class AsyncMemoryStore:
    """MemoryStore with coroutines."""

    def __init__(self) -> None:
        self.inner = MemoryStore()

    async def load(self, id: str, key: str | None, /) -> Stored | None:
        return self.inner.load(id, key)

    async def write(self, write: Write, /) -> None:
        self.inner.write(write)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self.inner, name)

        async def call(*arguments: Any) -> Any:
            return method(*arguments)

        return call


SCRIPT: list[tuple[str, str, dict[str, Any]]] = [
    ("2024-01-01T09:00Z", "start", {"customer": "contoso", "plan": PLAN, "payment_method": CARD, "by": ALICE}),
    ("2024-01-10T09:00Z", "set_recurring_billing", {"on": False, "by": ALICE}),
    ("2024-02-03T09:00Z", "reactivate", {"payment_method": None, "by": ALICE}),
    ("2024-02-03T09:00Z", "reactivate", {"payment_method": CARD, "by": ALICE}),
    ("2024-02-05T09:00Z", "cancel", {"when": "now", "refund": "prorated", "by": ALICE}),
    ("2024-02-06T09:00Z", "reactivate", {"payment_method": CARD, "by": ALICE}),
    ("2024-02-07T09:00Z", "renew", {"by": SYSTEM}),
]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain parts", "asynchronous parts"])
def test_both_faces_give_the_same_answers(asynchronous: bool) -> None:
    plain_clock, async_clock = FakeClock(), FakeClock()
    plain_gateway, async_gateway = FakeGateway(plain_clock), FakeGateway(async_clock)
    plain = Subscriptions(MemoryStore(), plain_gateway, clock=plain_clock)
    store: Any = AsyncMemoryStore() if asynchronous else MemoryStore()
    gateway: Any = AsyncGateway(async_gateway) if asynchronous else async_gateway
    other = AsyncSubscriptions(store, gateway, clock=async_clock)

    async def live() -> None:
        for number, (at, method, arguments) in enumerate(SCRIPT):
            plain_clock.set(at)
            async_clock.set(at)
            assert plain.sweep() == await other.sweep()
            key = {"idempotency_key": f"key {number}"}
            try:
                expected: Any = getattr(plain, method)("s", **arguments, **key)
            except Refused as refused:
                with pytest.raises(Refused) as caught:
                    await getattr(other, method)("s", **arguments, **key)
                assert caught.value.refusals == refused.refusals
            else:
                assert await getattr(other, method)("s", **arguments, **key) == expected
            assert plain.get("s") == await other.get("s")
            assert plain.access("s") == await other.access("s")
            assert plain.history("s") == await other.history("s")
            assert plain.actions("s", by=ALICE) == await other.actions("s", by=ALICE)
            asked = Reactivate(CARD)
            assert plain.explain("s", asked, by=ALICE) == await other.explain("s", asked, by=ALICE)

    asyncio.run(live())
    assert plain_gateway.captures == async_gateway.captures
    assert plain_gateway.refunds == async_gateway.refunds
    assert len(plain_gateway.captures) == 3


def test_declined_and_awaiting() -> None:
    clock = FakeClock()
    gateway = FakeGateway(clock)
    subs = AsyncSubscriptions(MemoryStore(), AsyncGateway(gateway), clock=clock)

    async def live() -> None:
        gateway.decline_next()
        with pytest.raises(PaymentDeclined):
            await subs.start("one", customer="c", plan=PLAN, payment_method=CARD, by=ALICE_ANY, idempotency_key="k")
        gateway.time_out_next(charged=True)
        result = await subs.start(
            "two", customer="c", plan=PLAN, payment_method=CARD, by=ALICE_ANY, idempotency_key="k"
        )
        assert isinstance(result, AwaitingPayment)
        assert result.why == "unknown"
        await subs.sweep()
        assert (await subs.get("two")).state == ACTIVE

    asyncio.run(live())
    assert len(gateway.captures) == 1


ALICE_ANY = Actor("alice", Role.BILLING_ADMIN)


class Cancelling(AsyncSubscriptions):
    """Cancels its own task at the n-th effect, before or after it is performed."""

    left: int | None = None
    performed = False
    task: asyncio.Task[Any] | None = None
    loop: asyncio.AbstractEventLoop | None = None

    def perform(self, effect: Effect) -> Any:
        if self.left is None:
            return super().perform(effect)
        self.left -= 1
        if self.left >= 0 or self.task is None or self.loop is None:
            return super().perform(effect)
        self.left = None
        if self.performed:
            super().perform(effect)
        self.loop.call_soon_threadsafe(self.task.cancel)
        # The worker thread may go on: what it answers, nobody hears.
        return None if self.performed else super().perform(effect)


@pytest.mark.parametrize("performed", [False, True])
def test_a_task_that_is_cancelled_at_any_effect_loses_nothing(performed: bool) -> None:
    cancelled = 0
    for effect in range(12):
        clock = FakeClock()
        gateway = FakeGateway(clock)
        subs = Cancelling(MemoryStore(), gateway, clock=clock)

        async def live(subs: Cancelling = subs, clock: FakeClock = clock, effect: int = effect) -> bool:
            start = {"customer": "contoso", "plan": PLAN, "payment_method": CARD, "by": ALICE, "idempotency_key": "k"}
            await subs.start("s", recurring_billing=False, **start)
            clock.set("2024-02-03T09:00Z")
            assert (await subs.get("s")).state == EXPIRED
            back = subs.reactivate("s", payment_method=CARD, by=ALICE, idempotency_key="back")
            subs.task, subs.loop = asyncio.ensure_future(back), asyncio.get_running_loop()
            subs.left, subs.performed = effect, performed
            try:
                await subs.task
            except asyncio.CancelledError:
                stopped = True
            else:
                stopped = False
            subs.left = None
            await asyncio.sleep(0.01)
            await subs.reactivate("s", payment_method=CARD, by=ALICE, idempotency_key="back")
            assert (await subs.get("s")).state == ACTIVE
            return stopped

        cancelled += asyncio.run(live())
        assert len(gateway.captures) == 2, f"cancelled at effect {effect}"
    assert cancelled >= 5
