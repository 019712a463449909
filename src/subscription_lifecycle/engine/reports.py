"""What the gateway reports of a payment, by our reference: any number of times, in any order, also very late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import attrs

from subscription_lifecycle.engine.capturing import CHARGED_BACK, Result, conclude
from subscription_lifecycle.engine.effects import FindPayment, Flow, Now, ReadHistory
from subscription_lifecycle.engine.late import came_late
from subscription_lifecycle.engine.refunds import failed_refund, was_refunded
from subscription_lifecycle.engine.writing import loaded, not_before, record, save
from subscription_lifecycle.errors import NotPossible, PaymentDeclined, UnknownPayment
from subscription_lifecycle.machine.decision import Applied, payment_after
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.command import FailPayment, SettlePayment
from subscription_lifecycle.model.entry import Entry, Event
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    Captured,
    ChargebackReversed,
    ChargedBack,
    Declined,
    Payment,
    PaymentOutcome,
    RefundFailed,
)
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Stored

REVERSED = "chargeback_reversed"


def report(lifecycle: Lifecycle, reference: str, outcome: PaymentOutcome) -> Flow[Result]:
    """What it leads to: the end of an open payment, a debt where money failed after all, a refund where it came late.

    What was reported before changes nothing. Raises UnknownPayment for a reference that was never asked for here.
    """
    id = yield FindPayment(reference)
    if id is None:
        raise UnknownPayment(reference)
    stored = yield from loaded(id, None)
    attempt = stored.attempt
    if attempt is not None and attempt.reference == reference and not isinstance(outcome, RefundFailed):
        try:
            return (yield from conclude(lifecycle, attempt, stored.subscription, (), outcome, "declined"))
        except PaymentDeclined:
            stored = yield from loaded(id, None)
            return Applied(stored.subscription, (), payment_after(outcome, attempt.payment))
    history: Iterable[Entry] = yield ReadHistory(id)
    if isinstance(outcome, RefundFailed):
        return Applied(*(yield from failed_refund(lifecycle, stored, history, reference, outcome)))
    told = [entry for entry in history if entry.payment is not None and entry.payment.reference == reference]
    last = told[-1].payment
    assert last is not None
    now = not_before((yield Now()), stored.subscription)
    disputed = isinstance(outcome, ChargedBack | ChargebackReversed)
    payment = payment_after(outcome, last if disputed else attrs.evolve(last, captured=None))
    payment = attrs.evolve(payment, code=_code(outcome))
    under_way = any(debit.reference == reference for debit in stored.subscription.submitted)
    match outcome, "submitted" if under_way else last.status:
        case ChargedBack() | ChargebackReversed(), _:
            return (yield from _disputed(lifecycle, stored, history, told, payment, now))
        case Captured(), "declined" if any(_paid(entry) for entry in told):
            # Told once more after a chargeback: the customer's bank has that money.
            return Applied(stored.subscription, (), last)
        case Captured(), "submitted" if last.status == "mismatched" and payment.captured in (None, last.captured):
            return Applied(stored.subscription, (), last)
        case Captured(), "submitted":
            return (yield from _confirmed(lifecycle, stored, payment, now))
        case Captured(), "declined" | "unknown" | "processing" | "customer_action":
            return Applied(*(yield from came_late(lifecycle, stored, payment, now)), payment)
        case Declined(), "submitted":
            return (yield from _failed(lifecycle, stored, told, payment, now))
        case _:
            # Told before, or overtaken by what ended the payment.
            return Applied(stored.subscription, (), last)


def _code(outcome: PaymentOutcome) -> str | None:
    match outcome:
        case ChargedBack():
            return CHARGED_BACK
        case ChargebackReversed():
            return REVERSED
        case _:
            return getattr(outcome, "code", None)


def _paid(entry: Entry) -> bool:
    return entry.payment is not None and entry.payment.status in ("captured", "submitted")


def _disputed(
    lifecycle: Lifecycle,
    stored: Stored,
    history: Iterable[Entry],
    told: list[Entry],
    payment: Payment,
    now: datetime,
) -> Flow[Result]:
    """The customer's bank took the money, or gave it back: each once, also where the second is heard of first."""
    known = [entry.payment for entry in told if entry.payment is not None]
    if any((other.code, other.gateway_id) == (payment.code, payment.gateway_id) for other in known):
        return Applied(stored.subscription, (), known[-1])
    taken, returned = (sum(other.code == code for other in known) for code in (CHARGED_BACK, REVERSED))
    if payment.code == CHARGED_BACK and taken >= returned and any(_paid(entry) for entry in told):
        return (yield from _failed(lifecycle, stored, told, attrs.evolve(payment, status="declined"), now))
    if payment.code == REVERSED and taken > returned:
        here = attrs.evolve(payment, status="captured", at=now)
        lost = [entry for entry in told if entry.payment is not None and entry.payment.code == CHARGED_BACK]
        amount = _cost_the_customer(lost[-1], payment)
        if amount:
            under_way = any(due.reference == payment.reference for due in stored.subscription.refunds)
            refundable = not under_way and not was_refunded(history, payment.reference)
            late = came_late(lifecycle, stored, here, now, amount=amount, refundable=refundable)
            return Applied(*(yield from late), here)
        return (yield from _noted(lifecycle, stored, "reversed", here, now, {}))
    return (yield from _noted(lifecycle, stored, "reversed", attrs.evolve(payment, status=known[-1].status), now, {}))


