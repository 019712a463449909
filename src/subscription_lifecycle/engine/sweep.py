"""The one line for cron: finish open payments, do what is due, deliver the outbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from subscription_lifecycle.engine.capturing import Result
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.ports import Clock, Listener, Store

PAGE = 500


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


def sweep(
    store: Store,
    clock: Clock,
    listeners: Sequence[Listener],
    advance: Callable[[str], Sequence[Result]],
    limit: int | None,
) -> SweepReport:
    """Each due subscription once, the earliest first; one that fails is reported and does not stop the rest."""
    seen: dict[str, None] = {}
    found: dict[str, Any] = {"held": [], "awaiting": [], "declined": [], "failed": []}
    entries = 0
    until = clock()
    while limit is None or len(seen) < limit:
        ids = [id for id in store.due(until, len(seen) + PAGE) if id not in seen]
        if not ids:
            break
        for id in ids if limit is None else ids[: limit - len(seen)]:
            seen[id] = None
            try:
                results = advance(id)
            except Exception as error:
                found["failed"].append((id, error))
                continue
            for result in results:
                entries += len(result.entries)
                _sort(id, result, found)
    delivered, broken = deliver(store, listeners)
    found["failed"] += broken
    return SweepReport(
        len(seen), entries, delivered, **{name: tuple(dict.fromkeys(ids)) for name, ids in found.items()}
    )


def _sort(id: str, result: Result, found: dict[str, Any]) -> None:
    if isinstance(result, AwaitingPayment):
        found["awaiting"].append(id)
    elif isinstance(result, Applied):
        if result.payment is not None and result.payment.status == "declined":
            found["declined"].append(id)
        if any(entry.event == "held" for entry in result.entries):
            found["held"].append(id)


def deliver(store: Store, listeners: Sequence[Listener]) -> tuple[int, list[tuple[str, Exception]]]:
    """Every undelivered entry to every listener; after a failure the rest of that subscription waits, in order."""
    count, broken = 0, dict[str, Exception]()
    seen: set[str] = set()
    while True:
        batch = [entry for entry in store.undelivered(len(seen) + PAGE) if entry.id not in seen]
        if not batch:
            return count, list(broken.items())
        done = []
        for entry in batch:
            seen.add(entry.id)
            if entry.subscription in broken:
                continue
            try:
                _tell(entry, listeners)
            except Exception as error:
                broken[entry.subscription] = error
            else:
                done.append(entry)
        store.delivered(done)
        seen -= {entry.id for entry in done}
        count += len(done)


def _tell(entry: Entry, listeners: Sequence[Listener]) -> None:
    for listener in listeners:
        listener(entry)


__all__ = ["SweepReport", "deliver", "sweep"]
