"""Money that nobody waits for any more, or that came back: it pays what is owed, and what pays nothing goes back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from subscription_lifecycle.engine.disputes import also_changed
from subscription_lifecycle.engine.effects import Flow
from subscription_lifecycle.engine.refunds import give_back
from subscription_lifecycle.engine.writing import record, save
from subscription_lifecycle.errors import Refused
from subscription_lifecycle.machine.decision import Decision
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.charge import RefundDue
from subscription_lifecycle.model.command import SettlePayment
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import Payment
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Stored

NOTHING: Mapping[str, Any] = frozen_mapping({})


def came_late(
    lifecycle: Lifecycle,
    stored: Stored,
    payment: Payment,
    now: datetime,
    *,
    amount: Money | None = None,
    refundable: bool = True,
    also: Mapping[str, Any] = NOTHING,
) -> Flow[tuple[Subscription, tuple[Entry, ...]]]:
    """It is never kept silently: whole debts are paid, oldest first, by the table's row for it; the rest goes back.

    While another payment is open, which may be for the same debts, all of it goes back. `amount` is the part that is
    the customer's, if not all; gateways know one refund of a payment: what is not `refundable` becomes credit. `also`
    is what else changes.
    """
    before, amount = stored.subscription, amount or payment.captured or payment.amount
    command = SettlePayment(payment.reference, amount, refundable=refundable)
    decision = _decided(lifecycle, before, command, amount, now) if stored.attempt is None else None
    if decision is None:
        changes: dict[str, Any] = {"refunds": (*before.refunds, RefundDue(payment.reference, amount, "came late"))}
        if not refundable:
            changes = {"credit": amount if before.credit is None else before.credit + amount}
        changes |= also
        after, entry = record(lifecycle, before, "late", command, now, changes, payment, "settle payment", None)
        entries: tuple[Entry, ...] = (entry,)
    else:
        # Where a rest goes back now, what a cancellation gives back later becomes credit.
        whole = refundable and decision.charge.total(before.currency) == amount
        paid = tuple(attrs.evolve(settlement, refundable=whole) for settlement in decision.settlements)
        after, entries = (
            decision.changed({"settlements": paid})
            .settled(payment.reference)
            .begun(now, key=None, reference=payment.reference)
        )
        after, entry = also_changed(after, entries[-1], also)
        entries = (*entries[:-1], attrs.evolve(entry, payment=payment))
    yield from save(lifecycle, "late", before.version, after, entries, stored.attempt, (), now, payment.reference)
    after, refunded = yield from give_back(lifecycle, after, stored.attempt)
    return after, (*entries, *refunded)


def _decided(
    lifecycle: Lifecycle, before: Subscription, command: SettlePayment, amount: Money, now: datetime
) -> Decision | None:
    """What paying debts with it leads to. None: it pays none."""
    owed = lifecycle.at(before, now).owed
    enough = amount.currency == owed.currency and amount >= owed
    for restores in (True, False) if enough else (False,):
        try:
            decision = lifecycle.decide(before, attrs.evolve(command, restores=restores), by=SYSTEM, at=now)
        except Refused:
            continue
        if decision.charge.lines:
            return decision
    return None
