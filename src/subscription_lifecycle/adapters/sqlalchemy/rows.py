"""Writes as rows of our tables, and rows as what they say."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from subscription_lifecycle import documents
from subscription_lifecycle.adapters.sqlalchemy.statements import Row
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Answer, Attempt, Stored, Write

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
            "document": documents.to_json(entry),
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
        "new_document": documents.to_json(subscription),
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
        _snapshot(document),
        None if attempt is None else documents.from_json(Attempt, attempt),
        None if answer is None else documents.from_json(Answer, answer),
    )


# A command and a sweep read the same snapshot more than once between two writes, and it is immutable.
_snapshot: Final = functools.lru_cache(1024)(functools.partial(documents.from_json, Subscription))
