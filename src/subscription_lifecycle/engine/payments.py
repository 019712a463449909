"""What the entries say of each payment: what came, what went back, and how it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import attrs

from subscription_lifecycle.engine.disputes import heard, standing_against
from subscription_lifecycle.model.charge import RefundDue
from subscription_lifecycle.model.command import ConfirmRefund, FailRefund
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.ports import Stored

Standing = Literal["open", "submitted", "captured", "charged_back", "declined"]


@attrs.frozen(kw_only=True)
class Booked:
    """One payment as the entries have it.

    `captured` is what came, whatever became of it since; `refunded` went back, `refunding` is on record to go back,
    since that instant. `disputes` are what was heard, with the gateway's ids: each chargeback and each end of one is
    heard once. `told_at`: when it was last heard of.
    """

    reference: str
    subscription: str
    standing: Standing
    asked: Money
    captured: Money
    refunded: Money
    refunding: Money
    refunding_since: datetime | None
    disputes: frozenset[tuple[str | None, str | None]]
    told_at: datetime


@attrs.define
class _GoingBack:
    refunded: list[Money] = attrs.field(factory=list)
    told_at: datetime | None = None


def booked(stored: Stored, history: Iterable[Entry]) -> tuple[Booked, ...]:
    """Every payment of a subscription, in the order in which they were first asked for."""
    told: dict[str, list[Entry]] = {}
    going: dict[str, _GoingBack] = {}
    for entry in history:
        if entry.payment is not None:
            told.setdefault(entry.payment.reference, []).append(entry)
        if "refunds" in entry.changes:
            _note_refunds(entry, going)
    return tuple(_booked(stored, entries, going.get(reference, _GoingBack())) for reference, entries in told.items())


def _note_refunds(entry: Entry, going: dict[str, _GoingBack]) -> None:
    before: Sequence[RefundDue] | None
    before, after = entry.changes["refunds"]
    new = [due for due in after if due not in (before or ())]
    gone = [due for due in before or () if due not in after]
    for due in (*new, *gone):
        found = going.setdefault(due.reference, _GoingBack())
        found.told_at = entry.recorded_at
        if isinstance(entry.command, ConfirmRefund) and due in gone:
            found.refunded.append(due.amount)
        if isinstance(entry.command, FailRefund) and due in new:
            found.refunded.append(-due.amount)


def _booked(stored: Stored, told: Sequence[Entry], going: _GoingBack) -> Booked:
    payment = told[-1].payment
    assert payment is not None
    standing = _standing(stored, told)
    zero = Money.zero(payment.amount.currency)
    came = standing in ("captured", "charged_back") or payment.status == "mismatched"
    captured = (payment.captured or payment.amount) if came else zero
    pending = [due.amount for due in stored.subscription.refunds if due.reference == payment.reference]
    nothing_back = Money.zero(captured.currency)
    return Booked(
        reference=payment.reference,
        subscription=stored.subscription.id,
        standing=standing,
        asked=payment.amount,
        captured=captured,
        refunded=_total(going.refunded, nothing_back),
        refunding=_total(pending, nothing_back),
        refunding_since=going.told_at if pending else None,
        disputes=frozenset(heard(told)),
        told_at=max(told[-1].recorded_at, going.told_at or told[-1].recorded_at),
    )


def _total(amounts: Sequence[Money], zero: Money) -> Money:
    return sum(amounts[1:], amounts[0]) if amounts else zero


def _standing(stored: Stored, told: Sequence[Entry]) -> Standing:
    last, attempt = told[-1].payment, stored.attempt
    assert last is not None
    if attempt is not None and attempt.reference == last.reference:
        return "open"
    under_way = any(debit.reference == last.reference for debit in stored.subscription.submitted)
    if under_way or last.status == "submitted":
        return "submitted"
    if last.status in ("captured", "mismatched"):
        return "captured"
    return "charged_back" if standing_against(told) > 0 else "declined"
