"""Money that goes back: on record before it is asked for, and until the gateway has taken it on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import attrs

from subscription_lifecycle.engine.effects import Flow, GiveBack, Now, ReadHistory
from subscription_lifecycle.engine.writing import loaded, not_before, record, save
from subscription_lifecycle.errors import ConcurrentChange, NotPossible
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.actor import SYSTEM
from subscription_lifecycle.model.charge import RefundDue
from subscription_lifecycle.model.command import ConfirmRefund, FailPayment, FailRefund
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
        try:
            subscription, entry = yield from _confirm(lifecycle, subscription, attempt, refund)
        except ConcurrentChange:
            yield from _made_meanwhile(lifecycle, subscription, refund)
            break
        entries.append(entry)
    return subscription, tuple(entries)


def _confirm(
    lifecycle: Lifecycle,
    before: Subscription,
    attempt: Attempt | None,
    refund: RefundDue,
    earlier: tuple[Entry, ...] = (),
    expected: int | None = None,
) -> Flow[tuple[Subscription, Entry]]:
    now = not_before((yield Now()), before)
    left = tuple(other for other in before.refunds if other != refund)
    command = ConfirmRefund(refund.reference)
    after, entry = record(lifecycle, before, "refunded", command, now, {"refunds": left}, None, "confirm refund", None)
    expected = before.version if expected is None else expected
    yield from save(lifecycle, "refunded", expected, after, (*earlier, entry), attempt, (), now, refund.reference)
    return after, entry


def _made_meanwhile(lifecycle: Lifecycle, asked_of: Subscription, refund: RefundDue) -> Flow[None]:
    """Somebody wrote while the gateway was making it. That it was made is on record all the same.

    Where a chargeback was heard of meanwhile, which spared it, it is put back: the customer has the money twice and
    owes it, as if the refund had been heard of first.
    """
    while True:
        stored = yield from loaded(asked_of.id, None)
        before, earlier = stored.subscription, tuple[Entry, ...]()
        if refund not in before.refunds:
            history: Iterable[Entry] = yield ReadHistory(asked_of.id)
            spared = _spared_by([entry for entry in history if entry.version > asked_of.version], refund)
            if spared is None or any(due.reference == refund.reference for due in before.refunds):
                return
            now = not_before((yield Now()), before)
            spared = attrs.evolve(spared, amount=refund.amount)
            before, earlier = _owed_as_well(lifecycle, stored, spared, refund, now)
        try:
            yield from _confirm(lifecycle, before, stored.attempt, refund, earlier, stored.subscription.version)
        except ConcurrentChange:
            continue
        return


def _spared_by(since: Iterable[Entry], refund: RefundDue) -> FailPayment | None:
    """The failure of the payment that took a refund off the record; None: it was confirmed."""
    spared: FailPayment | None = None
    for entry in since:
        if isinstance(entry.command, ConfirmRefund) and entry.command.reference == refund.reference:
            return None
        if isinstance(entry.command, FailPayment) and refund in (entry.changes.get("refunds", ((), ()))[0] or ()):
            spared = entry.command
    return spared


def _owed_as_well(
    lifecycle: Lifecycle, stored: Stored, command: FailPayment, refund: RefundDue, now: datetime
) -> tuple[Subscription, tuple[Entry, ...]]:
    """What the failure did not make owed because it was to go back, by the table's row if there is one."""
    before = stored.subscription
    try:
        decision = lifecycle.decide(before, command, by=SYSTEM, at=now, clock_waits=stored.attempt is not None)
    except NotPossible:
        changes = {"refunds": (*before.refunds, refund)}
        after, entry = record(lifecycle, before, "failed", command, now, changes, None, "fail payment", None)
        return after, (entry,)
    back = decision.after.changed({"refunds": (*decision.after.refunds, refund)})
    after, (*earlier, entry) = decision.changed({"after": back}).begun(now, key=None, reference=refund.reference)
    return after, (*earlier, attrs.evolve(entry, event="failed"))


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
