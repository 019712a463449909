"""The one line for cron: finish open payments, do what is due, deliver the outbox."""

from __future__ import annotations

from typing import Any

import attrs

from subscription_lifecycle.engine.capturing import Result
from subscription_lifecycle.engine.effects import (
    CountFailure,
    FindDue,
    FindUndelivered,
    Flow,
    MarkDelivered,
    Now,
    Park,
    Tell,
)
from subscription_lifecycle.engine.timed import advance
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.entry import Entry

PAGE = 500
MOST_DELIVERIES = 5
"""Sweeps in which an entry may fail before it is parked."""


@attrs.frozen
class SweepReport:
    """What a sweep did: how many subscriptions it looked at and entries it delivered, and ids that want attention.

    `held`: several charges fell due at once and wait for an operator. `awaiting`: a payment is still open. `declined`:
    one was. `failed`: the error, by id; the others went on.
    """

    examined: int = 0
    entries: int = 0
    delivered: int = 0
    held: tuple[str, ...] = ()
    awaiting: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    failed: tuple[tuple[str, Exception], ...] = ()


def sweep(lifecycle: Lifecycle, limit: int | None, *, gateway: bool, deliver: bool) -> Flow[SweepReport]:
    """Each due subscription once, the earliest first; one that fails is reported and does not stop the rest."""
    seen: dict[str, None] = {}
    found: dict[str, list[Any]] = {"held": [], "awaiting": [], "declined": [], "failed": []}
    written = 0
    until = yield Now()
    while limit is None or len(seen) < limit:
        due = yield FindDue(until, len(seen) + PAGE)
        ids = [id for id in due if id not in seen]
        if not ids:
            break
        for id in ids if limit is None else ids[: limit - len(seen)]:
            seen[id] = None
            try:
                results = yield from advance(lifecycle, id, gateway=gateway)
            except Exception as error:
                found["failed"].append((id, error))
                continue
            for result in results:
                written += len(result.entries)
                _sort(id, result, found)
    delivered = 0
    if deliver:
        delivered, broken = yield from deliver_entries()
        found["failed"] += broken
    return SweepReport(
        len(seen), written, delivered, **{name: tuple(dict.fromkeys(ids)) for name, ids in found.items()}
    )


def _sort(id: str, result: Result, found: dict[str, list[Any]]) -> None:
    if isinstance(result, AwaitingPayment):
        found["awaiting"].append(id)
    elif isinstance(result, Applied):
        if result.payment is not None and result.payment.status == "declined":
            found["declined"].append(id)
        if any(entry.event == "held" for entry in result.entries):
            found["held"].append(id)


def deliver_entries() -> Flow[tuple[int, list[tuple[str, Exception]]]]:
    """Every undelivered entry to every listener; after a failure the rest of that subscription waits, in order.

    An entry that failed in so many sweeps is parked, where the store can: it is seen there, and blocks nothing else.
    """
    count, broken = 0, dict[str, Exception]()
    seen: set[str] = set()
    while True:
        undelivered = yield FindUndelivered(len(seen) + PAGE)
        batch: list[Entry] = [entry for entry in undelivered if entry.id not in seen]
        if not batch:
            return count, list(broken.items())
        done: list[Entry] = []
        for entry in batch:
            seen.add(entry.id)
            if entry.subscription in broken:
                continue
            try:
                yield Tell(entry)
            except Exception as error:
                broken[entry.subscription] = error
                if (yield CountFailure(entry, f"{type(error).__name__}: {error}")) >= MOST_DELIVERIES:
                    yield Park(entry)
            else:
                done.append(entry)
        yield MarkDelivered(tuple(done))
        seen -= {entry.id for entry in done}
        count += len(done)
