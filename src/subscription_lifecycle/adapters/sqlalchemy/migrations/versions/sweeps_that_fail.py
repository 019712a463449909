"""A subscription whose sweep keeps failing is put off, and counted until it is written again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "sweeps_that_fail"
down_revision = "leases_parking_and_names"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema: str | None = context.config.attributes["schema"]
    for column in (
        sa.Column("failed", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.Column("due_before", sa.BigInteger),
    ):
        op.add_column("lifecycle_subscriptions", column, schema=schema)
    deferred = sa.text("due_before IS NOT NULL")
    op.create_index(
        "lifecycle_subscriptions_deferred",
        "lifecycle_subscriptions",
        ["id"],
        schema=schema,
        sqlite_where=deferred,
        postgresql_where=deferred,
    )
