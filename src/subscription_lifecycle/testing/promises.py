"""How a conformance suite says which promise does not hold, and fills a store to try it on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from subscription_lifecycle.errors import ConcurrentChange
from subscription_lifecycle.model.charge import InvoiceLine
from subscription_lifecycle.ports import Store, Write
from subscription_lifecycle.testing.lives import Recorded

Make: TypeAlias = Callable[[], Store]

ALWAYS = datetime(9999, 12, 31, tzinfo=UTC)
MANY = 100_000


def check(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def same(found: object, expected: object, sentence: str) -> None:
    if found != expected:
        raise AssertionError(f"{sentence}\nFound:    {found!r}\nExpected: {expected!r}")


def quietly(store: Store, write: Write, sentence: str = "A repeated write does nothing, whatever came after.") -> None:
    try:
        store.write(write)
    except ConcurrentChange as error:
        raise AssertionError(f"{sentence} It raised {error!r}.") from error


def filled(make: Make, recorded: Recorded) -> Store:
    store = make()
    for write in recorded.writes:
        store.write(write)
    return store


def repeat_all(store: Store, recorded: Recorded) -> None:
    for write in recorded.writes:
        quietly(store, write)


def by_id(items: Sequence[Any]) -> list[Any]:
    return sorted(items, key=lambda item: item.id)


def lines_written(writes: Sequence[Write]) -> list[InvoiceLine]:
    return [line for write in writes for entry in write.entries for line in entry.invoice_lines]
