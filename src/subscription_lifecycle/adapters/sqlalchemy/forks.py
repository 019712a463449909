"""A forked process inherits open connections: two processes that use one of them get each other's answers.

An engine of our own begins anew in the new process. The engine of a host is the host's: while it holds connections of
the process it was forked from, it is refused.
"""

from __future__ import annotations

import os
import weakref
from typing import Final

from sqlalchemy import Engine, NullPool, Pool, QueuePool

from subscription_lifecycle.errors import InvalidValue

_OURS: Final = weakref.WeakSet[Engine]()
_OF_HOSTS: Final = weakref.WeakSet[Engine]()

_INHERITED: Final[dict[int, Pool]] = {}
"""Pools of the process that this one was forked from. They are kept: a pool that is collected closes its connections,
and some drivers tell the server so, on the connection that the other process goes on using."""

_refused: Final = weakref.WeakSet[Pool]()
_process: Final = [os.getpid()]


def watch(engine: Engine, *, ours: bool) -> None:
    """Look after an engine where the process forks. It is held weakly."""
    (_OURS if ours else _OF_HOSTS).add(engine)


def usable(engine: Engine) -> Engine:
    """The same engine. Raises InvalidValue where its connections are those of another process."""
    if os.getpid() != _process[0]:
        # A process may be forked by code that knows nothing of Python, and then nobody was told.
        _in_the_new_process()
    if engine.pool in _refused:
        raise InvalidValue(
            "engine_or_url",
            "its connections were opened by the process that this one was forked from",
            "Fork while the store is not in use, and call engine.dispose(close=False) in the new process for an "
            "engine of your own.",
        )
    return engine


def _before_the_fork() -> None:
    """SQLite keeps its locks per process, in memory that the new one would inherit without the locks themselves.

    A file must not be open while a process forks. Where it is in use, the new process refuses to use it.
    """
    for engine in list(_OURS):
        if engine.dialect.name == "sqlite" and _in_use(engine.pool) == 0:
            engine.dispose()


def _in_the_new_process() -> None:
    _process[0] = os.getpid()
    for engine in [*_OURS, *_OF_HOSTS]:
        pool = engine.pool
        if not _holds_connections(pool):
            continue
        _INHERITED[id(pool)] = pool
        if engine in _OURS and engine.dialect.name != "sqlite":
            engine.dispose(close=False)
        else:
            _refused.add(pool)


def _holds_connections(pool: Pool) -> bool:
    if isinstance(pool, QueuePool):
        return pool.checkedin() + _in_use(pool) > 0
    # Other pools do not say how many they have; one of them never keeps any.
    return not isinstance(pool, NullPool)


def _in_use(pool: Pool) -> int:
    return pool.checkedout() if isinstance(pool, QueuePool) else 0


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=_before_the_fork, after_in_child=_in_the_new_process)
