"""Entries about payments are found by when they were written, so that a ledger can be held against them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "payments_by_time"
down_revision = "sweeps_that_fail"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema: str | None = context.config.attributes["schema"]
    about_payments = sa.text("reference IS NOT NULL")
    op.create_index(
        "lifecycle_entries_payments",
        "lifecycle_entries",
        ["recorded_at", "subscription"],
        schema=schema,
        sqlite_where=about_payments,
        postgresql_where=about_payments,
    )
