"""What the gateway reports of a payment, by our reference: any number of times, in any order, also very late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from subscription_lifecycle.engine.capturing import Result, conclude
from subscription_lifecycle.engine.disputes import (
    CHARGED_BACK,
    REVERSED,
    also_changed,
    heard,
    standing_against,
    told_of,
    what_is_disputed,
)
from subscription_lifecycle.engine.effects import FindPayment, Flow, Now, ReadHistory
from subscription_lifecycle.engine.late import NOTHING, came_late
from subscription_lifecycle.engine.refunds import failed_refund, was_refunded
from subscription_lifecycle.engine.writing import loaded, not_before, record, save
from subscription_lifecycle.errors import NotPossible, PaymentDeclined, UnknownPayment
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment, payment_after
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.charge import without
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
    PaymentStatus,
    RefundFailed,
)
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Attempt, Stored


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
        return (yield from _while_open(lifecycle, stored, attempt, outcome))
    history: Iterable[Entry] = yield ReadHistory(id)
    if isinstance(outcome, RefundFailed):
        return Applied(*(yield from failed_refund(lifecycle, stored, history, reference, outcome)))
    told = told_of(history, reference)
    last = told[-1].payment
    assert last is not None
    now = not_before((yield Now()), stored.subscription)
    of_a_dispute = isinstance(outcome, ChargedBack | ChargebackReversed)
    payment = payment_after(outcome, last if of_a_dispute else attrs.evolve(last, captured=None))
    payment = attrs.evolve(payment, code=_code(outcome))
    under_way = any(debit.reference == reference for debit in stored.subscription.submitted)
    match outcome, "submitted" if under_way else last.status:
        case ChargedBack() | ChargebackReversed(), status:
            return (yield from _disputed(lifecycle, stored, history, told, payment, status, now))
        case Captured(), "declined" if standing_against(told) > 0:
            # Told once more after a chargeback: the customer's bank has that money.
            return Applied(stored.subscription, (), last)
        case Captured(), "submitted" if last.status == "mismatched" and payment.captured in (None, last.captured):
            return Applied(stored.subscription, (), last)
        case Captured(), "submitted":
            return (yield from _confirmed(lifecycle, stored, payment, now))
        case Captured(), "declined" | "unknown" | "processing" | "customer_action":
            return (yield from _came_after_all(lifecycle, stored, history, payment, now))
        case Declined(), "submitted":
            return (yield from _failed(lifecycle, stored, told, payment, now))
        case _:
            # Told before, or overtaken by what ended the payment.
            return Applied(stored.subscription, (), last)


def _while_open(lifecycle: Lifecycle, stored: Stored, attempt: Attempt, outcome: PaymentOutcome) -> Flow[Result]:
    id, reference = stored.subscription.id, attempt.reference
    of_a_dispute = isinstance(outcome, ChargedBack | ChargebackReversed)
    if of_a_dispute and attempt.payment.status == "mismatched":
        history: Iterable[Entry] = yield ReadHistory(id)
        known = heard(told_of(history, reference))
        if known & {(_code(outcome), outcome.gateway_id), (REVERSED, outcome.gateway_id)}:
            return (yield from _still_parked(lifecycle, stored, attempt, outcome, known))
    try:
        result = yield from conclude(lifecycle, attempt, stored.subscription, (), outcome, "declined")
    except PaymentDeclined:
        stored = yield from loaded(id, None)
        result = Applied(stored.subscription, (), payment_after(outcome, attempt.payment))
    if of_a_dispute:
        # Somebody else may have ended it meanwhile, who had not heard of that.
        history = yield ReadHistory(id)
        if (_code(outcome), outcome.gateway_id) not in heard(told_of(history, reference)):
            return (yield from report(lifecycle, reference, outcome))
    return result


def _still_parked(
    lifecycle: Lifecycle,
    stored: Stored,
    attempt: Attempt,
    outcome: PaymentOutcome,
    known: set[tuple[str | None, str | None]],
) -> Flow[Result]:
    """A chargeback that is undone already took no wrong sum away: it waits for an operator."""
    snapshot, entries = stored.subscription, tuple[Entry, ...]()
    code = _code(outcome)
    if (code, outcome.gateway_id) not in known:
        now = not_before((yield Now()), snapshot)
        payment = attrs.evolve(attempt.payment, code=code, gateway_id=outcome.gateway_id)
        noted = yield from _noted(lifecycle, stored, "reversed", payment, now, {})
        snapshot, entries = noted.subscription, noted.entries
    return AwaitingPayment(snapshot, entries, attempt.payment, attempt.decision.reminders, "mismatched")


def _code(outcome: PaymentOutcome) -> str | None:
    match outcome:
        case ChargedBack():
            return CHARGED_BACK
        case ChargebackReversed():
            return REVERSED
        case _:
            return getattr(outcome, "code", None)


def _disputed(
    lifecycle: Lifecycle,
    stored: Stored,
    history: Iterable[Entry],
    told: list[Entry],
    payment: Payment,
    status: PaymentStatus,
    now: datetime,
) -> Flow[Result]:
    """The customer's bank took the money, or gave it back: each once, also where the second is heard of first.

    With several disputes of one payment the bank has the money until all of them are undone.
    """
    last, against = told[-1].payment, standing_against(told)
    assert last is not None
    if (payment.code, payment.gateway_id) in heard(told):
        return Applied(stored.subscription, (), last)
    also = what_is_disputed(stored.subscription, history, payment)
    if payment.code == CHARGED_BACK and against == 0 and status in ("captured", "submitted"):
        return (yield from _failed(lifecycle, stored, told, attrs.evolve(payment, status="declined"), now, also))
    here = attrs.evolve(payment, status="captured", at=now)
    if payment.code == REVERSED and against == 1:
        return (yield from _came_back(lifecycle, stored, history, told, here, now, also))
    if payment.code == REVERSED and against <= 0 and status == "submitted" and last.status != "mismatched":
        return (yield from _confirmed(lifecycle, stored, here, now, also))
    if payment.code == REVERSED and against <= 0 and status not in ("captured", "submitted", "mismatched"):
        return (yield from _came_after_all(lifecycle, stored, history, here, now, also=also))
    return (yield from _noted(lifecycle, stored, "reversed", attrs.evolve(payment, status=last.status), now, also))


def _came_back(
    lifecycle: Lifecycle,
    stored: Stored,
    history: Iterable[Entry],
    told: list[Entry],
    here: Payment,
    now: datetime,
    also: Mapping[str, Any],
) -> Flow[Result]:
    amount = _cost_the_customer(told, here)
    if amount:
        return (yield from _came_after_all(lifecycle, stored, history, here, now, amount, also))
    return (yield from _noted(lifecycle, stored, "reversed", here, now, also))


def _came_after_all(
    lifecycle: Lifecycle,
    stored: Stored,
    history: Iterable[Entry],
    here: Payment,
    now: datetime,
    amount: Money | None = None,
    also: Mapping[str, Any] = NOTHING,
) -> Flow[Applied]:
    under_way = any(due.reference == here.reference for due in stored.subscription.refunds)
    refundable = not under_way and not was_refunded(history, here.reference)
    late = came_late(lifecycle, stored, here, now, amount=amount, refundable=refundable, also=also)
    return Applied(*(yield from late), here)


def _code_of(entry: Entry) -> str | None:
    return None if entry.payment is None else entry.payment.code


def _cost_the_customer(told: list[Entry], payment: Payment) -> Money:
    """What the chargeback made the customer owe, or kept from them; the rest of it was the seller's own loss."""
    failed = [entry for entry in told if entry.event == "failed" and _code_of(entry) == CHARGED_BACK]
    if not failed:
        return payment.captured or payment.amount
    arrears, refunds = (failed[-1].changes.get(name, ((), ())) for name in ("arrears", "refunds"))
    made = [debt.amount for debt in without(arrears[1], arrears[0])]
    spared = [due.amount for due in refunds[0] if due not in refunds[1]]
    return sum([*made, *spared], Money.zero(payment.amount.currency))


