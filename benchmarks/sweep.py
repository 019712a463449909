"""What a sweep costs: by what is due and not by what is stored, and against its own statements on the bare driver.

    python benchmarks/sweep.py [stored]

1,000 renewals are due, each with a card that is captured at once (the gateway answers at once, so that what is measured
is ours): among 10,000 stored subscriptions and among `stored`, by default a million. Rows are not written by the engine
one by one: the engine writes one subscription, and the others are copies of its documents under other ids, with its
entry and its answer. The same thousand are due again a month later: both stores take turns, and the median counts.

What a sweep asks of its store is asked once more of a store on a copy of the database, and its statements are run on
another copy by the driver alone, in the same transactions and as many at a time. SQLite is a file with
`synchronous=FULL`, PostgreSQL runs with fsync.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg
from tests.postgresql import OwnServer, server

from subscription_lifecycle import (
    MONTHLY,
    YEARLY,
    Actor,
    Money,
    PaymentMethod,
    Plan,
    Role,
    Subscription,
    Subscriptions,
    documents,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.adapters.sqlalchemy.rows import rows_of
from subscription_lifecycle.adapters.sqlalchemy.transactions import Transactions
from subscription_lifecycle.ports import Write
from subscription_lifecycle.testing import FakeClock, FakeGateway
from subscription_lifecycle.testing.lives import RecordingStore

DUE, FEW, MANY = 1_000, 10_000, 1_000_000
MONTHS = [f"2026-{month:02}-15T09:00Z" for month in range(2, 9)]
ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
CARD = PaymentMethod.card("tok_1", country="NL")
PATTERN = "sub_0000000"
COLUMNS = {
    "subscriptions": "id, version, customer, state, due_at, document, attempt",
    "entries": "subscription, version, write_id, reference, effective_at, recorded_at, document, delivered",
    "keys": "subscription, key, document",
}
Row = tuple[Any, ...]


# -- filling


def written(plan: Plan) -> list[Write]:
    """A subscription of that plan that began in January: what the engine writes for it."""
    store, clock = RecordingStore(), FakeClock("2026-01-15T09:00Z")
    subs = Subscriptions(store, FakeGateway(clock), clock=clock)
    subs.start(
        PATTERN,
        customer="contoso",
        plan=plan,
        payment_method=CARD,
        recurring_billing=True,
        by=ALICE,
        idempotency_key="start",
    )
    return store.writes


def rows_like(writes: list[Write]) -> dict[str, list[Row]]:
    made = [rows_of(write) for write in writes]
    answers = {row["key"]: tuple(row.values()) for each in made for row in each.answers}
    return {
        "subscriptions": [tuple(made[-1].snapshot.values())],
        "entries": [
            (*(value for name, value in row.items() if name != "document"), row["document"], True)
            for each in made
            for row in each.entries
        ],
        "keys": list(answers.values()),
    }


def copies(patterns: dict[str, list[Row]], ids: list[str], table: str) -> Iterator[Row]:
    for id in ids:
        for row in patterns[table]:
            yield tuple([value.replace(PATTERN, id) if isinstance(value, str) else value for value in row])


def population(stored: int) -> tuple[list[str], list[str]]:
    """Ids that are due each month, evenly among those that are not."""
    ids = [f"sub_{number:07}" for number in range(1, stored + 1)]
    due = ids[:: stored // DUE][:DUE]
    chosen = set(due)
    return due, [id for id in ids if id not in chosen]


def filled(stored: int, insert: Callable[[str, Iterator[Row]], None]) -> None:
    monthly = rows_like(written(Plan("monthly", Money.of("20.00", "EUR"), MONTHLY)))
    yearly = rows_like(written(Plan("yearly", Money.of("200.00", "EUR"), YEARLY)))
    due, others = population(stored)
    for table in COLUMNS:
        insert(table, copies(monthly, due, table))
        insert(table, copies(yearly, others, table))


def fill_sqlite(path: Path, stored: int) -> Path:
    SQLStore(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")

    def insert(table: str, rows: Iterator[Row]) -> None:
        columns = COLUMNS[table]
        marks = ", ".join("?" for _ in columns.split(","))
        connection.executemany(f"INSERT INTO lifecycle_{table} ({columns}) VALUES ({marks})", rows)

    filled(stored, insert)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("ANALYZE")
    connection.close()
    return path


def fill_postgresql(started: OwnServer, stored: int) -> str:
    url = started.create()
    SQLStore(url).close()
    with psycopg.connect(url, autocommit=True) as connection:

        def insert(table: str, rows: Iterator[Row]) -> None:
            with connection.cursor().copy(f"COPY lifecycle_{table} ({COLUMNS[table]}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)

        filled(stored, insert)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return url


# -- sweeping


class Sweeping:
    """A store with a thousand renewals due each month."""

    def __init__(self, where: Path | str, kind: type[SQLStore] = SQLStore) -> None:
        self.clock = FakeClock()
        self.store = kind(where)
        self.subs = Subscriptions(self.store, FakeGateway(self.clock), clock=self.clock)

    def sweep(self, at: str) -> float:
        self.clock.set(at)
        gc.collect()
        begun = time.perf_counter()
        report = self.subs.sweep()
        seconds = time.perf_counter() - begun
        assert (report.examined, report.captured, report.failed) == (DUE, DUE, ()), report
        return seconds


def compare_sizes(name: str, few: Path | str, many: Path | str, stored: int) -> None:
    small, large = Sweeping(few), Sweeping(many)
    for sweeping in (small, large):
        sweeping.sweep(MONTHS[0])
    rounds = [(small.sweep(at), large.sweep(at)) for at in MONTHS[1:]]
    one, other = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(large / small for small, large in rounds)
    small.store.close()
    large.store.close()
    print(
        f"{name:12} {DUE:,} due among {FEW:,}: {one:.2f} s   among {stored:,}: {other:.2f} s   "
        f"ratio {ratio:.2f} (wanted: 1.3 or less)"
    )


# -- against the bare driver

Said = tuple[str, str, Any]


class _Recorder:
    """A cursor that keeps what it is told."""

    def __init__(self, cursor: Any, said: list[Said]) -> None:
        self._cursor, self._said = cursor, said

    def execute(self, sql: str, given: Any = ()) -> Any:
        self._said.append(("execute", sql, given))
        return self._cursor.execute(sql, given) if given else self._cursor.execute(sql)

    def executemany(self, sql: str, given: Any, **options: Any) -> Any:
        self._said.append(("many and read" if options else "many", sql, given))
        return self._cursor.executemany(sql, given, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@contextlib.contextmanager
def recording() -> Iterator[list[Said]]:
    said: list[Said] = []
    reading, writing = Transactions.reading, Transactions.writing

    @contextlib.contextmanager
    def reads(self: Transactions) -> Iterator[Any]:
        with reading(self) as cursor:
            yield _Recorder(cursor, said)

    @contextlib.contextmanager
    def writes(self: Transactions) -> Iterator[Any]:
        said.append(("execute", "BEGIN", ()))
        with writing(self) as cursor:
            yield _Recorder(cursor, said)
        said.append(("execute", "COMMIT", ()))

    Transactions.reading, Transactions.writing = reads, writes  # type: ignore[method-assign]
    try:
        yield said
    finally:
        Transactions.reading, Transactions.writing = reading, writing  # type: ignore[method-assign]


def replayed(connection: Any, said: list[Said]) -> float:
    """Seconds that the statements take by themselves."""
    cursor = connection.cursor()
    begun = time.perf_counter()
    for how, sql, given in said:
        if how == "execute":
            cursor.execute(sql, given) if given else cursor.execute(sql)
        elif how == "many":
            cursor.executemany(sql, given)
        else:
            cursor.executemany(sql, given, returning=True)
        # What is read is fetched, and not looked at.
        while True:
            if cursor.description is not None:
                cursor.fetchall()
            if how != "many and read" or not cursor.nextset():
                break
    return time.perf_counter() - begun


class NotingStore(SQLStore):
    """Keeps what the sweep asked of it."""

    def __init__(self, where: Path | str) -> None:
        super().__init__(where)
        self.asked: list[tuple[str, Any]] = []


def _noting(name: str) -> Any:
    def method(self: NotingStore, *given: Any) -> Any:
        self.asked.append((name, given))
        return getattr(SQLStore, name)(self, *given)

    return method


for _name in ("due", "load_many", "write_many", "undelivered", "delivered"):
    setattr(NotingStore, _name, _noting(_name))


def asked_again(store: SQLStore, asked: list[tuple[str, Any]]) -> float:
    """Seconds that the store takes for what a sweep asks of it: statements and documents, and nothing decided."""
    begun = time.perf_counter()
    for name, given in asked:
        getattr(store, name)(*given)
    return time.perf_counter() - begun


def documents_of(asked: list[tuple[str, Any]]) -> float:
    """Seconds for nothing but the documents of what a sweep writes, and of what it reads first."""
    writes = [write for name, given in asked if name == "write_many" for write in given[0]]
    texts = [rows_of(write).snapshot["new_document"] for write in writes if write.attempt is None]
    begun = time.perf_counter()
    for write in writes:
        rows_of(write)
    for text in texts:
        documents.from_json(Subscription, text)
    return time.perf_counter() - begun


Again = Callable[[], contextlib.AbstractContextManager[tuple[Any, SQLStore]]]


def compare_with_bare(name: str, where: Path | str, again: Again) -> None:
    """`again` opens the bare driver, and a store, each on the database as it was before the sweep."""
    sweeping = Sweeping(where, NotingStore)
    rounds: list[tuple[float, float, float, float]] = []
    statements = 0
    for at in MONTHS[: len(MONTHS) // 2 + 1]:
        # PostgreSQL copies a database that nobody is connected to.
        sweeping.store.engine.dispose()
        asked = vars(sweeping.store)["asked"] = list[tuple[str, Any]]()
        with again() as (driver, store):
            with recording() as said:
                seconds = sweeping.sweep(at)
            rounds.append((seconds, asked_again(store, asked), documents_of(asked), replayed(driver, said)))
            statements = len(said)
    sweeping.store.close()
    swept, kept, written, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
    of_store = statistics.median(bare / kept for _, kept, _, bare in rounds)
    of_sweep = statistics.median(bare / swept for swept, _, _, bare in rounds)
    at_best = statistics.median(bare / (bare + written) for _, _, written, bare in rounds)
    print(
        f"{name:12} a sweep of {DUE:,}: {swept:.2f} s   its store alone: {kept:.2f} s   its {statements:,} statements "
        f"alone: {bare:.2f} s   its documents alone: {written:.2f} s\n"
        f"{'':12} ratio of the store {of_store:.2f} (wanted: 0.6 or more; {at_best:.2f} if nothing but statements and "
        f"documents took time)   of the whole sweep, with every decision {of_sweep:.2f}"
    )


def on_sqlite(stored: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few = fill_sqlite(folder / "few.sqlite", FEW)

        @contextlib.contextmanager
        def again() -> Iterator[tuple[Any, SQLStore]]:
            copies = (folder / "one.sqlite", folder / "other.sqlite")
            for copy in copies:
                copy.unlink(missing_ok=True)
                with (
                    contextlib.closing(sqlite3.connect(few)) as source,
                    contextlib.closing(sqlite3.connect(copy)) as to,
                ):
                    source.backup(to)
            driver = sqlite3.connect(copies[0], isolation_level=None)
            driver.execute("PRAGMA journal_mode = WAL")
            driver.execute("PRAGMA synchronous = FULL")
            store = SQLStore(copies[1])
            yield driver, store
            driver.close()
            store.close()

        compare_with_bare("SQLite", few, again)
        begun = time.perf_counter()
        many = fill_sqlite(folder / "many.sqlite", stored)
        few.unlink()
        fill_sqlite(few, FEW)
        # What was filled in is written out before anything is timed: a commit waits for the disk.
        os.sync()
        print(f"{'':12} filling took {time.perf_counter() - begun:.0f} s")
        compare_sizes("SQLite", few, many, stored)


def on_postgresql(stored: int) -> None:
    with server(durable=True) as started:
        few = fill_postgresql(started, FEW)

        @contextlib.contextmanager
        def again() -> Iterator[tuple[Any, SQLStore]]:
            copies = [started.create(template=urlsplit(few).path[1:]) for _ in range(2)]
            store = SQLStore(copies[1])
            with psycopg.connect(copies[0], autocommit=True) as driver:
                yield driver, store
            store.close()
            for copy in copies:
                started.drop(copy)

        compare_with_bare("PostgreSQL", few, again)
        begun = time.perf_counter()
        many = fill_postgresql(started, stored)
        few = fill_postgresql(started, FEW)
        print(f"{'':12} filling took {time.perf_counter() - begun:.0f} s")
        compare_sizes("PostgreSQL", few, many, stored)


def main() -> None:
    stored = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    on_sqlite(stored)
    on_postgresql(stored)


if __name__ == "__main__":
    main()
