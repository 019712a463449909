"""Writes as rows of our tables, and rows as what they say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import attrs

from subscription_lifecycle import documents
from subscription_lifecycle.adapters.sqlalchemy.statements import Row
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Answer, Attempt, Stored, Write

V = TypeVar("V", Subscription, Entry)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@attrs.frozen
class WriteRows:
    """A write as rows, made before the transaction begins."""

    snapshot: Row
    replacing: Row
    entries: list[Row]
    answers: list[Row]
    lines: list[Row]


def rows_of(write: Write) -> WriteRows:
    """Raises InvalidValue for what cannot be written and read again."""
    subscription = write.subscription
    entries: list[Row] = [
        {
            "subscription": entry.subscription,
            "version": entry.version,
            "write_id": write.id,
            "reference": None if entry.payment is None else entry.payment.reference,
            "effective_at": microseconds(entry.effective_at),
            "recorded_at": microseconds(entry.recorded_at),
            "document": _written(entry, _ENTRIES),
        }
        for entry in write.entries
    ]
    answers: list[Row] = [
        {"subscription": subscription.id, "key": answer.key, "document": documents.to_json(answer)}
        for answer in write.answers
    ]
    lines: list[Row] = [
        {"id": line.id, "customer": line.customer, "invoice": line.invoice, "document": documents.to_json(line)}
        for entry in write.entries
        for line in entry.invoice_lines
    ]
    snapshot: Row = {
        "new_id": subscription.id,
        "new_version": subscription.version,
        "new_customer": subscription.customer,
        "new_state": subscription.state.name,
        "new_due_at": None if write.due_at is None else microseconds(write.due_at),
        "new_document": _written(subscription, _SNAPSHOTS),
        "new_attempt": None if write.attempt is None else documents.to_json(write.attempt),
    }
    replacing: Row = {"id": subscription.id, "expected": write.expected, "write_id": write.id, **snapshot}
    return WriteRows(snapshot, replacing, entries, answers, lines)


def microseconds(instant: datetime) -> int:
    """Since 1970 in UTC, as instants are stored."""
    return (instant - _EPOCH) // _MICROSECOND


def stored_of(row: Any) -> Stored | None:
    """What `load` read."""
    if row is None:
        return None
    document, attempt, answer = row
    return Stored(
        snapshot_of(document),
        None if attempt is None else documents.from_json(Attempt, attempt),
        None if answer is None else documents.from_json(Answer, answer),
    )


def _written(value: V, recent: _Recent[V]) -> str:
    text = documents.to_json(value)
    recent.remember(text, value)
    return text


# -- what this process wrote or read lately


def snapshot_of(text: str) -> Subscription:
    """A command and a sweep read the same snapshot more than once between two writes."""
    known = _SNAPSHOTS.get(text)
    return _SNAPSHOTS.remember(text, documents.from_json(Subscription, text)) if known is None else known


def entry_of(text: str) -> Entry:
    """A sweep delivers what it wrote a moment before, and once."""
    known = _ENTRIES.pop(text, None)
    return documents.from_json(Entry, text) if known is None else known


class _Recent(dict[str, V]):
    """Values by their documents: the last of them that nobody can change."""

    def remember(self, text: str, value: V) -> V:
        if _is_unchangeable(value):
            self[text] = value
            if len(self) > 2 * _REMEMBERED:
                for oldest in list(self)[:_REMEMBERED]:
                    self.pop(oldest, None)
        return value


_REMEMBERED: Final = 1024
_SNAPSHOTS: Final = _Recent[Subscription]()
_ENTRIES: Final = _Recent[Entry]()


def _is_unchangeable(value: Subscription | Entry) -> bool:
    """Whether nothing in it is the caller's own: lists and mappings that a host brings, or commands of its own."""
    if isinstance(value, Subscription):
        return _flat(value.metadata)
    ours = type(value.command).__module__.startswith("subscription_lifecycle.")
    brought = "metadata" in value.changes or (value.payment is not None and value.payment.next_action)
    return ours and not brought and _flat(value.facts)


def _flat(brought: Mapping[str, Any]) -> bool:
    return not any(isinstance(item, (list, dict)) for item in brought.values())
