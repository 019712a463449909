"""The store on a SQL database: each write one transaction, each reading one statement."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
from sqlalchemy import URL, Engine, MetaData, create_engine, make_url, select
from sqlalchemy.exc import ArgumentError

from subscription_lifecycle import documents
from subscription_lifecycle.adapters.sqlalchemy.forks import usable, watch
from subscription_lifecycle.adapters.sqlalchemy.migrations import migrate
from subscription_lifecycle.adapters.sqlalchemy.mirror import Asked, BrokeOut, Mirror, mirrored, plain, said, time_limit
from subscription_lifecycle.adapters.sqlalchemy.postgresql import NAMES, postgresql_engine
from subscription_lifecycle.adapters.sqlalchemy.rows import WriteRows, entry_of, microseconds, rows_of, stored_of
from subscription_lifecycle.adapters.sqlalchemy.sqlite import in_memory, sqlite_engine
from subscription_lifecycle.adapters.sqlalchemy.statements import Row, Statements, storable
from subscription_lifecycle.adapters.sqlalchemy.tables import add_tables
from subscription_lifecycle.adapters.sqlalchemy.transactions import Transactions
from subscription_lifecycle.errors import ConcurrentChange, InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.charge import InvoiceLine
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.state import State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import ClaimTaken, Parked, Stored, Write


class SQLStore:
    """Subscriptions in tables called `lifecycle_…`, on SQLite or PostgreSQL. May be shared between threads.

    Given a URL (or the path of an SQLite file, as a Path) it makes an engine, creates the tables or brings them up to
    date, and is usable at once; SQLite then runs with WAL and `synchronous=FULL`, and "postgresql://…" goes through
    psycopg 3. Given an Engine it leaves settings and tables alone: call `make_durable(engine)` for SQLite, and
    `migrate()`, or let your own migrations make what `add_tables` adds. `schema` is where the tables are.

    `mirror(connection, subscription)` is called in the transaction of every write, after ours, in a savepoint. What it
    raises undoes its own work only; the fact stands, and `parked()` shows what was missed. It runs in a thread of its
    own, in the caller's context; one that has not ended after `mirror_seconds` is given up with its transaction, and
    the fact is written without it. (Where the database is one connection, as SQLite in memory, it runs in the caller's
    thread for as long as it likes.) What becomes of a payment that this object did not ask for itself is on record
    before the mirror is called, in a transaction of its own: who asked may have been ended by the mirror.
    """

    def __init__(
        self,
        engine_or_url: Engine | URL | Path | str,
        schema: str | None = None,
        mirror: Mirror | None = None,
        *,
        mirror_seconds: float = 10,
    ) -> None:
        self._owned = not isinstance(engine_or_url, Engine)
        self.engine = engine_or_url if isinstance(engine_or_url, Engine) else _engine(engine_or_url)
        if self.engine.dialect.name != "sqlite" or not in_memory(self.engine.url):
            # A database in memory is copied with the process.
            watch(self.engine, ours=self._owned)
        self.schema = schema
        self._sql = Statements(self.engine.dialect, schema)
        self._mirror = mirror
        self._mirror_seconds = time_limit(self.engine, _positive(mirror_seconds))
        self._asked_here = Asked()
        self._transactions = Transactions(self.engine)
        if self._owned:
            # Whoever forgets to close it leaves no connection behind.
            weakref.finalize(self, self.engine.dispose)
            self.migrate()

    def migrate(self) -> None:
        """Create the tables, or bring them up to date."""
        migrate(self.engine, self.schema)

    def close(self) -> None:
        """Close the connections of an engine that the store made itself."""
        if self._owned:
            self.engine.dispose()

    # -- one subscription

    def load(self, id: str, key: str | None, /) -> Stored | None:
        with self._transactions.reading() as cursor:
            row = self._sql.load.run(cursor, id=id, key=key).fetchone()
        return stored_of(row)

    def write(self, write: Write, /) -> None:
        rows = rows_of(write)
        if self._mirror is None:
            with self._transactions.writing() as cursor:
                self._written(cursor, write, rows)
        elif self._asked_here.all_of(write):
            self._write_mirrored(self._mirror, write, rows)
        else:
            self._write_and_mirror(self._mirror, write, rows)

    def history(self, id: str, /) -> Sequence[Entry]:
        with self._transactions.reading() as cursor:
            texts = self._sql.history.all(cursor, id=id)
        return tuple([documents.from_json(Entry, text) for text in texts])

    # -- many subscriptions

    def load_many(self, wanted: Sequence[tuple[str, str | None]], /) -> Sequence[Stored | Exception | None]:
        with self._transactions.reading() as cursor:
            rows = self._sql.load.each(cursor, [{"id": id, "key": key} for id, key in wanted])
        return [_tried(stored_of, row) for row in rows]

    def write_many(self, writes: Sequence[Write], /) -> Sequence[Exception | None]:
        """Those that a plain row replaces in one transaction, whatever else is the matter in one of its own."""
        done: set[int] = set()
        if self._mirror is None:
            with contextlib.suppress(Exception):
                done = self._replaced(writes)
        return [None if number in done else _tried(self.write, write) for number, write in enumerate(writes)]

    def _replaced(self, writes: Sequence[Write]) -> set[int]:
        """Which were written. Rows are taken in one order, so that two who write the same never wait for each other."""
        times = Counter(write.subscription.id for write in writes)
        plain = [
            number
            for number, write in enumerate(writes)
            if write.expected and not write.claims and times[write.subscription.id] == 1
        ]
        plain.sort(key=lambda number: writes[number].subscription.id)
        given = {number: rows_of(writes[number]) for number in plain}
        sql = self._sql
        with self._transactions.writing() as cursor:
            left, done = plain, list[int]()
            for replace in sql.replacing:
                changed = replace.each_changed(cursor, [given[number].replacing for number in left])
                done += [number for number, new in zip(left, changed, strict=True) if new]
                left = [number for number, new in zip(left, changed, strict=True) if not new]
            sql.append.many(cursor, [row for number in done for row in given[number].entries])
            sql.answer.many(cursor, [row for number in done for row in given[number].answers])
            sql.line.many(cursor, [row for number in done for row in given[number].lines])
        return set(done)

    # -- finding

    def find(self, reference: str, /) -> str | None:
        with self._transactions.reading() as cursor:
            found: str | None = self._sql.find.one(cursor, reference=reference)
        return found

    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        with self._transactions.reading() as cursor:
            return self._sql.due.all(cursor, until=microseconds(until), limit=limit)

    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        parameters: Row = {"until": microseconds(until), "limit": limit, "expires": microseconds(expires)}
        with self._transactions.writing() as cursor:
            return [id for _, id in sorted(self._sql.lease.run(cursor, **parameters).fetchall())]

    def search(
        self, customer: str | None, states: Sequence[State] | None, after: str | None, limit: int, /
    ) -> Sequence[Subscription]:
        table = add_tables(MetaData(), self.schema).subscriptions.c
        query = select(table.document).order_by(table.id).limit(limit)
        for field, text in {"customer": customer, "after": after}.items():
            storable(field, text or "")
        if customer is not None:
            query = query.where(table.customer == customer)
        if states is not None:
            query = query.where(table.state.in_([state.name for state in states]))
        if after is not None:
            query = query.where(table.id > after)
        with usable(self.engine).connect() as connection:
            texts = connection.execute(query).scalars().all()
        return [documents.from_json(Subscription, text) for text in texts]

    def payers(self, since: datetime, /) -> Sequence[str]:
        with self._transactions.reading() as cursor:
            # Asked for each id once, and in order, a database would look through all that was ever written.
            return sorted(set(self._sql.payers.all(cursor, since=microseconds(since))))

    # -- the outbox

    def undelivered(self, limit: int, /) -> Sequence[Entry]:
        with self._transactions.reading() as cursor:
            texts = self._sql.undelivered.all(cursor, limit=limit)
        return tuple([entry_of(text) for text in texts])

    def delivered(self, entries: Sequence[Entry], /) -> None:
        # In one order, so that two who deliver the same never wait for each other.
        marked = sorted({(entry.subscription, entry.version) for entry in entries})
        rows: list[Row] = [{"id": id, "entry": version} for id, version in marked]
        if rows:
            with self._transactions.writing() as cursor:
                self._sql.delivered.many(cursor, rows)
                self._sql.recovered.many(cursor, rows)

    # -- invoice lines

    def take_invoice_lines(self, customer: str, invoice: str, /) -> Sequence[InvoiceLine]:
        with self._transactions.writing() as cursor:
            if self._sql.only_one_takes is not None:
                self._sql.only_one_takes.run(cursor, customer=customer, invoice=invoice)
            self._sql.take_lines.run(cursor, of_customer=customer, new_invoice=invoice)
            return self._lines_of(cursor, invoice)

    def invoice_lines(self, invoice: str, /) -> Sequence[InvoiceLine]:
        with self._transactions.reading() as cursor:
            return self._lines_of(cursor, invoice)

    def _lines_of(self, cursor: Any, invoice: str) -> list[InvoiceLine]:
        texts = self._sql.lines.all(cursor, of_invoice=invoice)
        return [attrs.evolve(documents.from_json(InvoiceLine, text), invoice=invoice) for text in texts]

    def failed(self, entry: Entry, error: str, /) -> int:
        row: Row = {"id": entry.subscription, "entry": entry.version, "error": plain(error)}
        with self._transactions.writing() as cursor:
            count: int = self._sql.failed.one(cursor, **row, times=1, parked=False)
        return count

    def park(self, entry: Entry, /) -> None:
        row: Row = {"id": entry.subscription, "entry": entry.version}
        with self._transactions.writing() as cursor:
            if self._sql.delivered.changed(cursor, **row):
                self._sql.set_aside.run(cursor, **row, times=0, error="", parked=True)

    def unpark(self, subscription: str, version: int, /) -> None:
        row: Row = {"id": subscription, "entry": version}
        with self._transactions.writing() as cursor:
            if self._sql.taken_back.changed(cursor, **row):
                self._sql.offered.run(cursor, **row)
            if self._sql.deferred_at.one(cursor, id=subscription, current=version) is not None:
                self._sql.forget.run(cursor, id=subscription)

    def parked(self) -> Sequence[Parked]:
        with self._transactions.reading() as cursor:
            entries = [Parked("entry", *row) for row in self._sql.aside.run(cursor).fetchall()]
        with self._transactions.reading() as cursor:
            missed = [Parked("mirror", *row) for row in self._sql.parked.run(cursor).fetchall()]
        with self._transactions.reading() as cursor:
            deferred = [Parked("subscription", *row) for row in self._sql.deferred.run(cursor).fetchall()]
        found = entries + missed + deferred
        return tuple(sorted(found, key=lambda parked: (parked.subscription, parked.version, parked.what)))

    # -- sweeps that fail

    def stumbled(self, errors: Mapping[str, str], /) -> Mapping[str, int]:
        rows: list[Row] = [{"id": id, "why": plain(errors[id])} for id in sorted(errors)]
        with self._transactions.writing() as cursor:
            counts = self._sql.stumbled.each(cursor, rows)
        return {row["id"]: count[0] for row, count in zip(rows, counts, strict=True) if count is not None}

    def defer(self, until: Mapping[str, datetime], /) -> None:
        with self._transactions.writing() as cursor:
            self._sql.defer.many(cursor, [{"id": id, "until": microseconds(until[id])} for id in sorted(until)])

    def forget(self, ids: Sequence[str], /) -> None:
        with self._transactions.writing() as cursor:
            self._sql.forget.many(cursor, [{"id": id} for id in sorted(set(ids))])

    # -- the gateway's names

    def remember(self, reference: str, gateway_id: str, /) -> str:
        row = {
            "reference": validation.named("reference", reference),
            "gateway_id": validation.named("gateway_id", gateway_id),
        }
        with self._transactions.writing() as cursor:
            self._sql.remember.run(cursor, **row)
            stays: str = self._sql.recall.one(cursor, reference=reference)
        return stays

    def recall(self, reference: str, /) -> str | None:
        with self._transactions.reading() as cursor:
            found: str | None = self._sql.recall.one(cursor, reference=reference)
        return found

    # -- the mirror

    def _write_mirrored(self, mirror: Mirror, write: Write, rows: WriteRows) -> None:
        try:
            with self._transactions.sharing() as (connection, cursor):
                new = self._written(cursor, write, rows)
                if new:
                    self._mirrored(mirror, connection, cursor, write.subscription)
        except BrokeOut as broke:
            # Our transaction ended, one way or the other. The write is idempotent: it is made without the mirror.
            with self._transactions.writing() as cursor:
                new = self._written(cursor, write, rows)
                self._missed(cursor, write.subscription, broke)
        if new:
            self._asked_here.note(write)

    def _write_and_mirror(self, mirror: Mirror, write: Write, rows: WriteRows) -> None:
        """The fact first: whoever asked for this payment is gone, and the mirror may be why."""
        subscription = write.subscription
        with self._transactions.writing() as cursor:
            if not self._written(cursor, write, rows):
                return
            self._missed(cursor, subscription, BrokeOut("it was begun and has not ended"))
        # From here on the fact is on record, and nothing that goes wrong may say otherwise.
        with contextlib.suppress(Exception):
            try:
                with self._transactions.sharing() as (connection, cursor):
                    if self._held(cursor, subscription):
                        self._mirrored(mirror, connection, cursor, subscription)
            except BrokeOut as broke:
                with self._transactions.writing() as cursor:
                    self._missed(cursor, subscription, broke)

    def _mirrored(self, mirror: Mirror, connection: Any, cursor: Any, subscription: Subscription) -> None:
        failure = mirrored(mirror, connection, subscription, self._mirror_seconds)
        if failure is None:
            self._sql.unpark.run(cursor, id=subscription.id)
        else:
            self._missed(cursor, subscription, failure)

    def _missed(self, cursor: Any, subscription: Subscription, error: Exception) -> None:
        """Not where somebody has written since: they mirrored what they wrote."""
        if self._held(cursor, subscription):
            self._sql.park.run(cursor, subscription=subscription.id, version=subscription.version, error=said(error))

    def _held(self, cursor: Any, subscription: Subscription) -> bool:
        return self._sql.hold.changed(cursor, id=subscription.id, current=subscription.version)

    # -- inside a transaction

    def _written(self, cursor: Any, write: Write, rows: WriteRows) -> bool:
        """Whether this write is new. It is checked and made by one statement, so that one of several writers wins."""
        sql, id = self._sql, write.subscription.id
        if write.expected == 0:
            changed = sql.create.changed(cursor, **rows.snapshot)
        else:
            changed = any(replace.changed(cursor, **rows.replacing) for replace in sql.replacing)
        if not changed:
            if sql.written.one(cursor, id=id, write_id=write.id):
                return False
            raise ConcurrentChange(id)
        try:
            sql.append.many(cursor, rows.entries)
        except self._transactions.conflict as error:
            raise ConcurrentChange(id) from error
        sql.answer.many(cursor, rows.answers)
        for claim in sorted(write.claims):
            mine = sql.claim.changed(cursor, claim=claim, subscription=id)
            if not mine and sql.claimed_by.one(cursor, claim=claim) != id:
                raise ClaimTaken(claim)
        sql.line.many(cursor, rows.lines)
        return True


def _tried(method: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return method(argument)
    except Exception as error:
        return error


def _positive(seconds: float) -> float:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < threading.TIMEOUT_MAX:
        raise InvalidValue(
            "mirror_seconds", f"{validation.brief(seconds)} is no time to wait", "Pass a number of seconds above zero."
        )
    return seconds


def _engine(url: URL | Path | str) -> Engine:
    try:
        made = URL.create("sqlite", database=str(url)) if isinstance(url, Path) else make_url(url)
    except ArgumentError as error:
        raise InvalidValue(
            "engine_or_url",
            f"{validation.brief(url)} is no database URL",
            'Pass an Engine, or a URL such as "sqlite:///subscriptions.db".',
        ) from error
    if made.get_backend_name() in NAMES:
        return postgresql_engine(made)
    return sqlite_engine(made) if made.get_backend_name() == "sqlite" else create_engine(made)
