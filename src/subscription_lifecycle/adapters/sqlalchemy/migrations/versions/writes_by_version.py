"""A write is found among the entries after the version that it expected: an index less for every entry."""

from __future__ import annotations

from alembic import context, op

revision = "writes_by_version"
down_revision = "payments_by_time"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema: str | None = context.config.attributes["schema"]
    op.drop_index("lifecycle_entries_write", "lifecycle_entries", schema=schema)
