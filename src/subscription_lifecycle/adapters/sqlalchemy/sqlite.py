"""What SQLite must be told so that a fact that was reported stays one, and so that writers wait for each other."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event

from subscription_lifecycle.adapters.sqlalchemy.transactions import WRITES

_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 30000",
    "PRAGMA journal_mode = WAL",
    # With WAL the default of some builds is NORMAL, and a power cut takes the last commits: an intent lost that way is
    # a charge nobody knows of.
    "PRAGMA synchronous = FULL",
    # A sweep commits hundreds of subscriptions at a time. At the default of 1,000 pages nearly every commit would copy
    # them into the file, and the same pages again with the next one: 32 MB of log save a fifth of a sweep's time.
    "PRAGMA wal_autocheckpoint = 8000",
)


def make_durable(engine: Engine) -> Engine:
    """Give an SQLite engine of your own the settings that ours has: WAL, `synchronous=FULL`, waiting writers.

    Its transactions begin when SQLAlchemy says so, and ours take the write lock at once, so that they wait for other
    writers and never fail for having read too early. Call it before the engine's first connection.
    """
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def sqlite_engine(url: URL) -> Engine:
    """An engine of our own. In memory one connection is the whole database: threads take turns on it."""
    if in_memory(url):
        threads = {"check_same_thread": False}
        return make_durable(create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args=threads))
    return make_durable(create_engine(url))


def in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:") or "memory" in url.query.get("mode", "")


def _configure(connection: Any, _: Any) -> None:
    # The driver's own habit is to begin transactions where it sees fit.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().keys() & WRITES.keys()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
