"""What the gateway reports of a payment, by our reference: any number of times, in any order, also very late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import attrs

from subscription_lifecycle.engine.capturing import Result, conclude
from subscription_lifecycle.engine.effects import FindPayment, Flow, Now, ReadHistory
from subscription_lifecycle.engine.refunds import came_late
from subscription_lifecycle.engine.writing import loaded, not_before, record, save
from subscription_lifecycle.errors import InvalidValue, NotPossible, PaymentDeclined, UnknownPayment
from subscription_lifecycle.machine.decision import Applied, payment_after
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.command import FailPayment, SettlePayment
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    ChargedBack,
    Declined,
    Payment,
    PaymentOutcome,
    Processing,
)
from subscription_lifecycle.ports import Stored


def report(lifecycle: Lifecycle, reference: str, outcome: PaymentOutcome) -> Flow[Result]:
    """What it leads to: the end of an open payment, a debt where money failed after all, a refund where it came late.

    What was reported before changes nothing. Raises UnknownPayment for a reference that was never asked for here.
    """
    id = yield FindPayment(reference)
    if id is None:
        raise UnknownPayment(reference)
    stored = yield from loaded(id, None)
    attempt = stored.attempt
    if attempt is not None and attempt.reference == reference:
        try:
            return (yield from conclude(lifecycle, attempt, stored.subscription, (), outcome, "declined"))
        except PaymentDeclined:
            stored = yield from loaded(id, None)
            return Applied(stored.subscription, (), payment_after(outcome, attempt.payment))
    history: Iterable[Entry] = yield ReadHistory(id)
    told = [entry for entry in history if entry.payment is not None and entry.payment.reference == reference]
    last = told[-1].payment
    assert last is not None
    now = not_before((yield Now()), stored.subscription)
    payment = attrs.evolve(payment_after(outcome, last), code=getattr(outcome, "code", None))
    match outcome, last.status:
        case Captured(), "declined" if any(_captured(entry) for entry in told):
            # Told once more after a chargeback: the customer's bank has that money.
            return Applied(stored.subscription, (), last)
        case Captured(), "submitted":
            return (yield from _confirmed(lifecycle, stored, payment, now))
        case Captured(), "declined" | "unknown" | "processing" | "customer_action":
            return Applied(*(yield from came_late(lifecycle, stored, payment, now)), payment)
        case (Declined(), "submitted") | (ChargedBack(), "submitted" | "captured"):
            return (yield from _failed(lifecycle, stored, told, attrs.evolve(payment, status="declined"), now))
        case (Captured() | Declined(), "captured") | (Declined() | ChargedBack(), "declined"):
            # Told before, or a decline that was overtaken by the money.
            return Applied(stored.subscription, (), last)
        case Processing() | ActionRequired(), _:
            return Applied(stored.subscription, (), last)
        case _:
            raise InvalidValue(
                "outcome", f"{outcome} cannot follow {last.status}", "Report what the gateway says of this payment."
            )


def _captured(entry: Entry) -> bool:
    return entry.payment is not None and entry.payment.status == "captured"


def _confirmed(lifecycle: Lifecycle, stored: Stored, payment: Payment, now: datetime) -> Flow[Result]:
    """A submitted debit has arrived: what it paid for stands already."""
    command = SettlePayment(payment.reference)
    after, entry = record(lifecycle, stored.subscription, "settled", command, now, {}, payment, "settle payment", None)
    yield from save(
        lifecycle, "settled", stored.subscription.version, after, (entry,), stored.attempt, (), now, payment.reference
    )
    return Applied(after, (entry,), payment)


def _failed(lifecycle: Lifecycle, stored: Stored, told: list[Entry], payment: Payment, now: datetime) -> Flow[Result]:
    """Money that was counted on is not there: what it paid for is owed, by the table's row for it."""
    before = stored.subscription
    lines = next((entry.charge.lines for entry in told if entry.charge is not None and entry.event == "applied"), ())
    command = FailPayment(payment.reference, payment.amount, lines)
    try:
        decision = lifecycle.decide(before, command, by=SYSTEM, at=now)
    except NotPossible:
        left = {"refunds": tuple(due for due in before.refunds if due.reference != payment.reference)}
        after, entry = record(lifecycle, before, "failed", command, now, left, payment, "fail payment", None)
        entries: tuple[Entry, ...] = (entry,)
    else:
        after, entries = decision.begun(now, key=None, reference=payment.reference)
        entries = (*entries[:-1], attrs.evolve(entries[-1], event="failed", payment=payment))
    yield from save(lifecycle, "failed", before.version, after, entries, stored.attempt, (), now, payment.reference)
    return Applied(after, entries, payment)
