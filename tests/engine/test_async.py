"""The asynchronous face: the same flow, so the same answers; and tasks that are cancelled at any effect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.engine.books import adds_up
from tests.engine.cast import ALICE, CARD, PLAN, start

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    SYSTEM,
    AsyncSubscriptions,
    AwaitingPayment,
    MemoryStore,
    Money,
    PaymentDeclined,
    Reactivate,
    Refused,
    State,
    Subscriptions,
)
from subscription_lifecycle.engine.effects import Effect
from subscription_lifecycle.ports import CaptureRequest, PaymentOutcome, Refunded, Stored, Write
from subscription_lifecycle.testing import FakeClock, FakeGateway
from subscription_lifecycle.testing.faults import CUTS, cancel_at_every_effect


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
            await subs.start("one", customer="contoso", plan=PLAN, payment_method=CARD, by=ALICE, idempotency_key="k")
        gateway.time_out_next(charged=True)
        result = await subs.start(
            "two", customer="contoso", plan=PLAN, payment_method=CARD, by=ALICE, idempotency_key="k"
        )
        assert isinstance(result, AwaitingPayment)
        assert result.why == "unknown"
        await subs.sweep()
        assert (await subs.get("two")).state == ACTIVE

    asyncio.run(live())
    assert len(gateway.captures) == 1


def world(at: str, parts: bool) -> Callable[[], AsyncSubscriptions]:
    """A subscription that began on 1 January, seen at another instant; its parts plain or asynchronous."""

    def make() -> AsyncSubscriptions:
        clock = FakeClock()
        store, gateway = AsyncMemoryStore(), FakeGateway(clock)
        begun = Subscriptions(store.inner, gateway, clock=clock)
        start(begun, recurring_billing=False)
        clock.set(at)
        if parts:
            return AsyncSubscriptions(store, AsyncGateway(gateway), clock=clock)
        return AsyncSubscriptions(store.inner, gateway, clock=clock)

    return make


async def reactivate(subs: AsyncSubscriptions) -> None:
    await subs.reactivate("s", payment_method=CARD, by=ALICE, idempotency_key="back")


async def cancel(subs: AsyncSubscriptions) -> None:
    await subs.cancel("s", when="now", refund="prorated", by=ALICE, idempotency_key="leave")


ACTS: dict[str, tuple[Callable[[AsyncSubscriptions], Awaitable[None]], str, State, int, int]] = {
    "a charge": (reactivate, "2024-02-03T09:00Z", ACTIVE, 2, 0),
    "a refund": (cancel, "2024-01-10T09:00Z", CANCELLED, 1, 1),
}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain parts", "asynchronous parts"])
@pytest.mark.parametrize("act", ACTS)
def test_a_task_that_is_cancelled_at_any_effect_loses_nothing(act: str, asynchronous: bool) -> None:
    again, at, state, captures, refunds = ACTS[act]

    async def check(subs: AsyncSubscriptions) -> None:
        gateway, store = getattr(subs.gateway, "inner", subs.gateway), getattr(subs.store, "inner", subs.store)
        adds_up(Subscriptions(store, gateway, clock=subs.clock))
        await again(subs)
        assert (await subs.get("s")).state == state
        assert (len(gateway.captures), len(gateway.refunds)) == (captures, refunds)
        assert not (await subs.get("s")).refunds
        adds_up(Subscriptions(store, gateway, clock=subs.clock))

    cancelled = asyncio.run(cancel_at_every_effect(world(at, asynchronous), again, check))
    assert cancelled >= 3 * 7


def test_a_cancelled_task_leaves_its_effect_undone_done_or_done_late() -> None:
    told: list[str] = []

    class Watched(AsyncSubscriptions):
        def perform(self, effect: Effect) -> Any:
            told.append(type(effect).__name__)
            return super().perform(effect)

    def make() -> AsyncSubscriptions:
        made = world("2024-02-03T09:00Z", False)()
        told.append("|")
        return Watched(made.store, made.gateway, clock=made.clock)

    async def nothing(subs: AsyncSubscriptions) -> None:
        pass

    at_capture = "| Now Load AskFacts Save"
    sweep = "Now FindDue"
    runs = set[str]()
    for cut in CUTS:
        told.clear()
        asyncio.run(cancel_at_every_effect(make, reactivate, nothing, cuts=[cut]))
        worlds = " ".join(told).split("| ")[1:]
        runs.add(next(run for run in worlds if run.startswith(at_capture.removeprefix("| ")) and _cut(run, cut, sweep)))
    assert len(runs) == 3


def _cut(run: str, cut: str, sweep: str) -> bool:
    before, _, after = run.partition(f" {sweep}")
    captured = before.endswith("Save Capture") if cut == "during" else before.endswith("Save")
    return captured and (cut != "after recovery" or "Capture Now FindDue" in after)


def test_a_task_that_somebody_else_cancels_stays_cancelled() -> None:
    async def hang(subs: AsyncSubscriptions) -> None:
        await asyncio.sleep(3600)

    async def check(subs: AsyncSubscriptions) -> None:
        raise AssertionError("nothing was cut")

    async def live() -> None:
        task = asyncio.ensure_future(cancel_at_every_effect(world("2024-01-10T09:00Z", False), hang, check))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(live())
