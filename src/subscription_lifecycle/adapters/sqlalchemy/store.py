"""The store on a SQL database: each write one transaction, each reading one statement."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, make_url, select
from sqlalchemy.exc import ArgumentError

from subscription_lifecycle import documents
from subscription_lifecycle.adapters.sqlalchemy.migrations import migrate
from subscription_lifecycle.adapters.sqlalchemy.sqlite import sqlite_engine
from subscription_lifecycle.adapters.sqlalchemy.statements import Row, Statements
from subscription_lifecycle.adapters.sqlalchemy.tables import add_tables
from subscription_lifecycle.adapters.sqlalchemy.transactions import Transactions
from subscription_lifecycle.errors import ConcurrentChange, InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.charge import InvoiceLine
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.state import State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Answer, Attempt, ClaimTaken, Stored, Write

Mirror = Callable[[Connection, Subscription], None]
"""Copies a new snapshot into a table of the host, on the connection and in the transaction of ours."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@attrs.frozen
class Parked:
    """A snapshot that the mirror failed to copy. It is forgotten when the mirror next succeeds for the subscription."""

    subscription: str
    version: int
    error: str


@attrs.frozen
class _Rows:
    """A write as rows, made before the transaction begins."""

    snapshot: Row
    entries: list[Row]
    answers: list[Row]
    lines: list[Row]


class SQLStore:
    """Subscriptions in tables called `lifecycle_…`. May be shared between threads.

    Given a URL (or the path of an SQLite file, as a Path) it makes an engine, creates the tables or brings them up to
    date, and is usable at once; SQLite then runs with WAL and `synchronous=FULL`. Given an Engine it leaves settings
    and tables alone: call `make_durable(engine)` for SQLite, and `migrate()`, or let your own migrations make what
    `add_tables` adds. `schema` is where the tables are.

    `mirror(connection, subscription)` is called in the transaction of every write, after ours, in a savepoint. What it
    raises undoes its own work only; the fact stands, and `parked()` shows what was missed.
    """

    def __init__(
        self, engine_or_url: Engine | URL | Path | str, schema: str | None = None, mirror: Mirror | None = None
    ) -> None:
        self._owned = not isinstance(engine_or_url, Engine)
        self.engine = engine_or_url if isinstance(engine_or_url, Engine) else _engine(engine_or_url)
        self.schema = schema
        self._mirror = mirror
        self._transactions = Transactions(self.engine)
        self._sql = Statements(self.engine.dialect, schema)
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
        if row is None:
            return None
        document, attempt, answer = row
        return Stored(
            documents.from_json(Subscription, document),
            None if attempt is None else documents.from_json(Attempt, attempt),
            None if answer is None else documents.from_json(Answer, answer),
        )

    def write(self, write: Write, /) -> None:
        rows = _rows(write)
        if self._mirror is None:
            with self._transactions.writing() as cursor:
                self._written(cursor, write, rows)
            return
        try:
            with self._transactions.sharing() as (connection, cursor):
                if self._written(cursor, write, rows):
                    self._mirrored(connection, cursor, write.subscription)
        except _MirrorBrokeOut as broke:
            # It ended our transaction, one way or the other. The write is idempotent: it is made without the mirror.
            with self._transactions.writing() as cursor:
                self._written(cursor, write, rows)
                self._park(cursor, write.subscription, broke)

    def history(self, id: str, /) -> Sequence[Entry]:
        with self._transactions.reading() as cursor:
            texts = self._sql.history.all(cursor, id=id)
        return tuple([documents.from_json(Entry, text) for text in texts])

    # -- finding

    def find(self, reference: str, /) -> str | None:
        with self._transactions.reading() as cursor:
            found: str | None = self._sql.find.one(cursor, reference=reference)
        return found

    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        with self._transactions.reading() as cursor:
            return self._sql.due.all(cursor, until=_microseconds(until), limit=limit)

    def search(
        self, customer: str | None, states: Sequence[State] | None, after: str | None, limit: int, /
    ) -> Sequence[Subscription]:
        table = add_tables(MetaData(), self.schema).subscriptions.c
        query = select(table.document).order_by(table.id).limit(limit)
        if customer is not None:
            query = query.where(table.customer == customer)
        if states is not None:
            query = query.where(table.state.in_([state.name for state in states]))
        if after is not None:
            query = query.where(table.id > after)
        with self.engine.connect() as connection:
            texts = connection.execute(query).scalars().all()
        return [documents.from_json(Subscription, text) for text in texts]

    # -- the outbox

    def undelivered(self, limit: int, /) -> Sequence[Entry]:
        with self._transactions.reading() as cursor:
            texts = self._sql.undelivered.all(cursor, limit=limit)
        return tuple([documents.from_json(Entry, text) for text in texts])

    def delivered(self, entries: Sequence[Entry], /) -> None:
        rows: list[Row] = [{"id": entry.subscription, "entry": entry.version} for entry in entries]
        if rows:
            with self._transactions.writing() as cursor:
                self._sql.delivered.many(cursor, rows)

    # -- invoice lines

    def take_invoice_lines(self, customer: str, invoice: str, /) -> Sequence[InvoiceLine]:
        with self._transactions.writing() as cursor:
            self._sql.take_lines.run(cursor, of_customer=customer, new_invoice=invoice)
            return self._lines_of(cursor, invoice)

    def invoice_lines(self, invoice: str, /) -> Sequence[InvoiceLine]:
        with self._transactions.reading() as cursor:
            return self._lines_of(cursor, invoice)

    def _lines_of(self, cursor: Any, invoice: str) -> list[InvoiceLine]:
        texts = self._sql.lines.all(cursor, of_invoice=invoice)
        return [attrs.evolve(documents.from_json(InvoiceLine, text), invoice=invoice) for text in texts]

    # -- the mirror

    def parked(self) -> tuple[Parked, ...]:
        """What the mirror failed to copy, by subscription."""
        with self._transactions.reading() as cursor:
            return tuple(Parked(*row) for row in self._sql.parked.run(cursor).fetchall())

    def _mirrored(self, connection: Connection, cursor: Any, subscription: Subscription) -> None:
        assert self._mirror is not None
        transaction = connection.get_transaction()
        savepoint = connection.begin_nested()
        try:
            self._mirror(connection, subscription)
            if connection.get_nested_transaction() is not savepoint or connection.get_transaction() is not transaction:
                raise _MirrorBrokeOut("it ended a transaction that was not its own")
            savepoint.commit()
        except Exception as error:
            if not savepoint.is_active or connection.get_transaction() is not transaction:
                raise _MirrorBrokeOut(_said(error)) from error
            savepoint.rollback()
            self._park(cursor, subscription, error)
        else:
            self._sql.unpark.run(cursor, id=subscription.id)

    def _park(self, cursor: Any, subscription: Subscription, error: Exception) -> None:
        self._sql.park.run(cursor, subscription=subscription.id, version=subscription.version, error=_said(error))

    # -- inside a transaction

    def _written(self, cursor: Any, write: Write, rows: _Rows) -> bool:
        """Whether this write is new. It is checked and made by one statement, so that one of several writers wins."""
        sql, id = self._sql, write.subscription.id
        if write.expected == 0:
            changed = sql.create.changed(cursor, **rows.snapshot)
        else:
            changed = sql.replace.changed(cursor, id=id, expected=write.expected, write_id=write.id, **rows.snapshot)
        if not changed:
            if sql.written.one(cursor, id=id, write_id=write.id):
                return False
            raise ConcurrentChange(id)
        try:
            sql.append.many(cursor, rows.entries)
        except self._transactions.conflict as error:
            raise ConcurrentChange(id) from error
        sql.answer.many(cursor, rows.answers)
        for claim in write.claims:
            mine = sql.claim.changed(cursor, claim=claim, subscription=id)
            if not mine and sql.claimed_by.one(cursor, claim=claim) != id:
                raise ClaimTaken(claim)
        sql.line.many(cursor, rows.lines)
        return True


