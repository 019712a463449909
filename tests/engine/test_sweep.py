"""What a sweep reports, whom it leaves alone, and how several share the work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest
from tests.engine.cast import ALICE, SUPPORT
from tests.engine.crowd import Moody, all_is_told, crowd, lives, taken

from subscription_lifecycle import (
    ConcurrentChange,
    DefinitionError,
    LifecycleError,
    MemoryStore,
    Subscription,
    Subscriptions,
    SweepProgress,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.engine import sweep as sweeping
from subscription_lifecycle.ports import (
    Declined,
    DeferringStore,
    Parked,
    PaymentOutcome,
    Stored,
    Write,
)
from subscription_lifecycle.testing.faults import Died, MortalSubscriptions

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


# -- what fails again and again


class Poisoned(MemoryStore):
    """One subscription cannot be read, or not be written."""

    unreadable = ""
    unwritable = ""

    def load(self, id: str, key: str | None, /) -> Stored | None:
        if id == self.unreadable:
            raise DefinitionError(("its document is damaged",))
        return super().load(id, key)

    def write(self, write: Write, /) -> None:
        if write.subscription.id == self.unwritable:
            raise RuntimeError("the table says no")
        super().write(write)


def poison(how: str, subs: Any) -> None:
    def facts(subscription: Subscription | None, command: object) -> Mapping[str, Any]:
        if subscription is not None and subscription.id == "s1":
            raise KeyError("no such customer")
        return {}

    if how == "facts":
        subs._performer = attrs.evolve(subs._performer, facts=facts)
    else:
        setattr(subs.store, how, "s1")


def cure(subs: Any) -> None:
    subs._performer = attrs.evolve(subs._performer, facts=lambda subscription, command: {})
    subs.store.unreadable = subs.store.unwritable = ""


POISONS = ("facts", "unreadable", "unwritable")


def sick(how: str, sweeps: int = 0) -> Any:
    subs = crowd(store=Poisoned())
    poison(how, subs)
    for _ in range(sweeps):
        subs.sweep()
        subs.clock.advance(minutes=1)
    return subs


@pytest.mark.parametrize("how", POISONS)
def test_a_poisoned_one_does_not_stop_the_others_and_is_parked(how: str) -> None:
    subs = sick(how)
    for number in range(1, 6):
        report = subs.sweep()
        assert [id for id, _ in report.failed] == ["s1"]
        assert report.captured == (2 if number == 1 else 0)
        assert report.parked == (("s1",) if number == 5 else ())
        subs.clock.advance(minutes=1)
    assert len(taken(subs)) == 3 + 2
    assert subs.sweep().examined == 0, "it is left alone"
    [parked] = subs.store.parked()
    assert (parked.what, parked.subscription) == ("subscription", "s1")
    subs.clock.advance(minutes=5)
    assert subs.sweep().parked == ("s1",), "and tried again after a while"
    cure(subs)
    subs.clock.advance(minutes=10)
    assert subs.sweep().captured == 1
    assert subs.store.parked() == []
    all_is_told(subs)
    assert len(taken(subs)) == 6


def test_the_pause_doubles_up_to_a_day() -> None:
    subs = sick("facts", sweeps=4)
    pauses = list[timedelta]()
    for _ in range(12):
        begun = subs.clock()
        assert subs.sweep().parked == ("s1",)
        [due] = [record.due_at for id, record in subs.store._records.items() if id == "s1"]
        pauses.append(due - begun)
        subs.clock.set(due - timedelta(microseconds=1))
        assert subs.sweep().examined in (0, 2)
        subs.clock.set(due)
    minutes = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440]
    assert pauses == [timedelta(minutes=number) for number in minutes]
    assert sweeping.pause(10**9) == DAY


def test_a_command_or_unpark_ends_it() -> None:
    subs = sick("facts", sweeps=5)
    cure(subs)
    subs.set_recurring_billing("s1", on=True, by=ALICE, idempotency_key="still")
    assert subs.store.parked() == []
    subs = sick("facts", sweeps=5)
    [parked] = subs.store.parked()
    cure(subs)
    subs.store.unpark(parked.subscription, parked.version)
    assert subs.sweep().captured == 1


def test_failures_count_only_in_a_row() -> None:
    """Also where the success between them had nothing to write."""
    subs = crowd(["process"], store=Poisoned())
    subs.sweep()
    for number in range(12):
        subs.clock.advance(minutes=1)
        subs.store.unreadable = "" if number % 4 == 3 else "s0"
        report = subs.sweep()
        assert (report.examined, report.parked) == (1, ())


def test_a_row_that_nobody_can_write_is_not_only_overtaken() -> None:
    class Always(MemoryStore):
        def write(self, write: Write, /) -> None:
            if write.expected:
                raise ConcurrentChange(write.subscription.id)
            super().write(write)

    subs = crowd(["capture"], MemoryStore())
    subs.store.__class__ = Always
    for number in range(1, 6):
        report = subs.sweep()
        assert (report.overtaken, report.failed) == (1, ())
        assert report.parked == (("s0",) if number == 5 else ())


def test_a_store_that_cannot_count_hears_of_nothing() -> None:
    class Plain(Poisoned):
        stumbled = None  # type: ignore[assignment]

    subs = crowd(store=Plain())
    poison("facts", subs)
    assert not isinstance(subs.store, DeferringStore)
    for _ in range(7):
        report = subs.sweep()
        assert [id for id, _ in report.failed] == ["s1"]
        assert report.parked == ()


def test_a_store_that_fails_to_count_stops_nothing() -> None:
    class Forgetful(Poisoned):
        def stumbled(self, errors: Mapping[str, str], /) -> Mapping[str, int]:
            raise OSError("the disk is full")

    subs = crowd(store=Forgetful())
    poison("facts", subs)
    report = subs.sweep()
    assert [(id, type(error)) for id, error in report.failed] == [("s1", KeyError), ("(parking)", OSError)]
    assert report.captured == 2


def test_it_is_parked_in_a_database_too() -> None:
    subs = crowd(store=SQLStore("sqlite://"))
    poison("facts", subs)
    assert [subs.sweep().parked for _ in range(5)] == [(), (), (), (), ("s1",)]
    assert subs.store.parked() == (Parked("subscription", "s1", 2, "KeyError: 'no such customer'"),)
    assert subs.sweep().examined == 0
    subs.clock.advance(minutes=5)
    cure(subs)
    assert subs.sweep().captured == 1
    assert subs.store.parked() == ()
    subs.store.close()


# -- sharing


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 2)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("store", [MemoryStore, lambda: SQLStore("sqlite://")])
def test_a_lease_splits_the_work(store: Any) -> None:
    subs = crowd(["process"] * 10, store())
    other = Subscriptions(subs.store, subs.gateway, clock=subs.clock)
    theirs = list[int]()

    def meanwhile(done: SweepProgress) -> None:
        theirs.append(other.sweep(lease=HOUR, limit=3).examined)

    mine = subs.sweep(lease=HOUR, progress=meanwhile)
    assert theirs == [3, 3]
    assert mine.examined == 10 - 6
    assert set(subs.gateway.asked.values()) == {1}
    assert subs.sweep(lease=HOUR).examined == 0
    assert subs.sweep().examined == 10, "without a lease everything is looked at"
    subs.clock.advance(hours=1)
    assert subs.sweep(lease=HOUR).examined == 10


@pytest.mark.usefixtures("small_batches")
def test_the_lease_of_a_sweep_that_dies_ends_by_itself() -> None:
    subs = crowd(["capture"] * 3, kind=MortalSubscriptions)
    subs.die_at(6)
    with pytest.raises(Died):
        subs.sweep(lease=HOUR)
    subs.die_at(None)
    first = subs.sweep(lease=HOUR)
    assert 0 < first.examined < 3
    subs.clock.advance(hours=1)
    assert first.examined + subs.sweep(lease=HOUR).examined >= 3
    all_is_told(subs)
    assert len(taken(subs)) == 6


def test_a_store_without_leases_says_so() -> None:
    class Plain(MemoryStore):
        lease = None  # type: ignore[assignment]

    with pytest.raises(LifecycleError, match="lease"):
        crowd(store=Plain()).sweep(lease=HOUR)


@pytest.mark.usefixtures("small_batches")
def test_a_limit_holds_over_batches() -> None:
    subs = crowd(["capture"] * 7)
    assert [subs.sweep(limit=limit).examined for limit in (0, 1, 3, 10)] == [0, 1, 3, 3]


# -- telling


@pytest.mark.usefixtures("small_batches")
def test_progress_is_told_after_each_batch() -> None:
    subs = crowd(["capture", "decline", "capture", "process", "capture"])
    told = list[SweepProgress]()
    report = subs.sweep(progress=told.append)
    assert [(done.batches, done.examined, done.captured, done.declined) for done in told] == [
        (1, 2, 1, 1),
        (2, 4, 2, 1),
        (3, 5, 3, 1),
    ]
    assert (told[-1].entries, told[-1].failed) == (report.entries, 0)
    assert told[-1].entries == sum(len(history) for _, history in lives(subs).values()) - 2 * 5


@pytest.mark.usefixtures("small_batches")
def test_what_progress_raises_stops_nothing_and_is_reported() -> None:
    def progress(done: SweepProgress) -> None:
        raise ValueError(done.batches)

    subs = crowd(["capture"] * 5)
    report = subs.sweep(progress=progress)
    assert report.captured == 5
    assert [(id, str(error)) for id, error in report.failed] == [("(progress)", "3")]


@pytest.mark.usefixtures("small_batches")
def test_who_interrupts_a_sweep_stops_it_between_batches() -> None:
    def progress(done: SweepProgress) -> None:
        raise KeyboardInterrupt

    subs = crowd(["capture"] * 5)
    with pytest.raises(KeyboardInterrupt):
        subs.sweep(progress=progress)
    assert [stored.attempt for stored, _ in lives(subs).values()] == [None] * 5
    assert len(taken(subs)) == 5 + 2


def test_what_waits_for_an_operator_is_told_apart() -> None:
    subs = crowd(["less", "process", "capture"])
    report = subs.sweep()
    assert (report.mismatched, report.awaiting, report.captured) == (("s0",), ("s1",), 1)


def test_who_was_overtaken_has_not_failed() -> None:
    """A person writes between the decision and the intent."""
    subs = crowd()
    other = Subscriptions(subs.store, subs.gateway, clock=subs.clock)
    inner = subs._performer

    def facts(subscription: Subscription | None, command: object) -> Mapping[str, Any]:
        if subscription is not None and subscription.id == "s1":
            other.set_recurring_billing("s0", on=False, by=SUPPORT, idempotency_key="off")
        return {}

    subs._performer = attrs.evolve(inner, facts=facts)
    report = subs.sweep()
    assert (report.overtaken, report.failed, report.parked) == (1, (), ())
    all_is_told(subs)


def test_a_payment_that_is_declined_at_last_is_reported() -> None:
    subs = crowd(["process"])
    subs.sweep()
    reference = subs.store.load("s0", None).attempt.reference
    subs.gateway.ledger[reference] = Declined("expired_card", retryable=False, gateway_id="ch")
    subs.clock.advance(days=1)
    assert subs.sweep().declined == ("s0",)


def test_a_debit_nobody_knows_of_does_not_hold_up_what_is_due() -> None:
    """Asked for by the clock, the gateway does not answer; the next renewal is made all the same."""

    class Silent(Moody):
        silent: str = ""

        def find(self, reference: str, /) -> PaymentOutcome | None:
            if reference == self.silent:
                raise TimeoutError("no answer")
            return super().find(reference)

    subs = crowd(["process"], gateway=Silent, banks=(0,))
    subs.sweep()
    [debit] = subs.get("s0").submitted
    subs.gateway.silent = debit.reference
    subs.gateway.moods = {"s0": "capture"}
    subs.clock.set("2024-03-01T09:00Z")
    report = subs.sweep()
    assert (report.failed, report.captured) == ((), 1)
