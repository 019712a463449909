"""Verbs that sell days, deliver them and move them."""

from __future__ import annotations

from datetime import date, timedelta

import attrs

from subscription_lifecycle.model.account.account import NO_PAYMENT, OWED, AccountName, Lot
from subscription_lifecycle.model.account.draft import Draft
from subscription_lifecycle.model.account.invoices import close_invoices


def sell(
    draft: Draft,
    bill: str,
    start: date,
    end: date,
    amount: int,
    item: str = "plan",
    gift: int = 0,
    again: bool = False,
) -> None:
    """Days, for a price. What is sold is owed until something pays for it; a coupon's part is a gift."""
    id = bill
    while id in draft.lots:
        id += "+"
    draft.set_lot(id, Lot(id, bill, item, start, end, amount, again=again))
    draft.move(AccountName("receivable", bill), AccountName("service", id, "due"), amount)
    draft.move(AccountName("gift"), AccountName("service", id, "gift"), gift)


def forget_returned(draft: Draft, until: date | None = None) -> None:
    """Days that went back cannot be bought again any more: all of them, or those that were over on a day."""
    for lot in [each for each in draft.lots.values() if each.returned and (until is None or each.end <= until)]:
        draft.set_lot(lot.id, None)


def shift(draft: Draft, since: date, days: int) -> None:
    """Days from `since` on move, by so many; no money does."""
    by = timedelta(days=days)
    for lot in list(draft.days(since, date.max)):
        draft.set_lot(lot.id, attrs.evolve(lot, start=lot.start + by, end=lot.end + by))


def serve(draft: Draft, until: date) -> None:
    """What was delivered up to a day is earned, and lots and payments that nothing is left to do with are closed."""
    ends: dict[str, date] = {}
    for lot in draft.lots.values():
        if not lot.returned:
            ends[lot.bill] = max(lot.end, ends.get(lot.bill, lot.end))
    over = [lot for lot in draft.live() if ends[lot.bill] <= until]
    for lot in over:
        for name, amount in draft.of_kind("service", lot.id):
            if name.by != "due" and not draft.has("transit", name.by):
                draft.move(name, AccountName("earned"), amount)
        owed = any(draft.has(kind, lot.bill) for kind in OWED)
        if not owed and not draft.of_kind("service", lot.id):
            draft.set_lot(lot.id, None)
            draft.covered = lot.end if draft.covered is None else max(draft.covered, lot.end)
    forget_returned(draft, until)
    close_invoices(draft)
    if draft.of_kind("gateway"):
        _close_payments(draft)


def _close_payments(draft: Draft) -> None:
    busy = {
        name.by if name.kind == "service" else name.of
        for name, amount in draft.balances.items()
        if amount
        and (
            (name.kind == "service" and name.by not in NO_PAYMENT)
            or name.kind in ("refund_due", "taken", "untaken", "parked", "transit", "lost")
        )
    }
    for name, amount in draft.of_kind("gateway"):
        if name.of not in busy:
            cash = AccountName("cash", "", name.by)
            draft.move(cash, name, amount)
            draft.move(AccountName("refunded", name.of, name.by), cash, draft.has("refunded", name.of, name.by))
            draft.notes.pop(name.of, None)


def reopen(draft: Draft, payment: str, captured: int, refunded: int = 0, many: bool = False) -> None:
    """A payment that nothing was left to do with is heard of again; the history knows how it stood."""
    cash = AccountName("cash")
    captured = min(captured, refunded + draft.has(*cash))
    if captured and not draft.came(payment):
        draft.move(cash, AccountName("refunded", payment), refunded)
        draft.move(AccountName("gateway", payment), cash, captured)
        if many:
            draft.set_note(payment, attrs.evolve(draft.note(payment), many=True))