def _confirmed(
    lifecycle: Lifecycle, stored: Stored, payment: Payment, now: datetime, also: Mapping[str, Any] = NOTHING
) -> Flow[Result]:
    """A submitted debit has arrived: what it paid for stands already."""
    if payment.captured is not None:
        # Never taken for the right one: it stays under way until an operator has said what became of it.
        parked = attrs.evolve(payment, status="mismatched")
        return (yield from _noted(lifecycle, stored, "mismatched", parked, now, also))
    changes = {**_no_longer_submitted(stored, payment), **also}
    return (yield from _noted(lifecycle, stored, "settled", payment, now, changes))


def _no_longer_submitted(stored: Stored, payment: Payment) -> dict[str, Any]:
    submitted = stored.subscription.submitted
    return {"submitted": tuple(debit for debit in submitted if debit.reference != payment.reference)}


def _noted(
    lifecycle: Lifecycle, stored: Stored, event: Event, payment: Payment, now: datetime, changes: Mapping[str, Any]
) -> Flow[Applied]:
    """It is on record, and leads to nothing by itself."""
    command = SettlePayment(payment.reference, payment.amount)
    after, entry = record(lifecycle, stored.subscription, event, command, now, changes, payment, "settle payment", None)
    yield from save(
        lifecycle, event, stored.subscription.version, after, (entry,), stored.attempt, (), now, payment.reference
    )
    return Applied(after, (entry,), payment)