class _MirrorBrokeOut(Exception):
    """The mirror ended our transaction."""


def _said(error: Exception) -> str:
    said = str(error) if isinstance(error, _MirrorBrokeOut) else f"{type(error).__name__}: {error}"
    return said.encode("ascii", "backslashreplace").decode().replace("\0", "\\x00")


def _engine(url: URL | Path | str) -> Engine:
    try:
        made = URL.create("sqlite", database=str(url)) if isinstance(url, Path) else make_url(url)
    except ArgumentError as error:
        raise InvalidValue(
            "engine_or_url",
            f"{validation.brief(url)} is no database URL",
            'Pass an Engine, or a URL such as "sqlite:///subscriptions.db".',
        ) from error
    return sqlite_engine(made) if made.get_backend_name() == "sqlite" else create_engine(made)


def _rows(write: Write) -> _Rows:
    subscription = write.subscription
    entries: list[Row] = [
        {
            "subscription": entry.subscription,
            "version": entry.version,
            "write_id": write.id,
            "reference": None if entry.payment is None else entry.payment.reference,
            "effective_at": _microseconds(entry.effective_at),
            "recorded_at": _microseconds(entry.recorded_at),
            "document": documents.to_json(entry),
        }
        for entry in write.entries
    ]
    answers: list[Row] = [
        {"subscription": subscription.id, "key": answer.key, "document": documents.to_json(answer)}
        for answer in write.answers
    ]
    lines: list[Row] = [
        {"id": line.id, "customer": line.customer, "invoice": line.invoice, "document": documents.to_json(line)}
        for entry in write.entries
        for line in entry.invoice_lines
    ]
    snapshot: Row = {
        "new_id": subscription.id,
        "new_version": subscription.version,
        "new_customer": subscription.customer,
        "new_state": subscription.state.name,
        "new_due_at": None if write.due_at is None else _microseconds(write.due_at),
        "new_document": documents.to_json(subscription),
        "new_attempt": None if write.attempt is None else documents.to_json(write.attempt),
    }
    return _Rows(snapshot, entries, answers, lines)


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
