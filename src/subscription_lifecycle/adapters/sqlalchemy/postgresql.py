"""An engine for PostgreSQL: through psycopg 3, and without connections that the server has given up."""

from __future__ import annotations

import selectors
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

NAMES: Final = ("postgres", "postgresql")
DRIVER: Final = "psycopg"


def postgresql_engine(url: URL) -> Engine:
    """An engine of our own. A URL that names no driver means psycopg."""
    engine = create_engine(url.set(drivername=f"postgresql+{DRIVER}") if url.drivername in NAMES else url)
    if engine.dialect.driver == DRIVER:
        event.listen(engine, "checkout", _not_lost)
    return engine


def _not_lost(driver: Any, record: Any, proxy: Any) -> None:
    """A server that goes away says so on an idle connection: asked only where it has spoken, that costs no round trip.

    DisconnectionError makes the pool open another one.
    """
    try:
        if _has_something_to_say(driver.fileno()):
            driver.execute("SELECT 1")
            driver.rollback()
    except Exception as error:
        raise DisconnectionError("the server has closed the connection") from error


def _has_something_to_say(socket: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(socket, selectors.EVENT_READ)
        return bool(selector.select(0))
