"""Carrying a decision out: the intent, the money, the fact; and going on where that was cut off.

The intent is stored before money moves, the fact after, and no transaction is open in between. Whatever a capture
raises means unknown: the payment is looked up before it is ever asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from subscription_lifecycle.engine.effects import Capture, Flow, LookUp, Now, ReadHistory, VoidPayment
from subscription_lifecycle.engine.refunds import give_back
from subscription_lifecycle.engine.writing import loaded, not_before, record, reference_of, save
from subscription_lifecycle.errors import (
    ConcurrentChange,
    IdempotencyKeyReused,
    Interrupted,
    InvalidValue,
    PaymentDeclined,
)
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment, Decision, waits_for
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry, Event, fold
from subscription_lifecycle.model.payment import Captured, Declined, Payment, PaymentOutcome
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Answer, Attempt, Stored

Result = Applied | AwaitingPayment

GIVEN_UP = Declined("timed_out", retryable=True)


def carry_out(lifecycle: Lifecycle, decision: Decision, key: str, now: datetime, gateway: bool) -> Flow[Result]:
    id = decision.before.id
    reference = reference_of(id, key)
    if decision.collected == "capture" and decision.method is None:
        return (yield from _without_method(lifecycle, decision, key, now))
    if decision.collected == "capture" and not gateway:
        raise InvalidValue(
            "gateway", "a payment must be captured and there is no gateway", "Pass one to Subscriptions."
        )
    after, entries = decision.begun(now, key=key, reference=reference)
    first = entries[0].version
    if decision.collected != "capture":
        answer = Answer(key, decision.command, "applied", first, after.version, decision.reminders)
        yield from save(lifecycle, "apply", first - 1, after, entries, None, (answer,), now, key, decision.claims)
        after, refunded = yield from give_back(lifecycle, after)
        return Applied(after, (*entries, *refunded), None, decision.reminders)
    assert decision.method is not None
    payment = entries[-1].payment
    assert payment is not None
    attempt = Attempt(
        reference=reference,
        key=key,
        decision=attrs.evolve(decision, earlier=()),
        payment=payment,
        first_version=first,
        opened_at=now,
        check_at=now,
        gives_up_at=now + timedelta(days=lifecycle.policy_of(decision.before).days_to_pay(decision.method.kind)),
    )
    answer = Answer(key, decision.command, "open", first, after.version, decision.reminders)
    yield from save(lifecycle, "reserve", first - 1, after, entries, attempt, (answer,), now, key, decision.claims)
    return (yield from _collect(lifecycle, attempt, after, entries))


def _without_method(lifecycle: Lifecycle, decision: Decision, key: str, now: datetime) -> Flow[Result]:
    """Nothing can be asked for: as declined, without asking."""
    if decision.declined is None:
        raise InvalidValue(
            "payment_method", "there is something to pay and no payment method", "Give one in the command."
        )
    after, entries = decision.unpaid(now, key=key)
    answer = Answer(key, decision.command, "applied", entries[0].version, after.version)
    yield from save(lifecycle, "unpaid", entries[0].version - 1, after, entries, None, (answer,), now, key)
    return Applied(after, entries)


def _collect(
    lifecycle: Lifecycle, attempt: Attempt, snapshot: Subscription, entries: tuple[Entry, ...]
) -> Flow[Result]:
    outcome: PaymentOutcome | None
    try:
        outcome = yield Capture(attempt.request)
    except Exception:
        # A lost answer is no decline: the payment is looked up before it is ever asked for again.
        outcome = None
    return (yield from conclude(lifecycle, attempt, snapshot, entries, outcome, "declined"))


def resume(lifecycle: Lifecycle, snapshot: Subscription, attempt: Attempt) -> Flow[Result]:
    """Go on with an open payment: look it up; ask again only where there is certainly nothing; give up in time.

    Raises PaymentDeclined as the first try would have.
    """
    try:
        outcome = yield LookUp(attempt.reference)
    except Exception:
        return _awaiting(attempt, snapshot, (), None)
    now = yield Now()
    late = now >= attempt.gives_up_at
    if outcome is None and not late:
        return (yield from _collect(lifecycle, attempt, snapshot, ()))
    if late and not isinstance(outcome, (Captured, Declined)):
        stopped = outcome is None
        if not stopped:
            try:
                stopped = yield VoidPayment(attempt.reference)
            except Exception:
                stopped = False
        if stopped or not attempt.decision.submitted:
            return (yield from conclude(lifecycle, attempt, snapshot, (), GIVEN_UP, "abandoned"))
    return (yield from conclude(lifecycle, attempt, snapshot, (), outcome, "declined"))


def conclude(
    lifecycle: Lifecycle,
    attempt: Attempt,
    snapshot: Subscription,
    entries: tuple[Entry, ...],
    outcome: PaymentOutcome | None,
    ended: Event,
    *,
    quiet: bool = False,
) -> Flow[Result]:
    """Write what the money's outcome leads to, by the pinned decision."""
    now = not_before((yield Now()), snapshot)
    decision, key = attempt.decision, attempt.key
    after, entry, payment = decision.concluded(snapshot, outcome, now, key=key, reference=attempt.reference)
    if entry is None:
        return (yield from _wait(lifecycle, attempt, snapshot, entries, outcome, payment, now))
    if entry.event == "declined":
        entry = attrs.evolve(entry, event=ended)
    moved = entry.event == "applied" or (decision.declined is not None and not decision.declined.state.final)
    answer = Answer(
        key,
        decision.command,
        "applied" if moved else "declined",
        attempt.first_version,
        after.version,
        decision.reminders,
    )
    try:
        yield from save(lifecycle, "conclude", snapshot.version, after, (entry,), None, (answer,), now, key)
    except ConcurrentChange:
        # Whoever looked the payment up meanwhile has written the same end of it.
        return (yield from _concluded_elsewhere(lifecycle, attempt))
    except Exception as error:
        raise Interrupted(
            after.id, attempt.reference, "captured" if isinstance(outcome, Captured) else "unknown"
        ) from error
    if not moved and not quiet:
        assert isinstance(outcome, Declined)
        raise PaymentDeclined(after.id, attempt.reference, outcome.code, outcome.retryable)
    after, refunded = yield from give_back(lifecycle, after)
    reminders = decision.reminders if entry.event == "applied" else ()
    return Applied(after, (*entries, entry, *refunded), payment, reminders)


