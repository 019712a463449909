"""Every statement of the store, written with SQLAlchemy, compiled once per engine and run as the driver's own SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import (
    Dialect,
    MetaData,
    Table,
    bindparam,
    delete,
    exists,
    false,
    func,
    insert,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ClauseElement

from subscription_lifecycle.adapters.sqlalchemy.tables import add_tables
from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation

_INSERTS: Final[dict[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

_DRIVERS: Final = {("sqlite", "pysqlite"), ("postgresql", "psycopg")}
_TAKING: Final = 0x6C69_6E65
"""Keeps our advisory locks apart from a host's."""

_AFRESH: Final[dict[str, Any]] = {"failed": null(), "error": null(), "due_before": null()}
"""Whoever writes ends what failed before."""

Row = dict[str, Any]


def storable(field: str, text: str) -> None:
    """Raises InvalidValue for text that some database refuses: NUL, or half a character."""
    if "\0" in text or not _is_unicode(text):
        raise InvalidValue(field, f"{validation.brief(text)} has characters that are none", "Remove them.")


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Statement:
    """SQL in the driver's own words, run on its own cursor. Parameters are given by name."""

    def __init__(self, clause: ClauseElement, dialect: Dialect) -> None:
        compiled: Any = clause.compile(dialect=dialect)
        self._pipelined = dialect.name == "postgresql"
        self._sql = str(compiled)
        self._order: list[str] | None = compiled.positiontup
        self._fixed: Row = {name: value for name, value in compiled.params.items() if value is not None}

    def run(self, cursor: Any, **parameters: Any) -> Any:
        cursor.execute(self._sql, self._given(parameters))
        return cursor

    def all(self, cursor: Any, **parameters: Any) -> list[Any]:
        """The first column of every row."""
        cursor.execute(self._sql, self._given(parameters))
        return [row[0] for row in cursor.fetchall()]

    def one(self, cursor: Any, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        cursor.execute(self._sql, self._given(parameters))
        row = cursor.fetchone()
        return None if row is None else row[0]

    def changed(self, cursor: Any, **parameters: Any) -> bool:
        """Whether a row was written."""
        cursor.execute(self._sql, self._given(parameters))
        return bool(cursor.rowcount == 1)

    def each(self, cursor: Any, rows: Sequence[Row]) -> list[Any]:
        """The first row of each, or None."""
        return self._each(cursor, rows, cursor.fetchone)

    def each_changed(self, cursor: Any, rows: Sequence[Row]) -> list[bool]:
        """Of each, whether a row was written."""
        return self._each(cursor, rows, lambda: bool(cursor.rowcount == 1))

    def _each(self, cursor: Any, rows: Sequence[Row], answer: Callable[[], Any]) -> list[Any]:
        given = [self._given(row) for row in rows]
        answers: list[Any] = []
        if self._pipelined and len(given) > 1:
            # One round trip, however many they are.
            cursor.executemany(self._sql, given, returning=True)
            answers.append(answer())
            while cursor.nextset():
                answers.append(answer())
        else:
            for parameters in given:
                cursor.execute(self._sql, parameters)
                answers.append(answer())
        return answers

    def many(self, cursor: Any, rows: Sequence[Row]) -> None:
        if len(rows) == 1:
            cursor.execute(self._sql, self._given(rows[0]))
        elif rows:
            cursor.executemany(self._sql, [self._given(row) for row in rows])

    def _given(self, parameters: Row) -> Any:
        for name, value in parameters.items():
            if isinstance(value, str):
                storable(name, value)
        if self._order is None:
            return {**self._fixed, **parameters}
        return [parameters[name] if name in parameters else self._fixed[name] for name in self._order]


class Statements:
    """What the store says to its database. Column names beside `new_…` are what is looked for."""

    def __init__(self, dialect: Dialect, schema: str | None) -> None:
        if (dialect.name, dialect.driver) not in _DRIVERS:
            raise InvalidValue(
                "engine_or_url",
                f"{dialect.name} through {dialect.driver} is not supported",
                f"Use {' or '.join('+'.join(names) for names in sorted(_DRIVERS))}.",
            )
        self._upsert = _INSERTS[dialect.name]
        self._dialect = dialect
        tables = add_tables(MetaData(), schema)
        self._snapshots(tables.subscriptions, tables.entries, tables.keys)
        self._stumbles(tables.subscriptions)
        self._entries(tables.entries)
        self._claims(tables.claims)
        self._lines(tables.invoice_lines)
        self._parked(tables.parked)
        self._failures(tables.failures)
        self._names(tables.payment_names)

    def _made(self, clause: ClauseElement) -> Statement:
        return Statement(clause, self._dialect)

    def _snapshots(self, table: Table, entries: Table, keys: Table) -> None:
        of = table.c
        answer = (
            select(keys.c.document)
            .where(keys.c.subscription == of.id, keys.c.key == bindparam("key"))
            .scalar_subquery()
        )
        self.load = self._made(select(of.document, of.attempt, answer).where(of.id == bindparam("id")))
        new: dict[str, Any] = {
            name: bindparam(f"new_{name}")
            for name in ("id", "version", "customer", "state", "due_at", "document", "attempt")
        }
        self.create = self._made(self._upsert(table).values(new).on_conflict_do_nothing(index_elements=["id"]))
        written = exists().where(entries.c.subscription == bindparam("id"), entries.c.write_id == bindparam("write_id"))
        here = (of.id == bindparam("id"), of.version == bindparam("expected"), ~written)
        often = {name: value for name, value in new.items() if name not in ("id", "customer", "state")} | _AFRESH
        # Tried in turn. SQLite writes the index of whatever is set, changed or not; and a state seldom changes.
        stays = update(table).where(*here, of.state == bindparam("new_state")).values(often)
        moves = update(table).where(*here).values({**often, "state": new["state"]})
        clauses = [stays, moves] if self._dialect.name == "sqlite" else [moves]
        self.replacing = tuple([self._made(clause) for clause in clauses])
        self.written = self._made(select(written))
        self.due = self._made(
            select(of.id).where(of.due_at <= bindparam("until")).order_by(of.due_at, of.id).limit(bindparam("limit"))
        )
        free = (
            select(of.id)
            .where(
                of.due_at <= bindparam("until"),
                or_(of.leased_until.is_(None), of.leased_until <= bindparam("until")),
            )
            .order_by(of.due_at, of.id)
            .limit(bindparam("limit"))
            .with_for_update(skip_locked=True)
            .cte("free")
        )
        self.lease = self._made(
            update(table)
            .where(of.id.in_(select(free.c.id)))
            .values(leased_until=bindparam("expires"))
            .returning(of.due_at, of.id)
        )
        # Nobody else writes this subscription until the transaction ends.
        self.hold = self._made(
            update(table).where(of.id == bindparam("id"), of.version == bindparam("current")).values(version=of.version)
        )
        upsert = self._upsert(keys)
        self.answer = self._made(
            upsert.on_conflict_do_update(
                index_elements=["subscription", "key"], set_={"document": upsert.excluded.document}
            )
        )

    def _stumbles(self, table: Table) -> None:
        of = table.c
        this = of.id == bindparam("id")
        self.stumbled = self._made(
            update(table)
            .where(this)
            .values(failed=func.coalesce(of.failed, 0) + 1, error=bindparam("why"))
            .returning(of.failed)
        )
        self.defer = self._made(
            update(table)
            .where(this, of.failed.is_not(None), of.due_at.is_not(None))
            .values(due_before=func.coalesce(of.due_before, of.due_at), due_at=bindparam("until"))
        )
        self.forget = self._made(
            update(table)
            .where(this, of.failed.is_not(None))
            .values(due_at=func.coalesce(of.due_before, of.due_at), **_AFRESH)
        )
        self.deferred = self._made(select(of.id, of.version, of.error).where(of.due_before.is_not(None)))
        self.deferred_at = self._made(
            select(of.due_before).where(this, of.version == bindparam("current"), of.due_before.is_not(None))
        )

    def _entries(self, table: Table) -> None:
        of = table.c
        values: dict[str, Any] = {column.name: bindparam(column.name) for column in of if column is not of.delivered}
        self.append = self._made(insert(table).values({**values, "delivered": false()}))
        self.find = self._made(select(of.subscription).where(of.reference == bindparam("reference")).limit(1))
        paid = (of.reference.is_not(None), of.recorded_at >= bindparam("since"))
        self.payers = self._made(select(of.subscription).where(*paid))
        self.history = self._made(select(of.document).where(of.subscription == bindparam("id")).order_by(of.version))
        # Within a subscription `recorded_at` never decreases, so this is also the order of versions.
        self.undelivered = self._made(
            select(of.document)
            .where(of.delivered == false())
            .order_by(of.recorded_at, of.subscription, of.version)
            .limit(bindparam("limit"))
        )
        self.delivered = self._made(
            update(table)
            .where(of.subscription == bindparam("id"), of.version == bindparam("entry"), of.delivered == false())
            .values(delivered=true())
        )

        self.offered = self._made(
            update(table)
            .where(of.subscription == bindparam("id"), of.version == bindparam("entry"))
            .values(delivered=false())
        )

    def _failures(self, table: Table) -> None:
        of = table.c
        this = (of.subscription == bindparam("id"), of.version == bindparam("entry"))
        upsert = self._upsert(table).values(
            subscription=bindparam("id"),
            version=bindparam("entry"),
            failed=bindparam("times"),
            error=bindparam("error"),
            parked=bindparam("parked"),
        )
        key = ["subscription", "version"]
        self.failed = self._made(
            upsert.on_conflict_do_update(
                index_elements=key, set_={"failed": of.failed + 1, "error": upsert.excluded.error}
            ).returning(of.failed)
        )
        self.set_aside = self._made(upsert.on_conflict_do_update(index_elements=key, set_={"parked": true()}))
        self.recovered = self._made(delete(table).where(*this, of.parked == false()))
        self.taken_back = self._made(delete(table).where(*this, of.parked == true()))
        self.aside = self._made(select(of.subscription, of.version, of.error).where(of.parked == true()))

    def _names(self, table: Table) -> None:
        self.remember = self._made(self._upsert(table).on_conflict_do_nothing(index_elements=["reference"]))
        self.recall = self._made(select(table.c.gateway_id).where(table.c.reference == bindparam("reference")))

    def _claims(self, table: Table) -> None:
        self.claim = self._made(self._upsert(table).on_conflict_do_nothing(index_elements=["claim"]))
        self.claimed_by = self._made(select(table.c.subscription).where(table.c.claim == bindparam("claim")))

    def _lines(self, table: Table) -> None:
        of = table.c
        self.line = self._made(insert(table))
        # An invoice that has lines has been taken, and perhaps sent: what came later waits for another one.
        taken = table.alias("taken")
        untouched = ~exists().where(taken.c.invoice == bindparam("new_invoice"))
        self.take_lines = self._made(
            update(table)
            .where(of.customer == bindparam("of_customer"), of.invoice.is_(None), untouched)
            .values(invoice=bindparam("new_invoice"))
        )
        # Two who take for one invoice, and one of them after a line that came later, must not both find it untouched;
        # and two who take the same lines wait for each other at the first of them, not one at each.
        locks = [
            func.pg_advisory_xact_lock(func.hashtextextended(bindparam(name), _TAKING + number))
            for number, name in enumerate(("customer", "invoice"))
        ]
        self.only_one_takes = None if self._dialect.name == "sqlite" else self._made(select(*locks))
        self.lines = self._made(select(of.document).where(of.invoice == bindparam("of_invoice")).order_by(of.id))

    def _parked(self, table: Table) -> None:
        upsert = self._upsert(table)
        kept = {name: upsert.excluded[name] for name in ("version", "error")}
        self.park = self._made(upsert.on_conflict_do_update(index_elements=["subscription"], set_=kept))
        self.unpark = self._made(delete(table).where(table.c.subscription == bindparam("id")))
        self.parked = self._made(select(table.c.subscription, table.c.version, table.c.error))
