"""Money that goes back: on record before it is asked for, and until the gateway has taken it on."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from subscription_lifecycle.engine.effects import Flow, GiveBack, Now
from subscription_lifecycle.engine.writing import not_before, record, save
from subscription_lifecycle.errors import ConcurrentChange
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.charge import RefundDue
from subscription_lifecycle.model.command import ConfirmRefund, FailRefund
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.payment import RefundFailed
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


def failed_refund(
    lifecycle: Lifecycle, stored: Stored, history: Iterable[Entry], reference: str, outcome: RefundFailed
) -> Flow[tuple[Subscription, tuple[Entry, ...]]]:
    """A refund that did not arrive is owed again, once for each that failed."""
    before, made = stored.subscription, list[RefundDue]()
    for entry in history:
        if isinstance(entry.command, FailRefund) and entry.command.gateway_id == outcome.gateway_id:
            return before, ()
        if isinstance(entry.command, ConfirmRefund) and entry.command.reference == reference:
            made += [due for due in entry.changes["refunds"].before if due.reference == reference]
    if not made or any(due.reference == reference for due in before.refunds):
        return before, ()
    now = not_before((yield Now()), before)
    refunds = (*before.refunds, attrs.evolve(made[-1], failed=outcome.code))
    command = FailRefund(reference, outcome.gateway_id, outcome.code)
    after, entry = record(
        lifecycle, before, "refund_failed", command, now, {"refunds": refunds}, None, "fail refund", None
    )
    yield from save(lifecycle, "unrefunded", before.version, after, (entry,), stored.attempt, (), now, reference)
    return after, (entry,)


def was_refunded(history: Iterable[Entry], reference: str) -> bool:
    """Whether money of that payment has gone back, and arrived as far as is known."""
    last: Entry | None = None
    for entry in history:
        if isinstance(entry.command, ConfirmRefund | FailRefund) and entry.command.reference == reference:
            last = entry
    return last is not None and isinstance(last.command, ConfirmRefund)
