"""The gateway's ledger held against the entries, payment by payment, both ways round. It writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from subscription_lifecycle.engine.differing import Difference, There, differing
from subscription_lifecycle.engine.effects import (
    FindPayers,
    FindPayment,
    FindSubscriptions,
    Flow,
    Load,
    LookUp,
    Now,
    ReadHistory,
    ReadLedger,
)
from subscription_lifecycle.engine.payments import Booked, booked
from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import Captured, PaymentOutcome
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import LedgerLine, Stored

__all__ = ["Reconciliation", "Totals", "reconcile"]

PAGE = 500


@attrs.frozen(kw_only=True)
class Totals:
    """Sums of one currency over the payments that were compared, as the gateway has them and as the entries do.

    `captured` is all that came, also where it went back since. Refunds count where the gateway lists the payment.
    """

    captured_there: Money
    captured_here: Money
    refunded_there: Money
    refunded_here: Money


@attrs.frozen(kw_only=True)
class Reconciliation:
    """What came of holding the gateway's ledger since an instant (UTC) against the entries.

    `lines` of the ledger were read and `payments` compared; `moving` counts those that changed while this ran, and are
    compared the next time. `totals` are by currency. `ok`: there is no difference.
    """

    since: datetime
    at: datetime
    lines: int
    payments: int
    moving: int
    totals: Mapping[str, Totals] = attrs.field(hash=False)
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        """A short report, a line for each currency and each difference."""
        heading = f"{self.payments} payments since {self.since:%Y-%m-%d %H:%M} UTC: {len(self.differences)} differences"
        sums = (
            f"captured {one.captured_there} there, {one.captured_here} here; "
            f"refunded {one.refunded_there} there, {one.refunded_here} here"
            for one in self.totals.values()
        )
        return "\n".join([heading, *sums, *map(str, self.differences)])


def reconcile(since: datetime, pending: timedelta) -> Flow[Reconciliation]:
    """The ledger is read first: what stands in it was on record before it was asked for."""
    since = validation.instant("since", since)
    validation.span("refund_pending", pending)
    began: datetime = yield Now()
    if since > began:
        raise InvalidValue("since", f"{since.isoformat()} is yet to come", "Pass an instant in the past.")
    lines: dict[str, list[LedgerLine]] = {}
    for line in (yield ReadLedger(since)):
        lines.setdefault(line.reference, []).append(line)
    differences, sums, payments, moving = list[Difference | None](), _Sums(), 0, 0
    listed: dict[str, None] = {}
    for reference, found in lines.items():
        id = yield FindPayment(reference)
        if id is None:
            there = _there(reference, found)
            sums.add(there, None)
            differences.append(differing(there, None, began, pending))
        else:
            listed[id] = None
    for id in sorted({*listed, *(yield from _payers(since))}):
        for here in (yield from _payments_of(id)):
            found = lines.get(here.reference, [])
            if not found and here.told_at < since:
                continue
            if here.told_at > began:
                moving += 1
                continue
            payments += 1
            there = _there(here.reference, found) if found else (yield from _asked_for(here))
            sums.add(there, here)
            differences.append(differing(there, here, began, pending))
    return Reconciliation(
        since=since,
        at=began,
        lines=sum(map(len, lines.values())),
        payments=payments,
        moving=moving,
        totals=sums.totals(),
        differences=tuple(found for found in differences if found is not None),
    )


def _payers(since: datetime) -> Flow[Sequence[str]]:
    """Whoever has a payment of which something was written since; where no index knows, every snapshot is read."""
    known: Iterable[str] | None = yield FindPayers(since)
    if known is not None:
        return tuple(known)
    ids, after = list[str](), None
    while True:
        answered: Iterable[Subscription] = yield FindSubscriptions(None, None, after, PAGE)
        page = tuple(answered)
        ids += [found.id for found in page if found.recorded_at is None or found.recorded_at >= since]
        if len(page) < PAGE:
            return ids
        after = page[-1].id


def _payments_of(id: str) -> Flow[tuple[Booked, ...]]:
    stored: Stored | None = yield Load(id, None)
    history: Iterable[Entry] = yield ReadHistory(id)
    if stored is None:
        return ()
    # What was written between the two readings belongs to a later snapshot.
    return booked(stored, [entry for entry in history if entry.version <= stored.subscription.version])


def _asked_for(here: Booked) -> Flow[There]:
    """The gateway does not list it: it was made before, or it is not there. Its own word decides."""
    outcome: PaymentOutcome | None = yield LookUp(here.reference)
    captured = None
    if isinstance(outcome, Captured):
        captured = outcome.amount or here.asked
    return There(here.reference, outcome, captured, None)


def _there(reference: str, lines: Sequence[LedgerLine]) -> There:
    """One payment; where several go by its reference, those that hold money, else those that ever did."""
    holding = [line for line in lines if line.captured and line.captured != line.refunded]
    told = holding or [line for line in lines if line.captured] or lines
    line = max(told, key=lambda line: line.at)
    ids = tuple(one.gateway_id for one in holding)
    if len(holding) > 1:
        return There(reference, line.outcome, _total(one.captured for one in holding), None, ids)
    return There(reference, line.outcome, line.captured, line.refunded, ids)


def _total(amounts: Iterable[Money]) -> Money:
    first, *rest = amounts
    return sum((money for money in rest if money.currency == first.currency), first)


class _Sums:
    """By currency: captured there and here, refunded there and here, in minor units."""

    def __init__(self) -> None:
        self._found: dict[str, list[int]] = {}

    def add(self, there: There, here: Booked | None) -> None:
        booked = (None, None) if here is None else (here.captured, here.refunded)
        listed = there.refunded is not None
        amounts = (there.captured, booked[0], there.refunded, booked[1] if listed else None)
        for column, money in enumerate(amounts):
            if money is not None and money:
                self._found.setdefault(money.currency, [0, 0, 0, 0])[column] += money.minor

    def totals(self) -> Mapping[str, Totals]:
        return {currency: _totals(currency, sums) for currency, sums in sorted(self._found.items())}


def _totals(currency: str, sums: Sequence[int]) -> Totals:
    captured_there, captured_here, refunded_there, refunded_here = _money(currency, sums)
    return Totals(
        captured_there=captured_there,
        captured_here=captured_here,
        refunded_there=refunded_there,
        refunded_here=refunded_here,
    )


def _money(currency: str, sums: Sequence[int]) -> Iterator[Money]:
    return (Money(minor, currency) for minor in sums)