def _cost_the_customer(lost: Entry, payment: Payment) -> Money:
    """What a chargeback made the customer owe, or kept from them; the rest of it was the seller's own loss."""
    if lost.event != "failed":
        return payment.captured or payment.amount
    arrears, refunds = (lost.changes.get(name, ((), ())) for name in ("arrears", "refunds"))
    made = [debt.amount for debt in arrears[1] if debt not in arrears[0]]
    spared = [due.amount for due in refunds[0] if due not in refunds[1]]
    return sum([*made, *spared], Money.zero(payment.amount.currency))


def _confirmed(lifecycle: Lifecycle, stored: Stored, payment: Payment, now: datetime) -> Flow[Result]:
    """A submitted debit has arrived: what it paid for stands already."""
    if payment.captured is not None:
        # Never taken for the right one: it stays under way until an operator has said what became of it.
        parked = attrs.evolve(payment, status="mismatched")
        return (yield from _noted(lifecycle, stored, "mismatched", parked, now, {}))
    return (yield from _noted(lifecycle, stored, "settled", payment, now, _no_longer_submitted(stored, payment)))


def _no_longer_submitted(stored: Stored, payment: Payment) -> dict[str, Any]:
    submitted = stored.subscription.submitted
    return {"submitted": tuple(debit for debit in submitted if debit.reference != payment.reference)}


def _noted(
    lifecycle: Lifecycle, stored: Stored, event: Event, payment: Payment, now: datetime, changes: dict[str, Any]
) -> Flow[Result]:
    """It is on record, and leads to nothing by itself."""
    command = SettlePayment(payment.reference, payment.amount)
    after, entry = record(lifecycle, stored.subscription, event, command, now, changes, payment, "settle payment", None)
    yield from save(
        lifecycle, event, stored.subscription.version, after, (entry,), stored.attempt, (), now, payment.reference
    )
    return Applied(after, (entry,), payment)


def _failed(lifecycle: Lifecycle, stored: Stored, told: list[Entry], payment: Payment, now: datetime) -> Flow[Result]:
    """Money that was counted on is not there: what it paid for is owed, by the table's row for it."""
    before = stored.subscription
    paid = [entry.charge.lines for entry in told if entry.charge is not None and entry.event == "applied"]
    disables = payment.code == CHARGED_BACK and lifecycle.policy_of(before).chargeback == "disable"
    command = FailPayment(payment.reference, payment.amount, paid[-1] if paid else (), disables)
    owing = _owing(lifecycle, before, command, payment, now)
    entries: tuple[Entry, ...]
    if owing is None:
        left = _no_longer_submitted(stored, payment)
        left["refunds"] = tuple(due for due in before.refunds if due.reference != payment.reference)
        after, entry = record(lifecycle, before, "failed", command, now, left, payment, "fail payment", None)
        entries = (entry,)
    else:
        after, entries = owing
    yield from save(lifecycle, "failed", before.version, after, entries, stored.attempt, (), now, payment.reference)
    return Applied(after, entries, payment)


def _owing(
    lifecycle: Lifecycle, before: Subscription, command: FailPayment, payment: Payment, now: datetime
) -> tuple[Subscription, tuple[Entry, ...]] | None:
    """None where nothing is owed for it: there is no row, or all of it was on its way back to the customer."""
    going_back = [due.amount.minor for due in before.refunds if due.reference == payment.reference]
    if sum(going_back) >= payment.amount.minor:
        return None
    try:
        decision = lifecycle.decide(before, command, by=SYSTEM, at=now)
    except NotPossible:
        return None
    after, (*earlier, entry) = decision.begun(now, key=None, reference=payment.reference)
    return after, (*earlier, attrs.evolve(entry, event="failed", payment=payment))
