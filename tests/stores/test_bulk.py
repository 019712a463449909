"""Many at a time: one transaction where it can be, and a store that breaks a promise of it is caught."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from subscription_lifecycle import ConcurrentChange, InvalidValue, MemoryStore
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.adapters.sqlalchemy.transactions import Transactions
from subscription_lifecycle.ports import ClaimTaken, Stored, Write
from subscription_lifecycle.testing.conformance import check_store
from subscription_lifecycle.testing.lives import recorded_lives

LIFE = recorded_lives().of("by_card")


def begun(number: int, store: Any = None) -> list[Write]:
    """Subscriptions "s0", "s1", … that were just started, and for each the write that comes next."""
    found: list[Write] = []
    for id in (f"s{one}" for one in range(number)):
        first, second = (
            attrs.evolve(
                write,
                subscription=write.subscription.changed({"id": id}),
                entries=tuple(attrs.evolve(entry, subscription=id) for entry in write.entries),
            )
            for write in LIFE[:2]
        )
        if store is not None:
            store.write(first)
        found.append(second)
    return found


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def store(request: Any, tmp_path: Path) -> Iterator[SQLStore]:
    where: Any = tmp_path / "s.sqlite" if request.param == "SQLite" else request.getfixturevalue("postgresql_url")
    made = SQLStore(where)
    yield made
    made.close()


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was begun, and how it ended."""
    found: list[str] = []
    writing = Transactions.writing

    @contextlib.contextmanager
    def noted(self: Transactions) -> Iterator[Any]:
        found.append("undone")
        number = len(found) - 1
        with writing(self) as cursor:
            yield cursor
        found[number] = "made"

    monkeypatch.setattr(Transactions, "writing", noted)
    return found


def test_many_writes_are_one_transaction(store: SQLStore, transactions: list[str]) -> None:
    writes = begun(20, store)
    transactions.clear()
    assert list(store.write_many(writes)) == [None] * 20
    assert transactions == ["made"]
    loaded = store.load_many([(write.subscription.id, None) for write in writes])
    assert [found.subscription for found in loaded if isinstance(found, Stored)] == [
        write.subscription for write in writes
    ]


def test_what_is_stale_costs_the_others_nothing(store: SQLStore, transactions: list[str]) -> None:
    writes = begun(20, store)
    writes[7] = attrs.evolve(writes[7], expected=40)
    transactions.clear()
    outcomes = store.write_many(writes)
    assert [number for number, outcome in enumerate(outcomes) if outcome is not None] == [7]
    assert isinstance(outcomes[7], ConcurrentChange)
    assert transactions == ["made", "undone"]


def test_what_the_database_refuses_hurts_only_itself(store: SQLStore, transactions: list[str]) -> None:
    """One that no row can hold: the transaction fails as a whole, and each is made by itself."""
    writes = begun(5, store)
    bad = attrs.evolve(writes[2].answers[0], key="\0") if writes[2].answers else None
    writes[2] = attrs.evolve(writes[2], answers=(bad,)) if bad else attrs.evolve(writes[2], id="\0")
    transactions.clear()
    outcomes = store.write_many(writes)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [InvalidValue]
    assert transactions == ["undone", "made", "made", "undone", "made", "made"]
    assert len(store.history("s2")) == len(LIFE[0].entries)


def test_one_that_cannot_be_read_hurts_only_itself(store: SQLStore) -> None:
    begun(3, store)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE lifecycle_subscriptions SET document = '{}' WHERE id = 's1'")
    found = store.load_many([("s0", None), ("s1", None), ("nobody", None), ("s2", None)])
    assert [type(each) for each in found] == [Stored, InvalidValue, type(None), Stored]


def test_writes_of_one_subscription_are_made_in_order(store: SQLStore) -> None:
    [write] = begun(1, store)
    store.write(attrs.evolve(recorded_lives().of("trial")[0], claims=("taken",)))
    outcomes = store.write_many([attrs.evolve(write, claims=("taken",)), write])
    assert [type(outcome) for outcome in outcomes] == [ClaimTaken, type(None)]


