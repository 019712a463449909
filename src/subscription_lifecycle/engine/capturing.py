"""Carrying a decision out: the intent, the money, the fact; and going on where that was cut off.

The intent is stored before money moves, the fact after, and no transaction is open in between. Whatever a capture
raises means unknown: the payment is looked up before it is ever asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from subscription_lifecycle.engine.disputes import (
    CHARGED_BACK,
    REVERSED,
    also_changed,
    standing_against,
    told_of,
    what_is_disputed,
)
from subscription_lifecycle.engine.effects import Capture, Flow, LookUp, Now, ReadHistory, VoidPayment
from subscription_lifecycle.engine.late import came_late
from subscription_lifecycle.engine.refunds import give_back
from subscription_lifecycle.engine.writing import loaded, not_before, record, reference_of, save
from subscription_lifecycle.errors import (
    ConcurrentChange,
    IdempotencyKeyReused,
    Interrupted,
    InvalidValue,
    PaymentDeclined,
    Refused,
)
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment, Decision, payment_after, waits_for
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.charge import RefundDue, without
from subscription_lifecycle.model.command import Command, FailPayment
from subscription_lifecycle.model.entry import Entry, Event, changes_between, fold
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    Captured,
    ChargebackReversed,
    ChargedBack,
    Declined,
    Payment,
    PaymentOutcome,
    Processing,
)
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Answer, Attempt, Stored

Result = Applied | AwaitingPayment
Ended = Captured | Declined | ChargedBack | ChargebackReversed

GIVEN_UP = Declined("timed_out", retryable=True)
MISMATCHED = Declined("mismatched", retryable=True)


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
        decision=decision.changed({"earlier": ()}) if decision.earlier else decision,
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
    if late and not isinstance(outcome, Ended):
        # Also where nothing is there: who asked for it may be slow, and not know yet that it is given up.
        ended = yield from stop(attempt, GIVEN_UP)
        if ended is None and not (attempt.decision.submitted and isinstance(outcome, Processing)):
            ended = GIVEN_UP
        if ended is not None:
            return (yield from conclude(lifecycle, attempt, snapshot, (), ended, "abandoned"))
    return (yield from conclude(lifecycle, attempt, snapshot, (), outcome, "declined"))


def stop(attempt: Attempt, ended: Declined) -> Flow[Ended | None]:
    """Void a payment: how it ended, also where the money came before it could be stopped. None: nobody knows."""
    try:
        if (yield VoidPayment(attempt.reference)):
            return ended
    except Exception:
        # Refused or unanswered: what became of it, the gateway is asked below.
        pass
    try:
        outcome = yield LookUp(attempt.reference)
    except Exception:
        return None
    return outcome if isinstance(outcome, Ended) else None


def conclude(
    lifecycle: Lifecycle,
    attempt: Attempt,
    snapshot: Subscription,
    entries: tuple[Entry, ...],
    outcome: PaymentOutcome | None,
    ended: Event,
) -> Flow[Result]:
    """Write what the money's outcome leads to, by the pinned decision."""
    now = not_before((yield Now()), snapshot)
    decision, key = attempt.decision, attempt.key
    told, outcome = outcome, _at_last(outcome, now)
    code = REVERSED if isinstance(told, ChargebackReversed) else None
    base, mismatched = snapshot, _mismatched(attempt, outcome, code)
    if mismatched is not None:
        if ended != "abandoned":
            return (yield from _wait(lifecycle, attempt, snapshot, entries, told, mismatched, now))
        assert mismatched.captured is not None
        due = RefundDue(attempt.reference, mismatched.captured, "not the amount that was asked for")
        base, outcome = base.changed({"refunds": (*base.refunds, due)}), MISMATCHED
    after, entry, payment = decision.concluded(base, outcome, now, key=key, reference=attempt.reference)
    if entry is None:
        return (yield from _wait(lifecycle, attempt, snapshot, entries, told, payment, now))
    if code is not None:
        # Its chargeback may be heard of later, and is undone then.
        payment = attrs.evolve(payment, code=code)
        entry = attrs.evolve(entry, payment=payment)
    if entry.event == "declined":
        changes = changes_between(snapshot, after)
        assert entry.payment is not None
        ended_as = mismatched or attrs.evolve(entry.payment, captured=attempt.payment.captured)
        entry = attrs.evolve(entry, event=ended, changes=changes, payment=ended_as)
    if isinstance(told, ChargedBack):
        disputes = attrs.evolve(payment, code=CHARGED_BACK)
        after, entry = also_changed(after, entry, what_is_disputed(after, (), disputes))
    after, owing = _still_owing(lifecycle, attempt, snapshot, after, now)
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
        yield from save(lifecycle, "conclude", snapshot.version, after, (entry, *owing), None, (answer,), now, key)
    except ConcurrentChange:
        return (yield from _overtaken(lifecycle, attempt, entries, told, ended))
    except Exception as error:
        raise Interrupted(
            after.id, attempt.reference, "captured" if isinstance(outcome, Captured) else "unknown"
        ) from error
    if not moved:
        assert isinstance(outcome, Declined)
        raise PaymentDeclined(after.id, attempt.reference, outcome.code, outcome.retryable)
    after, refunded = yield from give_back(lifecycle, after)
    reminders = decision.reminders if entry.event == "applied" else ()
    return Applied(after, (*entries, entry, *owing, *refunded), payment, reminders)


