"""Our Alembic migrations, with a version table of their own: a host's migrations and ours do not meet."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect

from subscription_lifecycle.adapters.sqlalchemy.tables import VERSION_TABLE
from subscription_lifecycle.adapters.sqlalchemy.transactions import WRITES
from subscription_lifecycle.errors import InvalidValue

HEAD: Final = "first_format"
"""The last revision: what a database of this version is at."""


def migrate(engine: Engine, schema: str | None = None) -> None:
    """Create our tables or bring them up to date; where they are, nothing happens. Any number of processes at once.

    Raises InvalidValue when the tables were made by a later version.
    """
    # Alembic takes longer to import than everything else together.
    if _revision(engine, schema) == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with engine.execution_options(**WRITES).begin() as connection:
        config.attributes.update(connection=connection, schema=schema)
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            found = _revision_of(connection, schema)
            raise InvalidValue(
                "engine_or_url", f"its tables are of revision {found}", "Upgrade subscription-lifecycle."
            ) from error


def _revision(engine: Engine, schema: str | None) -> str | None:
    with engine.connect() as connection:
        return _revision_of(connection, schema)


def _revision_of(connection: Connection, schema: str | None) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE, schema=schema):
        return None
    table = f"{schema}.{VERSION_TABLE}" if schema else VERSION_TABLE
    found: str | None = connection.exec_driver_sql(f"SELECT version_num FROM {table}").scalar()
    return found


__all__ = ["HEAD", "migrate"]
