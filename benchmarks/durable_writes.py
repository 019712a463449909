"""What one durable write costs through SQLStore, against the same statements on the bare driver.

    python benchmarks/durable_writes.py [seconds]

Both take turns in one run, on an SQLite file with `synchronous=FULL` and on PostgreSQL with fsync, and every
transaction survives a power cut. Printed: the median of the rounds, in writes a second, and their ratio.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import attrs
import psycopg
from tests.postgresql import server

from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.adapters.sqlalchemy.rows import rows_of
from subscription_lifecycle.ports import Write
from subscription_lifecycle.testing.lives import recorded_lives

ROUNDS = 7
NUMBERS = itertools.count()
RESERVED = recorded_lives().of("by_card")[0]

STATEMENTS = (
    """INSERT INTO lifecycle_subscriptions (id, version, customer, state, due_at, document, attempt)
       VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING""",
    """INSERT INTO lifecycle_entries
       (subscription, version, write_id, reference, effective_at, recorded_at, document, delivered)
       VALUES (?, ?, ?, ?, ?, ?, ?, false)""",
    """INSERT INTO lifecycle_keys (subscription, key, document) VALUES (?, ?, ?)
       ON CONFLICT (subscription, key) DO UPDATE SET document = excluded.document""",
)


def some_writes(number: int) -> list[Write]:
    """A first payment reserved, each of a subscription of its own: snapshot, attempt, entry and answer."""
    [entry] = RESERVED.entries
    ids = [f"sub_{next(NUMBERS)}" for _ in range(number)]
    return [
        attrs.evolve(
            RESERVED,
            id=f"write {id}",
            subscription=RESERVED.subscription.changed({"id": id}),
            entries=(attrs.evolve(entry, subscription=id),),
        )
        for id in ids
    ]


Round = Callable[[int], float]
"""Makes so many writes, and answers how many a second."""


def through_the_store(store: SQLStore) -> Round:
    def make(number: int) -> float:
        writes = some_writes(number)
        begun = time.perf_counter()
        for write in writes:
            store.write(write)
        return number / (time.perf_counter() - begun)

    return make


def bare(connection: Any, begin: str, mark: str) -> Round:
    """The store's own statements, with what the store would give them."""
    statements = [statement.replace("?", mark) for statement in STATEMENTS]
    cursor = connection.cursor()

    def make(number: int) -> float:
        rows = [rows_of(write) for write in some_writes(number)]
        given = [[list(row.values()) for row in (each.snapshot, *each.entries, *each.answers)] for each in rows]
        begun = time.perf_counter()
        for parameters in given:
            cursor.execute(begin)
            for statement, row in zip(statements, parameters, strict=True):
                cursor.execute(statement, row)
            cursor.execute("COMMIT")
        return number / (time.perf_counter() - begun)

    return make


def compare(name: str, store: Round, driver: Round, seconds: float) -> None:
    number = max(20, int(driver(50) * seconds))
    store(20)
    rounds = [(store(number), driver(number)) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(one / other for one, other in rounds)
    print(f"{name:12} SQLStore {ours:7.0f}/s   bare driver {theirs:7.0f}/s   ratio {ratio:.2f}   ({number} x {ROUNDS})")


@contextlib.contextmanager
def on_sqlite() -> Iterator[tuple[Round, Round]]:
    with tempfile.TemporaryDirectory() as folder:
        store = SQLStore(Path(folder) / "store.sqlite")
        driver = sqlite3.connect(Path(folder) / "store.sqlite", isolation_level=None)
        driver.execute("PRAGMA synchronous = FULL")
        yield through_the_store(store), bare(driver, "BEGIN IMMEDIATE", "?")
        driver.close()
        store.close()


@contextlib.contextmanager
def on_postgresql() -> Iterator[tuple[Round, Round]]:
    with server(durable=True) as started:
        url = started.create()
        store = SQLStore(url)
        with psycopg.connect(url, autocommit=True) as driver:
            yield through_the_store(store), bare(driver, "BEGIN", "%s")
        store.close()


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    for name, opened in (("SQLite", on_sqlite), ("PostgreSQL", on_postgresql)):
        with opened() as (store, driver):
            compare(name, store, driver, seconds)


if __name__ == "__main__":
    main()