def test_two_who_write_the_same_at_once(store: SQLStore, transactions: list[str]) -> None:
    """In opposite orders: each is written once, and nobody waits for who waits for him."""
    writes = begun(60, store)
    others = [attrs.evolve(write, id="other") for write in writes[::-1]]
    outcomes: dict[str, list[Any]] = {}
    transactions.clear()
    barrier = threading.Barrier(2)

    def write(name: str, given: Sequence[Write]) -> None:
        barrier.wait()
        outcomes[name] = list(store.write_many(given))

    threads = [threading.Thread(target=write, args=args) for args in (("one", writes), ("other", others))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mine, theirs in zip(outcomes["one"], outcomes["other"][::-1], strict=True):
        assert [type(end) for end in (mine, theirs) if end is not None] == [ConcurrentChange]
    assert transactions.count("made") == 2, "nobody was ended for being in the way"


def test_a_mirror_sees_each(tmp_path: Path) -> None:
    seen = list[str]()
    store = SQLStore(tmp_path / "s.sqlite", mirror=lambda connection, subscription: seen.append(subscription.id))
    writes = begun(4, store)
    seen.clear()
    assert list(store.write_many(writes)) == [None] * 4
    assert sorted(seen) == ["s0", "s1", "s2", "s3"]
    store.close()


# -- stores that break a promise


class StopsAtTheFirst(MemoryStore):
    def write_many(self, writes: Sequence[Write], /) -> Sequence[Exception | None]:
        for write in writes:
            self.write(write)
        return [None] * len(writes)


class UndoesAll(MemoryStore):
    def write_many(self, writes: Sequence[Write], /) -> Sequence[Exception | None]:
        outcomes = MemoryStore.write_many(self, writes)
        return [next((error for error in outcomes if error), None)] * len(writes)


class LeavesOutTheLast(MemoryStore):
    def write_many(self, writes: Sequence[Write], /) -> Sequence[Exception | None]:
        MemoryStore.write_many(self, writes[:-1])
        return [None] * len(writes)


class LoadsInAnyOrder(MemoryStore):
    def load_many(self, wanted: Sequence[tuple[str, str | None]], /) -> Sequence[Stored | Exception | None]:
        return super().load_many(sorted(wanted, key=str))


class LoadsWithoutKeys(MemoryStore):
    def load_many(self, wanted: Sequence[tuple[str, str | None]], /) -> Sequence[Stored | Exception | None]:
        return super().load_many([(id, None) for id, _ in wanted])


class CountsForEver(MemoryStore):
    def write(self, write: Write, /) -> None:
        record = self._records.get(write.subscription.id)
        stumbles = record.stumbles if record else 0
        super().write(write)
        self._records[write.subscription.id].stumbles = stumbles


class DefersAnybody(MemoryStore):
    def defer(self, until: Mapping[str, datetime], /) -> None:
        for id in until.keys() & self._records.keys():
            self._records[id].stumbles += 1
        super().defer(until)


class ForgetsWhenItWasDue(MemoryStore):
    def forget(self, ids: Sequence[str], /) -> None:
        for id in ids:
            if id in self._records:
                self._records[id].due_before = None
        super().forget(ids)


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        (StopsAtTheFirst, ""),
        (UndoesAll, "write_many answers what"),
        (LeavesOutTheLast, "write_many leaves what"),
        (LoadsInAnyOrder, "load_many answers what"),
        (LoadsWithoutKeys, "load_many answers what"),
        (CountsForEver, "Any write ends the row"),
        (DefersAnybody, "Who has not stumbled"),
        (ForgetsWhenItWasDue, "unpark makes it due"),
    ],
)
def test_a_store_that_breaks_a_promise_is_caught(store: Callable[[], MemoryStore], sentence: str) -> None:
    with pytest.raises((AssertionError, ConcurrentChange)) as caught:
        check_store(store)
    assert sentence in str(caught.value)
