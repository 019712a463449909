"""What happens by itself: an open payment, the due rows, the refunds of one subscription."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from subscription_lifecycle.engine.capturing import Result, carry_out, resume
from subscription_lifecycle.engine.effects import AskFacts, Flow, Load, LookUp, Now
from subscription_lifecycle.engine.refunds import give_back
from subscription_lifecycle.engine.reports import report
from subscription_lifecycle.engine.writing import due_at, loaded, not_before, save
from subscription_lifecycle.errors import ConcurrentChange, IdempotencyKeyReused, InvalidValue, PaymentDeclined
from subscription_lifecycle.machine.decision import Applied
from subscription_lifecycle.machine.lifecycle import CaughtUp, Due, Lifecycle
from subscription_lifecycle.model.calendar import local_day, start_of_day
from subscription_lifecycle.model.payment import Captured, ChargebackReversed, ChargedBack, Declined, Payment
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Stored

MOST_CHARGES = 1000


def advance(lifecycle: Lifecycle, id: str, *, gateway: bool) -> Flow[tuple[Result, ...]]:
    """What is open or due for one subscription: its payment, its due rows, its refunds. Answers what came of each."""
    now = yield Now()
    stored = yield from loaded(id, None)
    results: list[Result] = []
    if stored.attempt is not None:
        attempt = stored.attempt
        try:
            results.append((yield from resume(lifecycle, stored.subscription, attempt)))
            stored = yield from loaded(id, None)
        except PaymentDeclined as declined:
            stored = yield from loaded(id, None)
            payment = attrs.evolve(attempt.payment, status="declined", code=declined.decline)
            results.append(Applied(stored.subscription, (), payment))
        if stored.attempt is not None:
            return tuple(results)
    for debit in stored.subscription.submitted:
        if start_of_day(debit.ask_on, stored.subscription.time_zone) <= now:
            try:
                outcome = yield LookUp(debit.reference)
            except Exception:
                # Nobody knows today. What else is due does not wait for it.
                continue
            if isinstance(outcome, Captured | Declined | ChargedBack | ChargebackReversed):
                results.append((yield from report(lifecycle, debit.reference, outcome)))
                stored = yield from loaded(id, None)
    for _ in range(MOST_CHARGES):
        subscription = stored.subscription
        now = not_before(now, subscription)
        caught = yield from caught_up(lifecycle, subscription, now)
        if caught.charge is not None:
            results.append((yield from charge_due(lifecycle, subscription.version, caught, now, gateway)))
        elif caught.steps:
            results.append((yield from write_due(lifecycle, subscription.version, caught, now)))
        else:
            after, refunded = yield from give_back(lifecycle, subscription)
            if caught.waits and not results and not refunded:
                raise _lacking(*caught.waits[0])
            return (*results, Applied(after, refunded)) if refunded else tuple(results)
        written = results[-1]
        if isinstance(written, Applied) and _is_at_rest(lifecycle, written.subscription, now):
            # It is not read again only to find nothing. Where somebody else has written since, that is theirs to see.
            return tuple(results)
        stored = yield from loaded(id, None)
        if stored.attempt is not None or stored.subscription.version == subscription.version:
            return tuple(results)
    return tuple(results)


def caught_up(lifecycle: Lifecycle, subscription: Subscription, now: datetime) -> Flow[CaughtUp]:
    """As `catch_up`; the host is asked for the facts that due rows read."""
    asked: dict[tuple[str, datetime], Mapping[str, Any]] = {}
    while True:
        caught = lifecycle.catch_up(subscription, now, asked)
        waits = [(due, current) for due, current in caught.waits if (due.row.id, due.at) not in asked]
        if not waits:
            return caught
        due, current = waits[0]
        asked[due.row.id, due.at] = yield AskFacts(current, due.command)


def write_due(lifecycle: Lifecycle, version: int, caught: CaughtUp, now: datetime) -> Flow[Applied]:
    """The due rows that move no money; `version` is the stored one."""
    last = caught.steps[-1].changed({"earlier": caught.steps[:-1]})
    after, entries = last.begun(now, key=None, reference="")
    yield from save(lifecycle, "due", version, after, entries, None, (), now, None)
    return Applied(after, entries)


def _lacking(due: Due, subscription: Subscription) -> InvalidValue:
    reads = sorted({fact for guard in due.row.guards for fact in guard.reads_facts})
    problem = f"{', '.join(reads)} must be known before {subscription.id} can {due.command.title}"
    return InvalidValue("facts", problem, "Let the facts callable answer it.")


def _is_at_rest(lifecycle: Lifecycle, subscription: Subscription, now: datetime) -> bool:
    due = due_at(lifecycle, subscription, None)
    return due is None or due > now


def charge_due(lifecycle: Lifecycle, version: int, caught: CaughtUp, now: datetime, gateway: bool) -> Flow[Result]:
    """The one charge that is due, as a command of its own under its natural key; `version` is the stored one."""
    assert caught.due is not None
    due, current = caught.due, caught.subscription
    decision = caught.charge
    if decision is None or not decision.facts:
        facts: Mapping[str, Any] = yield AskFacts(current, due.command)
        decision = lifecycle.decide_due(current, due, now, facts) if facts or decision is None else decision
    if caught.steps:
        decision = decision.changed({"earlier": caught.steps})
    key = f"{due.command.title.replace(' ', '_')}:{current.id}:{local_day(due.at, current.time_zone)}"
    stored: Stored | None = yield Load(current.id, key)
    if stored is None or stored.subscription.version != version:
        raise ConcurrentChange(current.id)
    if stored.answer is not None:
        # Charged under this key before: somebody set the dates back by hand, and asking again would charge twice.
        raise IdempotencyKeyReused(current.id, key)
    try:
        return (yield from carry_out(lifecycle, decision, key, now, gateway))
    except PaymentDeclined as declined:
        ended = yield from loaded(current.id, key)
        assert decision.method is not None
        payment = Payment(declined.reference, decision.terms.charge, decision.method, "declined", code=declined.decline)
        return Applied(ended.subscription, (), payment)
