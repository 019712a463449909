"""The promises of a store that a sweep drives in batches: many at a time, and leaving alone what keeps failing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from subscription_lifecycle.errors import ConcurrentChange
from subscription_lifecycle.ports import (
    BulkStore,
    ClaimTaken,
    DeferringStore,
    InvoiceStore,
    LeasingStore,
    Parked,
    ParkingStore,
    Store,
    Write,
)
from subscription_lifecycle.testing.lives import Recorded
from subscription_lifecycle.testing.promises import ALWAYS, MANY, Make, by_id, check, filled, lines_written, same

LATE = datetime(2100, 1, 1, tzinfo=UTC)
EARLY = datetime(2000, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def _everything(store: Store, recorded: Recorded) -> list[Any]:
    references = {
        entry.payment.reference for write in recorded.writes for entry in write.entries if entry.payment is not None
    }
    return [
        *(store.load(id, key) for key, id in recorded.keys),
        *(tuple(store.history(id)) for id in recorded.ids),
        *(store.find(reference) for reference in sorted(references)),
        list(store.due(ALWAYS, MANY)),
        by_id(list(store.undelivered(MANY))),
    ]


def _many_writes_are_as_many_times_one(make: Make, recorded: Recorded) -> None:
    expected = _everything(filled(make, recorded), recorded)
    lives = [recorded.of(id) for id in recorded.ids]
    in_step = [[life[number] for life in lives if number < len(life)] for number in range(max(map(len, lives)))]
    mixed = [recorded.writes[start : start + 7] for start in range(0, len(recorded.writes), 7)]
    for batches in (in_step, mixed, [recorded.writes]):
        store = make()
        assert isinstance(store, BulkStore)
        for writes in (*batches, *batches):
            outcomes = list(store.write_many(writes))
            same(outcomes, [None] * len(writes), "write_many answers None for each that is on record; again, too.")
        found = _everything(store, recorded)
        same(found, expected, "write_many leaves what so many writes leave.")
        if isinstance(store, InvoiceStore):
            lines = lines_written(recorded.writes)
            taken = [line for of in sorted({line.customer for line in lines}) for line in _taken(store, of)]
            same(sorted(taken), sorted(line.id for line in lines), "write_many keeps the invoice lines.")
    store = make()
    assert isinstance(store, BulkStore)
    check(list(store.write_many(())) == [], "write_many of nothing writes nothing.")


def _taken(store: InvoiceStore, customer: str) -> list[str]:
    return [line.id for line in store.take_invoice_lines(customer, f"of {customer}")]


def _each_write_stands_alone(make: Make, recorded: Recorded) -> None:
    """Stale ones, repeated ones and ones whose claim is taken, among others that are none of that."""
    lives = {id: recorded.of(id) for id in recorded.ids if len(recorded.of(id)) > 1}
    for shift in range(4):
        store = make()
        assert isinstance(store, BulkStore)
        for first, *_ in lives.values():
            store.write(first)
        keeper = next(id for id in recorded.ids if id not in lives)
        store.write(attrs.evolve(recorded.of(keeper)[0], claims=("taken",)))
        writes: list[Write] = []
        wanted: list[tuple[type[Exception] | None, bool]] = []
        for number, (first, second, *_) in enumerate(lives.values()):
            stale = attrs.evolve(second, id="stale", expected=second.expected + 50)
            claiming = attrs.evolve(second, claims=("taken",))
            cases = [(stale, ConcurrentChange, False), (claiming, ClaimTaken, False)]
            write, outcome, new = [*cases, (first, None, False), (second, None, True)][(number + shift) % 4]
            writes.append(write)
            wanted.append((outcome, new))
        found = [None if outcome is None else type(outcome) for outcome in store.write_many(writes)]
        expected = [outcome for outcome, _ in wanted]
        same(found, expected, "write_many answers what `write` would have raised for each, and makes the others.")
        for (first, second, *_), (_, new) in zip(lives.values(), wanted, strict=True):
            entries = (*first.entries, *(second.entries if new else ()))
            found_there = tuple(store.history(first.subscription.id))
            same(found_there, entries, "write_many writes all of a write, and nothing of one that it refuses.")
        later = [second for _, second, *_ in lives.values()]
        check(list(store.write_many(later)) == [None] * len(later), "Who was refused can be written later.")


def _many_loads_are_as_many_times_one(make: Make, recorded: Recorded) -> None:
    store = filled(make, recorded)
    assert isinstance(store, BulkStore)
    wanted: list[tuple[str, str | None]] = [("nobody", None), *((id, key) for key, id in recorded.keys)]
    wanted += [(id, None) for id in recorded.ids[::-1]] + [(recorded.ids[0], "no such key")]
    expected = [store.load(id, key) for id, key in wanted]
    same(list(store.load_many(wanted)), expected, "load_many answers what `load` does for each, in that order.")
    same(list(store.load_many(wanted[:1])), expected[:1], "load_many answers None for what is not there.")
    check(list(store.load_many(())) == [], "load_many of nothing answers nothing.")


# -- what keeps failing


def _failures_in_a_row_are_counted(make: Make, recorded: Recorded) -> None:
    store = make()
    assert isinstance(store, DeferringStore)
    writes = recorded.of("by_card")
    store.write(attrs.evolve(writes[0], due_at=EARLY))
    store.write(recorded.of("trial")[0])
    counts = [dict(store.stumbled({"by_card": f"error {number} é", "nobody": "?"})) for number in (1, 2)]
    same(counts, [{"by_card": 1}, {"by_card": 2}], "stumbled counts in a row, by id, and leaves out who is unknown.")
    check(dict(store.stumbled({"trial": "?"})) == {"trial": 1}, "stumbled counts each subscription by itself.")
    check("by_card" in store.due(LATE, MANY), "Who stumbled is still due.")
    store.write(attrs.evolve(writes[1], due_at=EARLY))
    check(dict(store.stumbled({"by_card": "?"})) == {"by_card": 1}, "Any write ends the row of failures.")
    check(dict(store.stumbled({"trial": "?"})) == {"trial": 2}, "A write leaves the failures of others alone.")
    store.forget(("by_card", "nobody"))
    check(dict(store.stumbled({"by_card": "?"})) == {"by_card": 1}, "forget ends the row of failures.")


def _what_is_deferred_waits(make: Make, recorded: Recorded) -> None:
    store = make()
    assert isinstance(store, DeferringStore)
    writes = recorded.of("by_card")
    store.write(attrs.evolve(writes[0], due_at=EARLY))
    store.defer({"by_card": LATE, "nobody": LATE})
    check(_due(store, EARLY) == ["by_card"], "Who has not stumbled is not deferred.")
    store.stumbled({"by_card": "first"})
    store.defer({"by_card": LATE})
    store.stumbled({"by_card": "last é"})
    store.defer({"by_card": LATE + DAY})
    check(_due(store, LATE + DAY - timedelta(microseconds=1)) == [], "What is deferred is not due before.")
    check(_due(store, LATE + DAY) == ["by_card"], "What is deferred is due from that instant on.")
    stored, parked = (
        store.load("by_card", None),
        Parked("subscription", "by_card", writes[0].entries[-1].version, "last é"),
    )
    assert stored is not None
    check(stored.subscription == writes[0].subscription, "What is deferred can be loaded as before.")
    if isinstance(store, ParkingStore):
        same(_deferred(store), [parked], "parked lists what is deferred, with its version and last error.")
        store.unpark("by_card", parked.version + 1)
        same(_deferred(store), [parked], "unpark leaves alone what is of another version.")
        store.unpark("by_card", parked.version)
        same([_deferred(store), _due(store, EARLY)], [[], ["by_card"]], "unpark makes it due as before.")
        store.stumbled({"by_card": "again"})
        store.defer({"by_card": LATE})
    store.forget(("by_card",))
    check(_due(store, EARLY) == ["by_card"], "forget makes it due when it was before.")
    store.stumbled({"by_card": "again"})
    store.defer({"by_card": LATE})
    store.write(attrs.evolve(writes[1], due_at=EARLY + DAY))
    check(_due(store, EARLY) == [] and _due(store, EARLY + DAY) == ["by_card"], "Any write says anew when it is due.")
    if isinstance(store, ParkingStore):
        check(_deferred(store) == [], "What was written since is not parked.")


def _due(store: Any, until: datetime) -> list[str]:
    found = list(store.due(until, MANY))
    if isinstance(store, LeasingStore):
        same(list(store.lease(until, MANY, EARLY - DAY)), found, "lease answers what is deferred as `due` does.")
    return found


BULK: Sequence[tuple[type, Sequence[Callable[[Make, Recorded], None]]]] = (
    (
        BulkStore,
        (_many_writes_are_as_many_times_one, _each_write_stands_alone, _many_loads_are_as_many_times_one),
    ),
    (DeferringStore, (_failures_in_a_row_are_counted, _what_is_deferred_waits)),
)
"""Each capability, and what tries it."""


def _deferred(store: ParkingStore) -> list[Parked]:
    """A mirror that fails has rows there, too."""
    return [parked for parked in store.parked() if parked.what == "subscription"]
