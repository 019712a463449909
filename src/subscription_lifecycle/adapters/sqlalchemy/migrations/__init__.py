"""Our Alembic migrations, with a version table of their own: a host's migrations and ours do not meet."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, MetaData, column, func, inspect, select, table

from subscription_lifecycle.adapters.sqlalchemy.forks import usable
from subscription_lifecycle.adapters.sqlalchemy.tables import VERSION_TABLE, add_tables
from subscription_lifecycle.adapters.sqlalchemy.transactions import Transactions
from subscription_lifecycle.errors import InvalidValue

HEAD: Final = "payments_by_time"
"""The last revision: what a database of this version is at."""

_MIGRATING: Final = 0x6D69_6772


def migrate(engine: Engine, schema: str | None = None) -> None:
    """Create our tables or bring them up to date; where they are, nothing happens. Any number of processes at once.

    The schema must exist. Tables that a host's own migrations made are left to them. Raises InvalidValue when those
    lack something, and when our tables were made by a later version.
    """
    # Alembic takes longer to import than everything else together.
    with usable(engine).connect() as connection:
        if _is_up_to_date(connection, schema):
            return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with Transactions(engine).sharing() as (connection, _):
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
        config.attributes.update(connection=connection, schema=schema)
        try:
            if not _is_up_to_date(connection, schema):
                command.upgrade(config, "head")
        except CommandError as error:
            found = _revision(connection, schema)
            raise InvalidValue(
                "engine_or_url", f"its tables are of revision {found}", "Upgrade subscription-lifecycle."
            ) from error


def _is_up_to_date(connection: Connection, schema: str | None) -> bool:
    found = _revision(connection, schema)
    return found == HEAD or (found is None and _made_by_a_host(connection, schema))


def _revision(connection: Connection, schema: str | None) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE, schema=schema):
        return None
    versions = table(VERSION_TABLE, column("version_num"), schema=schema)
    found: str | None = connection.execute(select(versions.c.version_num)).scalar()
    return found


def _made_by_a_host(connection: Connection, schema: str | None) -> bool:
    """Whether our tables are there though no migration of ours made them. Raises InvalidValue when they lack some."""
    metadata, inspector = MetaData(), inspect(connection)
    versions = add_tables(metadata, schema).versions
    there = set(inspector.get_table_names(schema=schema))
    ours = [one for one in metadata.tables.values() if one is not versions]
    if not any(one.name in there for one in ours):
        return False
    lacking: list[str] = []
    for one in ours:
        found = {column["name"] for column in inspector.get_columns(one.name, schema)} if one.name in there else set()
        lacking += [f"{one.name}.{column.name}" for column in one.c if column.name not in found]
    if lacking:
        raise InvalidValue(
            "engine_or_url",
            f"its tables lack {', '.join(lacking)}, and not our migrations made them",
            "Let your own migrations add what add_tables says.",
        )
    return True


__all__ = ["HEAD", "migrate"]
