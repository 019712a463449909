"""Every statement of the store, written with SQLAlchemy, compiled once per engine and run as the driver's own SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    Dialect,
    MetaData,
    Table,
    bindparam,
    delete,
    exists,
    false,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ClauseElement

from subscription_lifecycle.adapters.sqlalchemy.tables import add_tables
from subscription_lifecycle.errors import InvalidValue

_INSERTS: Final[dict[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

Row = dict[str, Any]


class Statement:
    """SQL in the driver's own words, run on its own cursor. Parameters are given by name."""

    def __init__(self, clause: ClauseElement, dialect: Dialect) -> None:
        compiled: Any = clause.compile(dialect=dialect)
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

    def many(self, cursor: Any, rows: Sequence[Row]) -> None:
        if len(rows) == 1:
            cursor.execute(self._sql, self._given(rows[0]))
        elif rows:
            cursor.executemany(self._sql, [self._given(row) for row in rows])

    def _given(self, parameters: Row) -> Any:
        if self._order is None:
            return {**self._fixed, **parameters}
        return [parameters[name] if name in parameters else self._fixed[name] for name in self._order]


class Statements:
    """What the store says to its database. Column names beside `new_…` are what is looked for."""

    def __init__(self, dialect: Dialect, schema: str | None) -> None:
        if dialect.name not in _INSERTS:
            raise InvalidValue(
                "engine_or_url", f"{dialect.name} is not supported", f"Use {' or '.join(sorted(_INSERTS))}."
            )
        self._upsert = _INSERTS[dialect.name]
        self._dialect = dialect
        tables = add_tables(MetaData(), schema)
        self._snapshots(tables.subscriptions, tables.entries, tables.keys)
        self._entries(tables.entries)
        self._claims(tables.claims)
        self._lines(tables.invoice_lines)
        self._parked(tables.parked)

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
        new: dict[str, Any] = {column.name: bindparam(f"new_{column.name}") for column in of}
        self.create = self._made(self._upsert(table).values(new).on_conflict_do_nothing(index_elements=["id"]))
        written = exists().where(entries.c.subscription == bindparam("id"), entries.c.write_id == bindparam("write_id"))
        self.replace = self._made(
            update(table)
            .where(of.id == bindparam("id"), of.version == bindparam("expected"), ~written)
            .values({name: value for name, value in new.items() if name != "id"})
        )
        self.written = self._made(select(written))
        self.due = self._made(
            select(of.id).where(of.due_at <= bindparam("until")).order_by(of.due_at, of.id).limit(bindparam("limit"))
        )
        upsert = self._upsert(keys)
        self.answer = self._made(
            upsert.on_conflict_do_update(
                index_elements=["subscription", "key"], set_={"document": upsert.excluded.document}
            )
        )

    def _entries(self, table: Table) -> None:
        of = table.c
        values: dict[str, Any] = {column.name: bindparam(column.name) for column in of if column is not of.delivered}
        self.append = self._made(insert(table).values({**values, "delivered": false()}))
        self.find = self._made(select(of.subscription).where(of.reference == bindparam("reference")).limit(1))
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
        self.lines = self._made(select(of.document).where(of.invoice == bindparam("of_invoice")).order_by(of.id))

    def _parked(self, table: Table) -> None:
        upsert = self._upsert(table)
        kept = {name: upsert.excluded[name] for name in ("version", "error")}
        self.park = self._made(upsert.on_conflict_do_update(index_elements=["subscription"], set_=kept))
        self.unpark = self._made(delete(table).where(table.c.subscription == bindparam("id")))
        self.parked = self._made(select(table).order_by(table.c.subscription))
