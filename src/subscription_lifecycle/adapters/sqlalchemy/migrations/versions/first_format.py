"""The first format. Never changed again: databases were made by it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "first_format"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema: str | None = context.config.attributes["schema"]
    _subscriptions(schema)
    _entries(schema)
    op.create_table(
        "lifecycle_keys",
        sa.Column("subscription", sa.String(255), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("subscription", "key", name="lifecycle_keys_pkey"),
        schema=schema,
    )
    op.create_table(
        "lifecycle_claims",
        sa.Column("claim", sa.Text, nullable=False),
        sa.Column("subscription", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("claim", name="lifecycle_claims_pkey"),
        schema=schema,
    )
    _invoice_lines(schema)
    op.create_table(
        "lifecycle_parked",
        sa.Column("subscription", sa.String(255), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("subscription", name="lifecycle_parked_pkey"),
        schema=schema,
    )


def _subscriptions(schema: str | None) -> None:
    table = "lifecycle_subscriptions"
    op.create_table(
        table,
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("customer", sa.String(255), nullable=False),
        sa.Column("state", sa.String(255), nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("attempt", sa.Text),
        sa.PrimaryKeyConstraint("id", name="lifecycle_subscriptions_pkey"),
        schema=schema,
    )
    op.create_index("lifecycle_subscriptions_due", table, ["due_at", "id"], schema=schema)
    op.create_index("lifecycle_subscriptions_customer", table, ["customer", "id"], schema=schema)
    op.create_index("lifecycle_subscriptions_state", table, ["state", "id"], schema=schema)


def _entries(schema: str | None) -> None:
    table = "lifecycle_entries"
    op.create_table(
        table,
        sa.Column("subscription", sa.String(255), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("write_id", sa.Text, nullable=False),
        sa.Column("reference", sa.String(255)),
        sa.Column("effective_at", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("delivered", sa.Boolean, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("subscription", "version", name="lifecycle_entries_pkey"),
        schema=schema,
    )
    op.create_index("lifecycle_entries_write", table, ["subscription", "write_id"], schema=schema)
    op.create_index("lifecycle_entries_reference", table, ["reference"], schema=schema)
    undelivered = sa.column("delivered", sa.Boolean) == sa.false()
    op.create_index(
        "lifecycle_entries_outbox",
        table,
        ["recorded_at", "subscription", "version"],
        schema=schema,
        sqlite_where=undelivered,
        postgresql_where=undelivered,
    )


def _invoice_lines(schema: str | None) -> None:
    table = "lifecycle_invoice_lines"
    op.create_table(
        table,
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("customer", sa.String(255), nullable=False),
        sa.Column("invoice", sa.String(255)),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="lifecycle_invoice_lines_pkey"),
        schema=schema,
    )
    op.create_index("lifecycle_invoice_lines_invoice", table, ["invoice"], schema=schema)
    untaken = sa.column("invoice", sa.String).is_(None)
    op.create_index(
        "lifecycle_invoice_lines_open",
        table,
        ["customer"],
        schema=schema,
        sqlite_where=untaken,
        postgresql_where=untaken,
    )
