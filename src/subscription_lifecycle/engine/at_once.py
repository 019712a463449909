"""Payments asked for at the same time, no more than so many: in threads, or in tasks of an event loop."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import attrs

from subscription_lifecycle.engine.drivers import answered
from subscription_lifecycle.engine.effects import AtOnce, Effect

if TYPE_CHECKING:
    # Its import takes a tenth of the package's, and only who has payments to make needs it.
    from concurrent.futures import ThreadPoolExecutor


@attrs.define(eq=False)
class _Kept:
    """The threads of one sweep, made when the first payment asks for them."""

    pool: ThreadPoolExecutor | None = None


_KEPT: contextvars.ContextVar[_Kept | None] = contextvars.ContextVar("lifecycle payment threads", default=None)


@contextlib.contextmanager
def threads_kept() -> Generator[None]:
    """Inside it one set of threads makes all payments: beginning them anew each time takes longer than asking."""
    kept = _Kept()
    before = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(before)
        if kept.pool is not None:
            kept.pool.shutdown()


def at_once(effect: AtOnce, perform: Callable[[Effect], Any]) -> tuple[Any, ...]:
    """Each part in a thread, no more than `limit` at a time. Where one ends the process, no other is begun."""
    from concurrent.futures import FIRST_EXCEPTION, wait

    with _threads(effect.limit) as pool:
        futures = [pool.submit(contextvars.copy_context().run, _tried, part, perform) for part in effect.parts]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                if (ended := future.exception()) is not None:
                    raise ended
            return tuple(future.result() for future in futures)
        finally:
            for future in futures:
                future.cancel()


@contextlib.contextmanager
def _threads(limit: int) -> Generator[ThreadPoolExecutor]:
    from concurrent.futures import ThreadPoolExecutor

    kept = _KEPT.get()
    if kept is None:
        with ThreadPoolExecutor(limit, thread_name_prefix="lifecycle payment") as pool:
            yield pool
        return
    if kept.pool is None:
        kept.pool = ThreadPoolExecutor(limit, thread_name_prefix="lifecycle payment")
    yield kept.pool


def _tried(effect: Effect, perform: Callable[[Effect], Any]) -> Any:
    try:
        return perform(effect)
    except Exception as error:
        return error


async def at_once_async(effect: AtOnce, perform: Callable[[Effect], Any]) -> tuple[Any, ...]:
    """Each part in a task, no more than `limit` at a time. Where one is cut off, so are all."""
    import asyncio

    gate = asyncio.Semaphore(effect.limit)

    async def tried(part: Effect) -> Any:
        async with gate:
            try:
                return await answered(part, perform)
            except Exception as error:
                return error

    tasks = [asyncio.ensure_future(tried(part)) for part in effect.parts]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
