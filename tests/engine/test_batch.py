"""Many flows in step end as each would have by itself: whatever dies, is repeated, or is done by two at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.cast import ALICE
from tests.engine.crowd import MOODS, Moody, all_is_told, crowd, lives, quiet, taken

from subscription_lifecycle import (
    AsyncSubscriptions,
    ConcurrentChange,
    InvalidValue,
    MemoryStore,
    Money,
    SetRecurringBilling,
    Subscriptions,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.engine.drivers import run
from subscription_lifecycle.engine.effects import AtOnce, Capture, Effect, Load, LoadMany, Save, SaveMany
from subscription_lifecycle.engine.timed import advance
from subscription_lifecycle.ports import BulkStore, CaptureRequest, PaymentOutcome, Refunded, Write
from subscription_lifecycle.testing.faults import (
    MortalSubscriptions,
    Process,
    cancel_at_every_effect,
    crash_at_every_effect,
    interleave,
    run_every_effect_twice,
)


class Watched(Subscriptions):
    """Notes what it performs."""

    def perform(self, effect: Effect) -> Any:
        vars(self).setdefault("seen", []).append(effect)
        return super().perform(effect)

    def count(self, kind: type) -> int:
        return sum(isinstance(effect, kind) for effect in vars(self).get("seen", []))


class OneByOne(MemoryStore):
    """A store that knows nothing of many at a time."""

    load_many = None  # type: ignore[assignment]
    write_many = None  # type: ignore[assignment]


# -- the same end


@given(
    moods=st.lists(st.sampled_from(MOODS), min_size=1, max_size=6),
    banks=st.sets(st.integers(0, 5)),
    days=st.lists(st.integers(0, 45), min_size=1, max_size=4),
    at_once=st.integers(1, 4),
    bulk=st.booleans(),
)
def test_a_batch_ends_as_one_by_one(
    moods: Sequence[str], banks: set[int], days: Sequence[int], at_once: int, bulk: bool
) -> None:
    together = crowd(moods, MemoryStore() if bulk else OneByOne(), banks=banks, kind=Subscriptions)
    alone = crowd(moods, banks=banks, kind=Subscriptions)
    for more in days:
        for subs in (together, alone):
            subs.clock.advance(days=more)
        assert not together.sweep(captures_at_once=at_once).failed
        for id in alone.store.due(alone.clock(), 100):
            run(advance(alone.lifecycle, id, gateway=True), alone.perform)
        assert lives(together) == lives(alone)
        assert together.gateway.ledger == alone.gateway.ledger
        assert taken(together) == taken(alone)


def test_what_is_asked_together() -> None:
    subs = crowd(["capture"] * 60 + ["decline"], kind=Watched)
    report = subs.sweep()
    assert (report.examined, report.captured, len(report.declined), report.failed) == (61, 60, 1, ())
    assert (subs.count(Capture), subs.count(AtOnce)) == (61, 1)
    assert (subs.count(Load), subs.count(Save)) == (0, 0)
    assert (subs.count(LoadMany), subs.count(SaveMany)) == (2, 2)


def test_few_payments_wait_for_their_facts() -> None:
    """No more than eight rounds of payments are made before they are on record."""
    subs = crowd(["capture"] * 40, kind=Watched)
    subs.sweep(captures_at_once=2)
    effects = [effect for effect in vars(subs)["seen"] if isinstance(effect, (AtOnce, SaveMany))]
    assert [len(effect.parts) for effect in effects if isinstance(effect, AtOnce)] == [16, 16, 8]
    assert [len(effect.saves) for effect in effects if isinstance(effect, SaveMany)] == [40, 16, 16, 8]
    assert all(isinstance(one, AtOnce) != isinstance(other, AtOnce) for one, other in zip(effects, effects[1:]))  # noqa: B905, RUF007


# -- at once


class Meets(Moody):
    """Answers when so many are asking at the same time."""

    meeting = threading.Barrier(4, timeout=20)
    asking = 0
    most = 0

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        if not self.moods:
            return super().capture(request)
        with self._lock:
            self.asking += 1
            self.most = max(self.most, self.asking)
        self.meeting.wait()
        with self._lock:
            self.asking -= 1
        return super().capture(request)


def test_payments_are_made_at_once_and_no_more_than_asked_for() -> None:
    subs = crowd(["capture"] * 12, kind=Subscriptions, gateway=Meets)
    assert subs.sweep(captures_at_once=4).captured == 12
    assert subs.gateway.most == 4


class AsyncMeets:
    """A gateway of coroutines; the first answers when as many ask as may."""

    idempotency_window: timedelta | None = None

    def __init__(self, inner: Moody) -> None:
        self.inner, self.asking, self.most, self.full = inner, 0, 0, asyncio.Event()

    async def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        self.asking += 1
        self.most = max(self.most, self.asking)
        if self.asking == 3:
            self.full.set()
        await asyncio.wait_for(self.full.wait(), 20)
        self.asking -= 1
        return self.inner.capture(request)

    async def find(self, reference: str, /) -> PaymentOutcome | None:
        return self.inner.find(reference)

    async def refund(self, reference: str, amount: Money, /) -> Refunded:
        return self.inner.refund(reference, amount)


def asynchronous(subs: Any, gateway: Any = None) -> AsyncSubscriptions:
    return AsyncSubscriptions(subs.store, gateway or subs.gateway, clock=subs.clock)


def test_the_asynchronous_face_makes_payments_at_once_too() -> None:
    subs = crowd(["capture"] * 8 + ["decline"])
    plain = crowd(["capture"] * 8 + ["decline"])
    gateway = AsyncMeets(subs.gateway)
    heard = list[int]()

    async def swept() -> Any:
        face = asynchronous(subs, gateway)
        return await face.sweep(captures_at_once=3, progress=lambda done: heard.append(done.captured))

    report = asyncio.run(swept())
    assert (report.captured, report.declined, report.failed) == (8, ("s8",), ())
    assert gateway.most == 3
    assert heard == [8]
    plain.sweep()
    assert lives(subs) == lives(plain)


@pytest.mark.parametrize("how", ["threads on SQLite", "threads on PostgreSQL"])
def test_two_sweeps_at_once_capture_each_payment_once(how: str, tmp_path: Path, request: Any) -> None:
    where: Any = tmp_path / "s.sqlite" if how.endswith("SQLite") else request.getfixturevalue("postgresql_url")
    with_store = SQLStore(where)
    first = crowd(["capture", "decline", "process", "time out charged"] * 10, with_store, kind=Subscriptions)
    stores = [SQLStore(where) for _ in range(2)]
    sweepers = [Subscriptions(store, first.gateway, clock=first.clock) for store in stores]
    reports = list[Any]()
    barrier = threading.Barrier(2)

    def sweep(subs: Subscriptions) -> None:
        barrier.wait()
        reports.append(subs.sweep(captures_at_once=2))

    threads = [threading.Thread(target=sweep, args=(subs,)) for subs in sweepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.failed for report in reports] == [(), ()]
    all_is_told(first)
    renewed = [reference for reference in taken(first) if first.gateway.asked[reference]]
    assert len(renewed) == 20 + 40
    for store in (*stores, with_store):
        store.close()


# -- planted faults

MIXED = ("capture", "decline", "time out charged")


def three() -> MortalSubscriptions:
    found: MortalSubscriptions = crowd(MIXED)
    return found


def after(subs: Any) -> None:
    all_is_told(subs)
    assert len(taken(subs)) == 3 + 2
    assert [stored.attempt for stored, _ in lives(subs).values()] == [None] * 3


def test_dying_at_every_effect_of_a_batch_and_inside_it() -> None:
    # Three writes before and three after the payments, and the payments themselves: each is a place to die at.
    assert crash_at_every_effect(three, lambda subs: subs.sweep(), after) >= 2 * (3 + 3 + 3 + 4)


def test_every_effect_of_a_batch_may_be_performed_twice() -> None:
    assert run_every_effect_twice(three, lambda subs: subs.sweep(), after) >= 10


def test_a_task_that_is_cancelled_in_a_batch() -> None:
    async def check(subs: AsyncSubscriptions) -> None:
        after(Subscriptions(subs.store, subs.gateway, clock=subs.clock))

    cancelled = asyncio.run(
        cancel_at_every_effect(lambda: asynchronous(three()), lambda subs: subs.sweep(captures_at_once=2), check)
    )
    assert cancelled >= 3 * 10


def test_a_task_that_is_cancelled_while_payments_are_made() -> None:
    """None is left running behind the caller's back that was not begun."""
    subs = crowd(["capture"] * 9)
    gateway = AsyncMeets(subs.gateway)
    gateway.full.clear()

    async def cancelled() -> None:
        task = asyncio.ensure_future(asynchronous(subs, gateway).sweep(captures_at_once=2))
        while gateway.asking < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(cancelled())
    assert len(taken(subs)) == 9
    quiet(subs)
    assert len(taken(subs)) == 18


