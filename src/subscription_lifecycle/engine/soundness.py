"""What can be told of one subscription from its entries alone, whatever its lifecycle: the record, and its money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from subscription_lifecycle.engine.payments import booked
from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.command import FailRefund, SettlePayment
from subscription_lifecycle.model.entry import Entry, fold
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.ports import Stored


def broken_laws(lifecycle: Lifecycle, stored: Stored, history: Sequence[Entry]) -> Iterator[str]:
    """One sentence for each law that does not hold of a snapshot and the entries it was made of."""
    yield from _record(lifecycle, stored, history)
    yield from _money(stored, history)


def _record(lifecycle: Lifecycle, stored: Stored, history: Sequence[Entry]) -> Iterator[str]:
    versions = [entry.version for entry in history]
    if versions != list(range(1, stored.subscription.version + 1)):
        yield f"its entries are not versions 1 to {stored.subscription.version}"
        return
    times = [entry.recorded_at for entry in history]
    if times != sorted(times):
        yield "its entries were written in another order than their versions"
    try:
        folded = fold(history)
    except InvalidValue as error:
        yield f"an entry does not follow from the one before it: {error.problem}"
        return
    if folded is None or lifecycle.known(folded) != stored.subscription:
        yield "its entries do not lead to its snapshot"


def _money(stored: Stored, history: Sequence[Entry]) -> Iterator[str]:
    """What came paid for lines or goes back, and credit grows by charges; what a bank took back is another story."""
    used, asked = Counter[str](), Counter[str]()
    failed = {entry.payment.reference for entry in history if entry.event == "failed" and entry.payment}
    for entry in history:
        _note(entry, used, asked)
        charge = entry.charge
        settles = isinstance(entry.command, SettlePayment)
        if entry.event == "applied" and charge is not None and entry.version > 1 and not settles:
            grown = _credit_grown(entry)
            if grown != _minor(charge.credits) - _minor(charge.credit_used):
                yield f"{entry.id}: credit changed by {grown} minor units, and its charge says otherwise"
    for payment in booked(stored, history):
        reference = payment.reference
        if payment.standing != "captured" or reference in failed:
            continue
        if not 0 <= payment.captured.minor - used[reference] <= asked[reference]:
            yield f"{reference} took {payment.captured}, for {used[reference]} minor units of lines and refunds"
        if asked[reference] > payment.captured.minor:
            yield f"{reference} took {payment.captured}, and {asked[reference]} minor units are to go back"


def _note(entry: Entry, used: Counter[str], asked: Counter[str]) -> None:
    payment = entry.payment
    if payment is not None and entry.event == "applied" and entry.charge is not None:
        used[payment.reference] += entry.charge.due(payment.amount.currency).minor + _minor(entry.charge.received)
    before, after = entry.changes.get("refunds", ((), ()))
    if not isinstance(entry.command, FailRefund):
        for due in after:
            asked[due.reference] += 0 if due in (before or ()) else due.amount.minor


def _credit_grown(entry: Entry) -> int:
    before, after = entry.changes.get("credit", (None, None))
    return _minor(after) - _minor(before)


def _minor(money: Money | None) -> int:
    return 0 if money is None else money.minor