def _concluded_elsewhere(lifecycle: Lifecycle, attempt: Attempt) -> Flow[Result]:
    stored = yield from loaded(attempt.decision.before.id, attempt.key)
    if stored.answer is None or stored.answer.status == "open":
        raise Interrupted(attempt.decision.before.id, attempt.reference, "unknown")
    return (yield from repeated(lifecycle, stored, stored.answer, attempt.decision.command))


def _wait(
    lifecycle: Lifecycle,
    attempt: Attempt,
    snapshot: Subscription,
    entries: tuple[Entry, ...],
    outcome: PaymentOutcome | None,
    payment: Payment,
    now: datetime,
) -> Flow[Result]:
    """The money is open. What was learnt is written once; what was not learnt leaves the stored intent as it is."""
    if outcome is None or payment == attempt.payment:
        return _awaiting(attempt, snapshot, entries, outcome)
    attempt = attrs.evolve(attempt, payment=payment)
    after, entry = record(
        lifecycle, snapshot, "awaiting", attempt.decision.command, now, {}, payment, attempt.decision.row, attempt.key
    )
    answer = Answer(
        attempt.key, attempt.decision.command, "open", attempt.first_version, after.version, attempt.decision.reminders
    )
    try:
        yield from save(lifecycle, "wait", snapshot.version, after, (entry,), attempt, (answer,), now, attempt.key)
    except ConcurrentChange:
        return (yield from _concluded_elsewhere(lifecycle, attempt))
    return _awaiting(attempt, after, (*entries, entry), outcome)


def _awaiting(
    attempt: Attempt, snapshot: Subscription, entries: tuple[Entry, ...], outcome: PaymentOutcome | None
) -> AwaitingPayment:
    why, action = waits_for(outcome)
    return AwaitingPayment(snapshot, entries, attempt.payment, attempt.decision.reminders, why, action)


def repeated(lifecycle: Lifecycle, stored: Stored, answer: Answer, command: Command) -> Flow[Result]:
    """The same key again: the same answer, one effect; for another command an error."""
    id = stored.subscription.id
    if answer.command != command:
        raise IdempotencyKeyReused(id, answer.key)
    if answer.status == "open":
        if stored.attempt is None:
            raise ConcurrentChange(id)
        return (yield from resume(lifecycle, stored.subscription, stored.attempt))
    history: Iterable[Entry] = yield ReadHistory(id)
    past = [entry for entry in history if entry.version <= answer.last_version]
    entries = tuple(entry for entry in past if entry.version >= answer.first_version)
    payment = next((entry.payment for entry in reversed(entries) if entry.payment is not None), None)
    if answer.status == "declined":
        assert payment is not None
        raise PaymentDeclined(id, payment.reference, payment.code or "declined", payment.retryable)
    snapshot = fold(past)
    assert snapshot is not None
    return Applied(lifecycle.known(snapshot), entries, payment, answer.reminders)
