"""Verbs that give up or give back: days that will not be served, debts that are let go of, favours."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import attrs

from subscription_lifecycle.model.account.account import NEVER_PAID_BACK, NO_PAYMENT, OWED, AccountName
from subscription_lifecycle.model.account.draft import Draft

ALL = 10**18


def give_back(
    draft: Draft,
    since: date,
    until: date = date.max,
    to: str = "payment",
    whole: bool = False,
    unpaid: str = "waived",
    buyable: bool = False,
    items: Iterable[str] | None = None,
    reason: str = "days were given back",
) -> None:
    """Days that will not be served: who paid for them gets that back, and who has not owes it no more.

    `to`: "payment" (what cannot go there becomes credit) or "credit". `whole`: with the earlier days of the same bills.
    `unpaid`: "waived", or "owed" still. `buyable`: a reactivation may buy the days again. `reason`: of the refunds.
    """
    if whole:
        bills = {lot.bill for lot in draft.live() if lot.end > since}
        since = min((lot.start for lot in draft.live() if lot.bill in bills), default=since)
    for lot in list(draft.days(since, until, items)):
        returned = 0
        for name, amount in draft.of_kind("service", lot.id):
            if name.by == "due":
                if unpaid == "waived":
                    returned += _waive(draft, name, lot.bill, amount)
            elif name.by in NEVER_PAID_BACK:
                draft.move(name, AccountName(name.by), amount)
            elif to == "credit" or name.by in NO_PAYMENT:
                returned += draft.move(name, AccountName("credit"), amount)
            else:
                returned += amount
                draft.send_back(name.by, name, amount, reason)
        if not draft.of_kind("service", lot.id):
            draft.set_lot(lot.id, attrs.evolve(lot, sold=returned, returned=True) if buyable else None)
        elif buyable and returned:
            id = f"{lot.id}~"
            draft.set_lot(id, attrs.evolve(lot, id=id, sold=returned, returned=True))


def _waive(draft: Draft, unpaid: AccountName, bill: str, amount: int) -> int:
    """What is unpaid of the days is owed no more."""
    waived = 0
    for kind in OWED:
        waived += draft.move(unpaid, AccountName(kind, bill), min(amount - waived, draft.has(kind, bill)))
    return waived


def waive(draft: Draft, since: date, until: date = date.max, buyable: bool = False) -> None:
    """Days that nobody has paid are owed no more; who paid for days keeps them."""
    for lot in list(draft.days(since, until)):
        unpaid = AccountName("service", lot.id, "due")
        waived = _waive(draft, unpaid, lot.bill, draft.has(*unpaid))
        if not waived:
            continue
        if not draft.of_kind("service", lot.id):
            draft.set_lot(lot.id, attrs.evolve(lot, sold=waived, returned=True) if buyable else None)
        elif buyable:
            draft.set_lot(f"{lot.id}~", attrs.evolve(lot, id=f"{lot.id}~", sold=waived, returned=True))


def forfeit(draft: Draft, since: date, until: date = date.max) -> None:
    """Days that a rule takes and gives nothing for. What is unpaid of them stays owed."""
    for lot in list(draft.days(since, until)):
        for name, amount in draft.of_kind("service", lot.id):
            if name.by != "due":
                draft.move(name, AccountName("forfeited"), amount)


def forgive(draft: Draft, bills: Iterable[str] | None = None) -> None:
    """Bills are let go of, whole: the days that were unpaid are a gift from now on."""
    draft.pay(AccountName("forgiven"), "forgiven", ALL, draft.owed_bills() if bills is None else bills)


def favour(draft: Draft, payment: str, amount: int, reason: str = "refunded") -> None:
    """Money of a payment goes back for nothing: so much of what it paid for is a gift, the latest days first."""
    amount = left = min(amount, draft.left(payment))
    for lot in reversed(draft.live()):
        paid = AccountName("service", lot.id, payment)
        left -= draft.move(paid, AccountName("service", lot.id, "gift"), min(left, draft.has(*paid)))
    draft.send_back(payment, AccountName("gift"), amount, reason)


def give_credit(draft: Draft, amount: int) -> None:
    """Credit by hand: it is the customer's, and nothing was sold for it. A negative amount takes it away again."""
    opening, credit = AccountName("opening"), AccountName("credit")
    if amount >= 0:
        draft.move(opening, credit, amount)
    else:
        draft.move(credit, opening, min(-amount, draft.has(*credit)))
