"""Sweepers share what is due, entries that cannot be delivered are set aside, payments have names at their gateway.

Names are put in order by their bytes, on PostgreSQL too.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "leases_parking_and_names"
down_revision = "first_format"
branch_labels = None
depends_on = None

_NAME = sa.String(255).with_variant(postgresql.VARCHAR(255, collation="C"), "postgresql")
_LONG_NAME = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

_BY_BYTES = {
    "subscriptions": {"id": _NAME, "customer": _NAME, "state": _NAME},
    "entries": {"subscription": _NAME, "write_id": _LONG_NAME, "reference": _NAME},
    "keys": {"subscription": _NAME, "key": _NAME},
    "claims": {"claim": _LONG_NAME, "subscription": _NAME},
    "invoice_lines": {"id": _LONG_NAME, "customer": _NAME, "invoice": _NAME},
    "parked": {"subscription": _NAME},
}


def upgrade() -> None:
    schema: str | None = context.config.attributes["schema"]
    op.add_column("lifecycle_subscriptions", sa.Column("leased_until", sa.BigInteger), schema=schema)
    op.create_table(
        "lifecycle_failures",
        sa.Column("subscription", _NAME, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("parked", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("subscription", "version", name="lifecycle_failures_pkey"),
        schema=schema,
    )
    op.create_table(
        "lifecycle_payment_names",
        sa.Column("reference", _NAME, nullable=False),
        sa.Column("gateway_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("reference", name="lifecycle_payment_names_pkey"),
        schema=schema,
    )
    if op.get_context().dialect.name == "postgresql":
        for table, columns in _BY_BYTES.items():
            for column, kind in columns.items():
                op.alter_column(f"lifecycle_{table}", column, type_=kind, schema=schema)
