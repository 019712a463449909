"""A host's own code in our transaction: it may raise, hang or break out, and the fact stands."""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, Engine, SingletonThreadPool, StaticPool

from subscription_lifecycle.adapters.sqlalchemy.sqlite import in_memory
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Write

Mirror = Callable[[Connection, Subscription], None]
"""Copies a new snapshot into a table of the host, on the connection and in the transaction of ours."""

_TO_COME_BACK: Final = 1.0
_TO_CANCEL: Final = 5.0
_MOST_ASKED: Final = 10_000


class MirrorFailed(Exception):
    """Its own work is undone, and ours is not."""


class BrokeOut(Exception):
    """It ended our transaction, or was given up with it: the write is to be made again, without it."""


def mirrored(
    mirror: Mirror, connection: Connection, subscription: Subscription, seconds: float | None
) -> MirrorFailed | None:
    """Run it in a savepoint. Answers how it failed; raises BrokeOut when our transaction is lost."""
    transaction = connection.get_transaction()
    savepoint = connection.begin_nested()
    try:
        _called(mirror, connection, subscription, seconds)
        if connection.get_nested_transaction() is not savepoint or connection.get_transaction() is not transaction:
            raise BrokeOut("it ended a transaction that was not its own")
        savepoint.commit()
    except BrokeOut:
        raise
    except Exception as error:
        if not savepoint.is_active or connection.get_transaction() is not transaction:
            raise BrokeOut(said(error)) from error
        savepoint.rollback()
        return MirrorFailed(said(error))
    return None


def time_limit(engine: Engine, seconds: float) -> float | None:
    """None where the connection is the whole database, or stays with its thread: then nobody can give it up."""
    if engine.dialect.name == "sqlite" and in_memory(engine.url):
        return None
    return None if isinstance(engine.pool, SingletonThreadPool | StaticPool) else seconds


def said(error: BaseException) -> str:
    """In words that every database takes."""
    known = isinstance(error, BrokeOut | MirrorFailed)
    return plain(str(error) if known else f"{type(error).__name__}: {error}")


def plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _called(mirror: Mirror, connection: Connection, subscription: Subscription, seconds: float | None) -> None:
    raised: list[BaseException] = []
    ended = threading.Event()

    def call() -> None:
        try:
            mirror(connection, subscription)
        except BaseException as error:
            raised.append(error)
        finally:
            ended.set()

    if seconds is None:
        call()
    else:
        # In a thread of its own, since nothing ends a thread that sleeps: it is left behind, without the connection.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(call,), name="lifecycle mirror", daemon=True).start()
        try:
            ended.wait(seconds)
        finally:
            if not ended.is_set():
                _give_up(connection, ended)
                raised.append(BrokeOut(f"it had not ended after {seconds:g} seconds"))
    if raised:
        # sys.exit() in a stranger's code ends the stranger's code.
        error = raised.pop()
        raise error if isinstance(error, Exception) else RuntimeError(f"it raised {error!r}")


def _give_up(connection: Connection, ended: threading.Event) -> None:
    """What runs is stopped, locks are let go, and whoever still holds the connection can do nothing with it."""
    if connection.closed or connection.invalidated:
        return
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        _roll_back_sqlite(driver, ended)
    else:
        with contextlib.suppress(Exception):
            driver.cancel_safe(timeout=_TO_CANCEL)
        if not ended.wait(_TO_COME_BACK) and driver.info.transaction_status.name == "ACTIVE":
            # It took no notice: the server ends it, and with it the transaction and its locks.
            with contextlib.suppress(Exception), connection.engine.connect() as other:
                other.exec_driver_sql("SELECT pg_terminate_backend(%s)", (driver.info.backend_pid,))
            ended.wait(_TO_COME_BACK)
    connection.invalidate()


def _roll_back_sqlite(driver: Any, ended: threading.Event) -> None:
    """Closing is not enough: a statement that is not read to its end keeps the locks."""

    def undo() -> None:
        with contextlib.suppress(Exception):
            driver.rollback()

    undoing = threading.Thread(target=undo, name="lifecycle mirror", daemon=True)
    undoing.start()
    undoing.join(_TO_COME_BACK)
    if undoing.is_alive():
        # It waits for a statement that runs. Interrupted before, the rollback itself would be.
        driver.interrupt()
        ended.wait(_TO_COME_BACK)
        undoing.join(_TO_COME_BACK)
        undo()


class Asked:
    """The open payments that one store object reserved itself: whoever did is alive, and was not ended by a mirror.

    What was reserved before the process was forked was reserved by another one.
    """

    def __init__(self) -> None:
        self._by: int | None = None
        self._references: dict[str, None] = {}

    def all_of(self, write: Write) -> bool:
        here = self._here()
        return all(reference in here for reference in _told(write))

    def _here(self) -> dict[str, None]:
        if self._by != os.getpid():
            self._by, self._references = os.getpid(), {}
        return self._references

    def note(self, write: Write) -> None:
        here = self._here()
        if write.attempt is not None and any(entry.event == "attempted" for entry in write.entries):
            here[write.attempt.reference] = None
            # Who was forgotten is only mirrored a little later.
            for oldest in list(here)[:-_MOST_ASKED]:
                here.pop(oldest, None)
        elif write.attempt is None:
            for reference in _told(write):
                here.pop(reference, None)


def _told(write: Write) -> list[str]:
    """The payments that a write says something of."""
    return [entry.payment.reference for entry in write.entries if entry.payment and entry.event != "attempted"]