def test_a_payment_that_is_cut_off_takes_the_others_with_it() -> None:
    class CutsOff(AsyncMeets):
        async def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
            if request.subscription == "s1":
                raise asyncio.CancelledError
            return await super().capture(request)

    subs = crowd(["capture"] * 9)

    async def cut_off() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asynchronous(subs, CutsOff(subs.gateway)).sweep(captures_at_once=2)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(cut_off())
    all_is_told(subs)


@pytest.mark.slow
def test_every_order_of_a_batch_and_a_command() -> None:
    def check(subs: Subscriptions, sweep: Process, other: Process) -> None:
        assert sweep.error is None
        assert other.error is None or isinstance(other.error, ConcurrentChange), other.error
        all_is_told(subs)
        assert len(taken(subs)) == 2 + 2

    def switch_off(process: Process) -> None:
        process.execute("s1", SetRecurringBilling(on=False), by=ALICE, idempotency_key="off")

    made = interleave(lambda: crowd(("capture", "capture")), lambda process: process.recover(), switch_off, check)
    assert made > 50


class LostCommit(MemoryStore):
    """All of it is on record, and the connection breaks before anybody hears of it."""

    breaks = True

    def write_many(self, writes: Sequence[Write], /) -> Sequence[Exception | None]:
        outcomes = super().write_many(writes)
        if self.breaks:
            raise ConnectionError("the server closed the connection unexpectedly")
        return outcomes


