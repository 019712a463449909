"""Writing what happened: one way to make an entry beside the table, one way to save, one name for a payment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from subscription_lifecycle.engine.effects import AskFacts, Flow, Load, ReadHistory, Save
from subscription_lifecycle.errors import Refused, UnknownSubscription
from subscription_lifecycle.machine.guard import Refusal
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.calendar import start_of_day
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry, Event, changes_between
from subscription_lifecycle.model.payment import Payment
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Answer, Attempt, ClaimTaken, Stored, Write


def reference_of(id: str, key: str) -> str:
    """The payment's name, made of what is stored before it is asked for: the same key is the same payment."""
    return "pay_" + hashlib.sha256(f"{len(id)}:{id}:{key}".encode()).hexdigest()[:40]


def loaded(id: str, key: str | None) -> Flow[Stored]:
    stored = yield Load(id, key)
    if stored is None:
        raise UnknownSubscription(id)
    assert isinstance(stored, Stored)
    return stored


def facts_for(id: str, subscription: Subscription | None, command: Command) -> Flow[Mapping[str, Any]]:
    """What the host says, and what the command reads in the history; what is on record cannot be overruled."""
    facts: Mapping[str, Any] = yield AskFacts(subscription, command)
    if not command.reads_history:
        return facts
    history: Iterable[Entry] = yield ReadHistory(id)
    return {**facts, **command.facts(history)}


def not_before(now: datetime, subscription: Subscription) -> datetime:
    """Clocks of several machines differ; what is recorded never goes back."""
    return now if subscription.recorded_at is None else max(now, subscription.recorded_at)


def record(
    lifecycle: Lifecycle,
    before: Subscription,
    event: Event,
    command: Command,
    now: datetime,
    changes: Mapping[str, Any],
    payment: Payment | None,
    row: str,
    key: str | None,
) -> tuple[Subscription, Entry]:
    """An entry that no row of the table makes: what is learnt about money."""
    after = before.changed({**changes, "version": before.version + 1, "recorded_at": now})
    entry = Entry(
        subscription=before.id,
        version=after.version,
        event=event,
        row=row,
        command=command,
        by=SYSTEM,
        effective_at=now,
        recorded_at=now,
        changes=changes_between(before, after),
        lifecycle=(lifecycle.name, lifecycle.version),
        policy=before.policy,
        key=key,
        payment=payment,
    )
    return after, entry


def _digest(entry: Entry) -> str:
    try:
        command = repr(attrs.asdict(entry.command))
    except Exception:
        # An own command may hold what cannot be shown: whether it can be kept is for the store to say.
        command = entry.command.title
    told = repr((command, entry.command.title, entry.event, entry.by.id, entry.payment))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def save(
    lifecycle: Lifecycle,
    step: str,
    expected: int,
    after: Subscription,
    entries: tuple[Entry, ...],
    attempt: Attempt | None,
    answers: tuple[Answer, ...],
    now: datetime,
    key: str | None,
    claim: str | None = None,
) -> Flow[None]:
    """The write's id is the same when an effect is run twice, and another for everybody else.

    An instant tells two processes apart only where their clocks do, so what is written is part of it.
    """
    id = f"{step}:{expected}:{now.isoformat()}:{_digest(entries[-1])}:{key or ''}"
    try:
        yield Save(
            Write(
                id=id,
                expected=expected,
                subscription=after,
                entries=entries,
                attempt=attempt,
                answers=answers,
                due_at=due_at(lifecycle, after, attempt),
                claims=() if claim is None else (claim,),
            )
        )
    except ClaimTaken:
        raise Refused((Refusal("claim.taken", f"{claim} is taken.", "It is given once."),)) from None


def due_at(lifecycle: Lifecycle, subscription: Subscription, attempt: Attempt | None) -> datetime | None:
    """When the clock must look: an open payment holds the subscription's timers; a refund is due until confirmed.

    A submitted debit that nobody reported on is asked for.
    """
    if attempt is not None:
        return attempt.check_at
    if subscription.refunds:
        return subscription.recorded_at
    due = lifecycle.due(subscription)
    asked = [start_of_day(debit.ask_on, subscription.time_zone) for debit in subscription.submitted]
    return min([*asked, *([] if due is None else [due.at])], default=None)