def _failed(
    lifecycle: Lifecycle,
    stored: Stored,
    told: list[Entry],
    payment: Payment,
    now: datetime,
    also: Mapping[str, Any] = NOTHING,
) -> Flow[Result]:
    """Money that was counted on is not there: what it paid for is owed, by the table's row for it."""
    before = stored.subscription
    paid = [entry.charge.lines for entry in told if entry.charge is not None and entry.event == "applied"]
    disables = payment.code == CHARGED_BACK and lifecycle.policy_of(before).chargeback == "disable"
    command = FailPayment(payment.reference, payment.amount, paid[-1] if paid else (), disables)
    owing = _owing(lifecycle, stored, command, payment, now)
    entries: tuple[Entry, ...]
    if owing is None:
        left = _no_longer_submitted(stored, payment)
        left["refunds"] = tuple(due for due in before.refunds if due.reference != payment.reference)
        left |= also
        after, entry = record(lifecycle, before, "failed", command, now, left, payment, "fail payment", None)
        entries = (entry,)
    else:
        after, (*earlier, entry) = owing
        after, entry = also_changed(after, entry, also)
        entries = (*earlier, entry)
    yield from save(lifecycle, "failed", before.version, after, entries, stored.attempt, (), now, payment.reference)
    return Applied(after, entries, payment)


def _owing(
    lifecycle: Lifecycle, stored: Stored, command: FailPayment, payment: Payment, now: datetime
) -> tuple[Subscription, tuple[Entry, ...]] | None:
    """None where nothing is owed for it: there is no row, it paid for nothing, or all of it was on its way back."""
    before, waits = stored.subscription, stored.attempt is not None
    going_back = [due.amount.minor for due in before.refunds if due.reference == payment.reference]
    if sum(going_back) >= payment.amount.minor:
        return None
    try:
        # What falls due waits for a payment that is open: it may be for the same period.
        decision = lifecycle.decide(before, command, by=SYSTEM, at=now, clock_waits=waits)
    except NotPossible:
        return None
    if not without(decision.after.arrears, decision.before.arrears):
        return None
    after, (*earlier, entry) = decision.begun(now, key=None, reference=payment.reference)
    return after, (*earlier, attrs.evolve(entry, event="failed", payment=payment))