class HalfWritten(MemoryStore):
    """Some are on record when the connection breaks."""

    def write_many(self, writes: Sequence[Write], /) -> Sequence[Exception | None]:
        super().write_many(writes[::2])
        raise ConnectionError("the server closed the connection unexpectedly")


@pytest.mark.parametrize("store", [LostCommit, HalfWritten])
def test_a_batch_that_fails_as_a_whole_is_written_one_by_one(store: Callable[[], MemoryStore]) -> None:
    subs, plain = crowd(MIXED, store()), crowd(MIXED)
    for either in (subs, plain):
        assert not either.sweep().failed
    assert lives(subs) == lives(plain)
    assert subs.gateway.asked == plain.gateway.asked


def test_payments_that_fail_as_a_whole_are_unknown_and_not_asked_for_again() -> None:
    class NoThreads(Subscriptions):
        breaks = True

        def perform(self, effect: Effect) -> Any:
            if isinstance(effect, AtOnce) and self.breaks:
                self.breaks = False
                super().perform(effect)
                raise RuntimeError("can't start new thread")
            return super().perform(effect)

    subs = crowd(kind=NoThreads)
    report = subs.sweep()
    assert (report.awaiting, report.failed) == (("s0", "s1", "s2"), ())
    assert set(subs.gateway.asked.values()) == {1}
    subs.sweep()
    all_is_told(subs)
    assert len(taken(subs)) == 6
    assert set(subs.gateway.asked.values()) == {1}


def test_a_store_need_not_know_of_many() -> None:
    assert not isinstance(OneByOne(), BulkStore)
    subs = crowd(store=OneByOne(), kind=Watched)
    assert subs.sweep().captured == 3
    assert subs.count(LoadMany) == subs.count(SaveMany) == 0


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("lease", 5),
        ("lease", timedelta(0)),
        ("lease", timedelta(days=2)),
        ("captures_at_once", 0),
        ("captures_at_once", True),
        ("progress", "loudly"),
    ],
)
def test_what_is_no_way_to_sweep_is_refused(field: str, wrong: Any) -> None:
    subs = crowd()
    with pytest.raises(InvalidValue) as refused:
        subs.sweep(**{field: wrong})
    assert refused.value.field == field
    assert len(taken(subs)) == 3
