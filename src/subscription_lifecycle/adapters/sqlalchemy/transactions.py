"""Transactions on the driver's own cursors: SQLAlchemy keeps the connections, and nothing else of it is paid for."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Final

from sqlalchemy import Connection, Engine

from subscription_lifecycle.adapters.sqlalchemy.forks import usable

WRITES: Final = {"lifecycle_writes": True}
"""Execution options of a SQLAlchemy connection whose transactions write: an engine made durable begins them so."""


class Transactions:
    """Reading and writing on an engine's pool, transactional whatever its isolation level. What is lost is not reused.

    Writers are told apart by comparing and setting in one statement, which sees what others committed meanwhile: on
    PostgreSQL that is READ COMMITTED, also where the host's engine says otherwise.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        self._options: Any = WRITES if self._sqlite else {**WRITES, "isolation_level": "READ COMMITTED"}
        # Who begins by reading on SQLite may find, when about to write, that somebody else has: so take the lock first.
        self._begin = "BEGIN IMMEDIATE" if self._sqlite else "BEGIN ISOLATION LEVEL READ COMMITTED"
        self.conflict: type[Exception] = engine.dialect.loaded_dbapi.IntegrityError

    @contextlib.contextmanager
    def reading(self) -> Generator[Any]:
        """A cursor for one statement: what it says is consistent by itself."""
        with self._borrowed() as connection:
            yield connection.cursor()

    @contextlib.contextmanager
    def writing(self) -> Generator[Any]:
        """A cursor in a transaction, committed at the end; whatever is raised undoes all of it."""
        with self._borrowed() as connection:
            cursor = connection.cursor()
            self._begun(connection.driver_connection, cursor)
            yield cursor
            connection.commit()

    @contextlib.contextmanager
    def sharing(self) -> Generator[tuple[Connection, Any]]:
        """As `writing`, on a SQLAlchemy connection that a host's code can use too."""
        lost = False
        try:
            with usable(self._engine).connect().execution_options(**self._options) as connection, connection.begin():
                try:
                    cursor = connection.connection.cursor()
                    if self._sqlite:
                        self._begun(connection.connection.driver_connection, cursor)
                    yield connection, cursor
                except Exception as error:
                    if not connection.closed and not connection.invalidated:
                        lost = self._is_lost(connection.connection, error)
                        if lost:
                            connection.invalidate(error)
                    raise
        finally:
            if lost:
                self._drop_the_others()

    @contextlib.contextmanager
    def _borrowed(self) -> Generator[Any]:
        connection = usable(self._engine).raw_connection()
        driver: Any = connection.driver_connection
        # Else psycopg begins a transaction for every reading, and ends it with a third round trip.
        automatic = self._sqlite or driver.autocommit
        lost = False
        try:
            if not automatic:
                driver.autocommit = True
            yield connection
        except Exception as error:
            lost = self._is_lost(connection, error)
            if lost:
                connection.invalidate(error)
            raise
        finally:
            if connection.is_valid:
                try:
                    # Not every host's pool does that.
                    driver.rollback()
                    if not automatic:
                        driver.autocommit = False
                except Exception as error:
                    connection.invalidate(error)
            connection.close()
            if lost:
                self._drop_the_others()

    def _begun(self, driver: Any, cursor: Any) -> None:
        if not (self._sqlite and driver.in_transaction):
            cursor.execute(self._begin)

    def _is_lost(self, connection: Any, error: Exception) -> bool:
        dialect = self._engine.dialect
        return isinstance(error, dialect.loaded_dbapi.Error) and dialect.is_disconnect(error, connection, None)

    def _drop_the_others(self) -> None:
        """Who waits in the pool was connected to the same server: if one of them is lost, SQLAlchemy drops them all."""
        with contextlib.suppress(Exception), self._engine.connect() as other:
            other.exec_driver_sql("SELECT 1")