def _at_last(outcome: PaymentOutcome | None, now: datetime) -> PaymentOutcome | None:
    """What is heard of an open payment after it ended: the money went again, or came back."""
    match outcome:
        case ChargedBack(gateway_id):
            return Declined(CHARGED_BACK, retryable=False, gateway_id=gateway_id)
        case ChargebackReversed(gateway_id):
            return Captured(gateway_id, now)
        case _:
            return outcome


def _mismatched(attempt: Attempt, outcome: PaymentOutcome | None, code: str | None) -> Payment | None:
    """The payment, where other money came than was asked for: it is never taken for the right one."""
    if not isinstance(outcome, Captured):
        return None
    came = attempt.payment.captured if outcome.amount is None else outcome.amount
    if came is None or came == attempt.payment.amount:
        return None
    if code is not None and (code, outcome.gateway_id) == (attempt.payment.code, attempt.payment.gateway_id):
        return attempt.payment
    return attrs.evolve(payment_after(outcome, attempt.payment), status="mismatched", captured=came, code=code)


def _still_owing(
    lifecycle: Lifecycle, attempt: Attempt, base: Subscription, after: Subscription, now: datetime
) -> tuple[Subscription, tuple[Entry, ...]]:
    """A debt that was made while the payment was open is collected like others where service came back."""
    new = without(base.arrears, attempt.decision.before.arrears)
    if not new or all(state.settled != after.state for state in lifecycle.states.values()):
        return after, ()
    try:
        command = FailPayment(attempt.reference, Money.zero(after.currency))
        return lifecycle.decide(after, command, by=SYSTEM, at=now).begun(now, key=None, reference="")
    except Refused:
        return after, ()


def _overtaken(
    lifecycle: Lifecycle,
    attempt: Attempt,
    entries: tuple[Entry, ...],
    outcome: PaymentOutcome | None,
    ended: Event,
) -> Flow[Result]:
    """Somebody else wrote meanwhile: of other money, the same end of this payment, or that it was given up."""
    id, reference = attempt.decision.before.id, attempt.reference
    stored = yield from loaded(id, attempt.key)
    if stored.attempt is not None and stored.attempt.reference == reference:
        return (yield from conclude(lifecycle, stored.attempt, stored.subscription, entries, outcome, ended))
    if stored.answer is None or stored.answer.status == "open":
        came = isinstance(outcome, Captured | ChargebackReversed)
        raise Interrupted(id, reference, "captured" if came else "unknown")
    if isinstance(outcome, Captured):
        history: Iterable[Entry] = yield ReadHistory(id)
        told = told_of(history, reference)
        last = told[-1].payment
        if last is not None and last.status == "declined" and standing_against(told) <= 0:
            payment = attrs.evolve(payment_after(outcome, last), code=None)
            now = not_before((yield Now()), stored.subscription)
            try:
                yield from came_late(lifecycle, stored, payment, now)
            except ConcurrentChange:
                return (yield from _overtaken(lifecycle, attempt, entries, outcome, ended))
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
    event: Event = "mismatched" if payment.status == "mismatched" else "awaiting"
    after, entry = record(
        lifecycle, snapshot, event, attempt.decision.command, now, {}, payment, attempt.decision.row, attempt.key
    )
    answer = Answer(
        attempt.key, attempt.decision.command, "open", attempt.first_version, after.version, attempt.decision.reminders
    )
    try:
        yield from save(lifecycle, "wait", snapshot.version, after, (entry,), attempt, (answer,), now, attempt.key)
    except ConcurrentChange:
        return (yield from _overtaken(lifecycle, attempt, entries, outcome, "declined"))
    return _awaiting(attempt, after, (*entries, entry), outcome)


def _awaiting(
    attempt: Attempt, snapshot: Subscription, entries: tuple[Entry, ...], outcome: PaymentOutcome | None
) -> AwaitingPayment:
    why, action = waits_for(outcome)
    if isinstance(outcome, ChargebackReversed):
        why = "mismatched"
    return AwaitingPayment(snapshot, entries, attempt.payment, attempt.decision.reminders, why, action)


def repeated(lifecycle: Lifecycle, stored: Stored, answer: Answer, command: Command) -> Flow[Result]:
    """The same key again: the same answer, one effect; for another command an error."""
    id = stored.subscription.id
    if answer.command != command:
        raise IdempotencyKeyReused(id, answer.key)
    if answer.status == "open":
        if stored.attempt is None:
            raise ConcurrentChange(id)
        result = yield from resume(lifecycle, stored.subscription, stored.attempt)
        stored = yield from loaded(id, answer.key)
        if isinstance(result, AwaitingPayment) or stored.answer is None or stored.answer.status == "open":
            return result
        answer = stored.answer
    history: Iterable[Entry] = yield ReadHistory(id)
    last, past = answer.last_version, list[Entry]()
    for entry in history:
        # Refunds that were confirmed at once belong to the answer.
        last += entry.version == last + 1 and entry.event == "refunded"
        if entry.version <= last:
            past.append(entry)
    entries = tuple(entry for entry in past if entry.version >= answer.first_version)
    payment = next((entry.payment for entry in reversed(entries) if entry.payment is not None), None)
    if answer.status == "declined":
        assert payment is not None
        raise PaymentDeclined(id, payment.reference, payment.code or "declined", payment.retryable)
    snapshot = fold(past)
    assert snapshot is not None
    return Applied(lifecycle.known(snapshot), entries, payment, answer.reminders)
