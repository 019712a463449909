"""Money that goes back: on record before it is asked for, and until the gateway has taken it on."""

from __future__ import annotations

from datetime import datetime

from subscription_lifecycle.engine.effects import Flow, GiveBack, Now
from subscription_lifecycle.engine.writing import not_before, record, save
from subscription_lifecycle.errors import ConcurrentChange
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.charge import RefundDue
from subscription_lifecycle.model.command import ConfirmRefund, SettlePayment
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.payment import Payment
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Attempt, Stored


def give_back(
    lifecycle: Lifecycle, subscription: Subscription, attempt: Attempt | None = None
) -> Flow[tuple[Subscription, tuple[Entry, ...]]]:
    """Every refund that is on record and not confirmed: asked for, and recorded when the gateway has taken it on.

    One that fails stays on record and is asked for again by the next sweep. A payment that is open stays so.
    """
    entries: list[Entry] = []
    for refund in subscription.refunds:
        try:
            yield GiveBack(refund.reference, refund.amount)
        except Exception:
            continue
        now = not_before((yield Now()), subscription)
        left = tuple(other for other in subscription.refunds if other != refund)
        command = ConfirmRefund(refund.reference)
        after, entry = record(
            lifecycle, subscription, "refunded", command, now, {"refunds": left}, None, "confirm refund", None
        )
        try:
            yield from save(
                lifecycle, "refunded", subscription.version, after, (entry,), attempt, (), now, refund.reference
            )
        except ConcurrentChange:
            break
        subscription = after
        entries.append(entry)
    return subscription, tuple(entries)


def came_late(
    lifecycle: Lifecycle, stored: Stored, payment: Payment, now: datetime
) -> Flow[tuple[Subscription, tuple[Entry, ...]]]:
    """Money that nobody waits for any more goes back; it is never kept silently."""
    refunds = (*stored.subscription.refunds, RefundDue(payment.reference, payment.amount, "came late"))
    command = SettlePayment(payment.reference)
    after, entry = record(
        lifecycle, stored.subscription, "late", command, now, {"refunds": refunds}, payment, "settle payment", None
    )
    yield from save(
        lifecycle, "late", stored.subscription.version, after, (entry,), stored.attempt, (), now, payment.reference
    )
    after, refunded = yield from give_back(lifecycle, after, stored.attempt)
    return after, (entry, *refunded)
