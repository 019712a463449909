"""The store in memory: the reference that every other store is held to, and short enough to read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from subscription_lifecycle.errors import ConcurrentChange
from subscription_lifecycle.model.charge import InvoiceLine
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.state import State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Answer, Attempt, ClaimTaken, Parked, Stored, Write


@attrs.define
class _Record:
    subscription: Subscription
    attempt: Attempt | None
    due_at: datetime | None
    entries: list[Entry] = attrs.field(factory=list)
    answers: dict[str, Answer] = attrs.field(factory=dict)
    writes: set[str] = attrs.field(factory=set)
    stumbles: int = 0
    error: str = ""
    due_before: datetime | None = None


class MemoryStore:
    """Keeps everything until the process ends. One lock makes each method one transaction."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._records: dict[str, _Record] = {}
        self._claims: dict[str, str] = {}
        self._payments: dict[str, str] = {}
        self._undelivered: dict[str, Entry] = {}
        self._lines: dict[str, InvoiceLine] = {}
        self._leases: dict[str, datetime] = {}
        self._failures: dict[str, tuple[int, str]] = {}
        self._parked: dict[str, Entry] = {}
        self._names: dict[str, str] = {}

    def load(self, id: str, key: str | None, /) -> Stored | None:
        with self._lock:
            record = self._records.get(id)
            if record is None:
                return None
            return Stored(record.subscription, record.attempt, None if key is None else record.answers.get(key))

    def write(self, write: Write, /) -> None:
        id = write.subscription.id
        with self._lock:
            record = self._records.get(id)
            if record is not None and write.id in record.writes:
                return
            if (record.subscription.version if record else 0) != write.expected:
                raise ConcurrentChange(id)
            for claim in write.claims:
                if self._claims.get(claim, id) != id:
                    raise ClaimTaken(claim)
            if record is None:
                record = self._records[id] = _Record(write.subscription, write.attempt, write.due_at)
            record.subscription, record.attempt, record.due_at = write.subscription, write.attempt, write.due_at
            record.stumbles, record.error, record.due_before = 0, "", None
            record.writes.add(write.id)
            record.entries += write.entries
            record.answers |= {answer.key: answer for answer in write.answers}
            self._claims |= dict.fromkeys(write.claims, id)
            for entry in write.entries:
                self._undelivered[entry.id] = entry
                self._lines |= {line.id: line for line in entry.invoice_lines}
                if entry.payment is not None:
                    self._payments[entry.payment.reference] = id

    def load_many(self, wanted: Sequence[tuple[str, str | None]], /) -> Sequence[Stored | Exception | None]:
        with self._lock:
            return [_tried(self.load, id, key) for id, key in wanted]

    def write_many(self, writes: Sequence[Write], /) -> Sequence[Exception | None]:
        with self._lock:
            return [_tried(self.write, write) for write in writes]

    def find(self, reference: str, /) -> str | None:
        with self._lock:
            return self._payments.get(reference)

    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        with self._lock:
            found = [
                (record.due_at, id) for id, record in self._records.items() if record.due_at and record.due_at <= until
            ]
            return [id for _, id in sorted(found)[:limit]]

    def history(self, id: str, /) -> Sequence[Entry]:
        with self._lock:
            record = self._records.get(id)
            return tuple(record.entries) if record else ()

    def undelivered(self, limit: int, /) -> Sequence[Entry]:
        with self._lock:
            return tuple(self._undelivered.values())[:limit]

    def delivered(self, entries: Sequence[Entry], /) -> None:
        with self._lock:
            for entry in entries:
                self._undelivered.pop(entry.id, None)
                self._failures.pop(entry.id, None)

    def search(
        self, customer: str | None, states: Sequence[State] | None, after: str | None, limit: int, /
    ) -> Sequence[Subscription]:
        with self._lock:
            everything = (self._records[id].subscription for id in sorted(self._records))
            return [
                subscription
                for subscription in everything
                if customer in (None, subscription.customer)
                and (states is None or subscription.state in states)
                and (after is None or subscription.id > after)
            ][:limit]

    def payers(self, since: datetime, /) -> Sequence[str]:
        with self._lock:
            return sorted(
                id
                for id, record in self._records.items()
                if any(entry.payment and entry.recorded_at >= since for entry in record.entries)
            )

    def take_invoice_lines(self, customer: str, invoice: str, /) -> Sequence[InvoiceLine]:
        with self._lock:
            taken = self.invoice_lines(invoice)
            if taken:
                # It may have been sent: what came later waits for the next one.
                return taken
            for id, line in self._lines.items():
                if line.customer == customer and line.invoice is None:
                    self._lines[id] = attrs.evolve(line, invoice=invoice)
            return self.invoice_lines(invoice)

    def invoice_lines(self, invoice: str, /) -> Sequence[InvoiceLine]:
        with self._lock:
            return [line for line in self._lines.values() if line.invoice == invoice]

    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        with self._lock:
            free = [id for id in self.due(until, len(self._records)) if self._leases.get(id, until) <= until][:limit]
            self._leases |= dict.fromkeys(free, expires)
            return free

    def failed(self, entry: Entry, error: str, /) -> int:
        with self._lock:
            count = self._failures.get(entry.id, (0, ""))[0] + 1
            self._failures[entry.id] = count, error
            return count

    def park(self, entry: Entry, /) -> None:
        with self._lock:
            if self._undelivered.pop(entry.id, None) is not None:
                self._parked[entry.id] = entry

    def parked(self) -> Sequence[Parked]:
        with self._lock:
            found = sorted(self._parked.values(), key=lambda entry: (entry.subscription, entry.version))
            errors = {entry.id: self._failures.get(entry.id, (0, ""))[1] for entry in found}
            entries = [Parked("entry", entry.subscription, entry.version, errors[entry.id]) for entry in found]
            deferred = [
                Parked("subscription", id, record.subscription.version, record.error)
                for id, record in self._records.items()
                if record.due_before is not None
            ]
            return sorted(entries + deferred, key=lambda parked: (parked.subscription, parked.version, parked.what))

    def unpark(self, subscription: str, version: int, /) -> None:
        with self._lock:
            record = self._records.get(subscription)
            if record is not None and record.due_before is not None and record.subscription.version == version:
                self.forget((subscription,))
            id = f"{subscription}/{version}"
            if id in self._parked:
                # It is told before what is newer, and after what is older and waits as well.
                waiting = [self._parked.pop(id), *self._undelivered.values()]
                waiting.sort(key=lambda entry: (entry.recorded_at, entry.subscription, entry.version))
                self._undelivered = {entry.id: entry for entry in waiting}
                self._failures.pop(id, None)

    def stumbled(self, errors: Mapping[str, str], /) -> Mapping[str, int]:
        with self._lock:
            known = {id: self._records[id] for id in errors if id in self._records}
            for id, record in known.items():
                record.stumbles, record.error = record.stumbles + 1, errors[id]
            return {id: record.stumbles for id, record in known.items()}

    def defer(self, until: Mapping[str, datetime], /) -> None:
        with self._lock:
            for id, instant in until.items():
                record = self._records.get(id)
                if record is not None and record.stumbles and record.due_at is not None:
                    record.due_before = record.due_before or record.due_at
                    record.due_at = instant

    def forget(self, ids: Sequence[str], /) -> None:
        with self._lock:
            for id in ids:
                record = self._records.get(id)
                if record is not None and record.stumbles:
                    record.due_at = record.due_before or record.due_at
                    record.stumbles, record.error, record.due_before = 0, "", None

    def remember(self, reference: str, gateway_id: str, /) -> str:
        with self._lock:
            return self._names.setdefault(reference, gateway_id)

    def recall(self, reference: str, /) -> str | None:
        with self._lock:
            return self._names.get(reference)


def _tried(method: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return method(*arguments)
    except Exception as error:
        return error
