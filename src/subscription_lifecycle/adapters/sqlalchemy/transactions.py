"""Transactions on the driver's own cursors: SQLAlchemy keeps the connections, and nothing else of it is paid for."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Final

from sqlalchemy import Connection, Engine

WRITES: Final = {"lifecycle_writes": True}
"""Execution options of a SQLAlchemy connection whose transactions write: an engine made durable begins them so."""


class Transactions:
    """Reading and writing on an engine's pool. A connection that turns out to be lost is not put back."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**WRITES)
        # Who begins by reading on SQLite may find, when about to write, that somebody else has: so take the lock first.
        self._begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else None
        self.conflict: type[Exception] = engine.dialect.loaded_dbapi.IntegrityError

    @contextlib.contextmanager
    def reading(self) -> Generator[Any]:
        """A cursor for one statement: what it says is consistent by itself."""
        connection = self._engine.raw_connection()
        try:
            yield connection.cursor()
        except Exception as error:
            self._drop_if_lost(connection, error)
            raise
        finally:
            connection.close()

    @contextlib.contextmanager
    def writing(self) -> Generator[Any]:
        """A cursor in a transaction, committed at the end; whatever is raised undoes all of it."""
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            if self._begin is not None:
                cursor.execute(self._begin)
            yield cursor
            connection.commit()
        except Exception as error:
            self._drop_if_lost(connection, error)
            raise
        finally:
            # Going back to the pool, a connection rolls back what was not committed.
            connection.close()

    @contextlib.contextmanager
    def sharing(self) -> Generator[tuple[Connection, Any]]:
        """As `writing`, on a SQLAlchemy connection that a host's code can use too."""
        with self._writer.begin() as connection:
            yield connection, connection.connection.cursor()

    def _drop_if_lost(self, connection: Any, error: Exception) -> None:
        dialect = self._engine.dialect
        if isinstance(error, dialect.loaded_dbapi.Error) and dialect.is_disconnect(error, connection, None):
            connection.invalidate(error)
