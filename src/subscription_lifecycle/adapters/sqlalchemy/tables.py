"""The tables, as SQLAlchemy knows them. What they must hold is made by the migrations; a test keeps the two equal.

Everything that is not looked for is in the documents. Instants are whole microseconds since 1970 in UTC: they index
well and compare alike in every database, from year 1 to 9999.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from sqlalchemy import BigInteger, Boolean, Column, Index, MetaData, PrimaryKeyConstraint, String, Table, Text, false
from sqlalchemy.dialects import postgresql

PREFIX: Final = "lifecycle_"
VERSION_TABLE: Final = "lifecycle_alembic_version"
NAME: Final = 255
# Names are put in order by their bytes, whatever language a database speaks: as SQLite and Python do.
_NAME: Final = String(NAME).with_variant(postgresql.VARCHAR(NAME, collation="C"), "postgresql")
_LONG_NAME: Final = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


@attrs.frozen
class Tables:
    """Ours in a host's metadata.

    `parked` is what the mirror missed, `failures` what listeners failed on; `versions` says which migration made them.
    """

    subscriptions: Table
    entries: Table
    keys: Table
    claims: Table
    invoice_lines: Table
    parked: Table
    failures: Table
    payment_names: Table
    versions: Table


def add_tables(metadata: MetaData, schema: str | None = None) -> Tables:
    """Add our tables to a metadata, so that autogenerate knows them and drops nothing. Twice gives the same tables.

    `migrate` creates them and brings them up to date. Where a host's own migrations made them they do that too, and
    `migrate` leaves them alone.
    """

    def table(name: str, *parts: Any) -> Table:
        known = metadata.tables.get(f"{schema}.{PREFIX}{name}" if schema else PREFIX + name)
        return Table(PREFIX + name, metadata, *parts, schema=schema) if known is None else known

    return Tables(
        _subscriptions(table), _entries(table), _keys(table), _claims(table), _lines(table), _parked(table),
        _failures(table), _payment_names(table), _versions(table),
    )  # fmt: skip


def overlook(item: Any, name: str | None, kind: str, reflected: bool, compared_to: Any) -> bool:
    """The `include_object` of a host's Alembic environment whose metadata lacks our tables: leave them alone."""
    return not (kind == "table" and name is not None and name.startswith(PREFIX))


def _subscriptions(table: Any) -> Table:
    due_before = Column("due_before", BigInteger)
    made: Table = table(
        "subscriptions",
        Column("id", _NAME, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("customer", _NAME, nullable=False),
        Column("state", _NAME, nullable=False),
        Column("due_at", BigInteger),
        Column("document", Text, nullable=False),
        Column("attempt", Text),
        Column("leased_until", BigInteger),
        # How many sweeps of it have failed since it was last written, how, and when it was due before it was put off.
        Column("failed", BigInteger),
        Column("error", Text),
        due_before,
        PrimaryKeyConstraint("id", name="lifecycle_subscriptions_pkey"),
        Index("lifecycle_subscriptions_due", "due_at", "id"),
        Index("lifecycle_subscriptions_customer", "customer", "id"),
        Index("lifecycle_subscriptions_state", "state", "id"),
        Index(
            "lifecycle_subscriptions_deferred", "id",
            sqlite_where=due_before.is_not(None), postgresql_where=due_before.is_not(None),
        ),
    )  # fmt: skip
    return made


def _entries(table: Any) -> Table:
    delivered = Column("delivered", Boolean, nullable=False)
    reference = Column("reference", _NAME)
    made: Table = table(
        "entries",
        Column("subscription", _NAME, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("write_id", _LONG_NAME, nullable=False),
        reference,
        Column("effective_at", BigInteger, nullable=False),
        Column("recorded_at", BigInteger, nullable=False),
        delivered,
        Column("document", Text, nullable=False),
        PrimaryKeyConstraint("subscription", "version", name="lifecycle_entries_pkey"),
        Index("lifecycle_entries_write", "subscription", "write_id"),
        Index("lifecycle_entries_reference", "reference"),
        # What is in the outbox, and nothing else, however long the history is.
        Index(
            "lifecycle_entries_outbox",
            "recorded_at", "subscription", "version",
            sqlite_where=delivered == false(), postgresql_where=delivered == false(),
        ),
        Index(
            "lifecycle_entries_payments", "recorded_at", "subscription",
            sqlite_where=reference.is_not(None), postgresql_where=reference.is_not(None),
        ),
    )  # fmt: skip
    return made


def _keys(table: Any) -> Table:
    made: Table = table(
        "keys",
        Column("subscription", _NAME, nullable=False),
        Column("key", _NAME, nullable=False),
        Column("document", Text, nullable=False),
        PrimaryKeyConstraint("subscription", "key", name="lifecycle_keys_pkey"),
    )
    return made


def _claims(table: Any) -> Table:
    made: Table = table(
        "claims",
        Column("claim", _LONG_NAME, nullable=False),
        Column("subscription", _NAME, nullable=False),
        PrimaryKeyConstraint("claim", name="lifecycle_claims_pkey"),
    )
    return made


def _lines(table: Any) -> Table:
    invoice = Column("invoice", _NAME)
    made: Table = table(
        "invoice_lines",
        Column("id", _LONG_NAME, nullable=False),
        Column("customer", _NAME, nullable=False),
        invoice,
        Column("document", Text, nullable=False),
        PrimaryKeyConstraint("id", name="lifecycle_invoice_lines_pkey"),
        Index("lifecycle_invoice_lines_invoice", "invoice"),
        Index(
            "lifecycle_invoice_lines_open", "customer",
            sqlite_where=invoice.is_(None), postgresql_where=invoice.is_(None),
        ),
    )  # fmt: skip
    return made


def _parked(table: Any) -> Table:
    made: Table = table(
        "parked",
        Column("subscription", _NAME, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("error", Text, nullable=False),
        PrimaryKeyConstraint("subscription", name="lifecycle_parked_pkey"),
    )
    return made


def _failures(table: Any) -> Table:
    made: Table = table(
        "failures",
        Column("subscription", _NAME, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("failed", BigInteger, nullable=False),
        Column("error", Text, nullable=False),
        Column("parked", Boolean, nullable=False),
        PrimaryKeyConstraint("subscription", "version", name="lifecycle_failures_pkey"),
    )
    return made


def _payment_names(table: Any) -> Table:
    made: Table = table(
        "payment_names",
        Column("reference", _NAME, nullable=False),
        Column("gateway_id", Text, nullable=False),
        PrimaryKeyConstraint("reference", name="lifecycle_payment_names_pkey"),
    )
    return made


def _versions(table: Any) -> Table:
    made: Table = table(
        "alembic_version",
        Column("version_num", String(32), nullable=False),
        PrimaryKeyConstraint("version_num", name="lifecycle_alembic_version_pkc"),
    )
    return made
