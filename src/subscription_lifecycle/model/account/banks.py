"""Verbs about money that goes again: debits that fail, disputes and their ends, refunds and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import attrs

from subscription_lifecycle.model.account.account import OWED, AccountName, Lot
from subscription_lifecycle.model.account.draft import Draft

Paid = Mapping[str, Sequence[Any]]
"""What a payment had paid: by bill, how much, and the days that it was for."""


def fail(draft: Draft, payment: str, amount: int, bills: Paid | None = None, dispute: str = "") -> None:
    """A debit that was counted on failed, or, with a dispute, a bank took money back.

    First what was on its way back stays here, then the service that the money still pays for is owed again, then the
    bills that it had paid. Each dispute of a payment is about an amount of its own.
    """
    if dispute:
        _bank(draft, payment, bills, face=amount, dispute=dispute)
    else:
        _bank(draft, payment, bills, transit=min(amount, draft.has("transit", payment)))
        if draft.note(payment).ask_on is not None:
            draft.set_note(payment, attrs.evolve(draft.note(payment), ask_on=None))


def undo_dispute(draft: Draft, payment: str, amount: int, dispute: str, bills: Iterable[str] | None = None) -> None:
    """The bank gave it back: it pays what is owed, or those bills, and the rest goes back to the customer."""
    _bank(draft, payment, None, bills, face=-amount, dispute=dispute)


def _bank(
    draft: Draft,
    payment: str,
    paid: Paid | None,
    bills: Iterable[str] | None = None,
    *,
    face: int = 0,
    dispute: str = "",
    transit: int = 0,
) -> None:
    """What is here of a payment changes. With several disputes, heard of in any order, the bank has what they are about
    together: never more than came, and never less than nothing. Of a payment that never came: it came now.
    """
    gateway, clearing = AccountName("gateway", payment), AccountName("clearing", payment)
    came, disputed = draft.came(payment), draft.disputed(payment)
    before = max(0, min(came, disputed))
    draft.move(gateway, clearing, 0 if came else abs(face))
    draft.move(clearing, AccountName("transit", payment), transit)
    draft.move(clearing, AccountName("taken", payment, dispute), face)
    after = max(0, min(draft.came(payment), disputed + face))
    draft.move(AccountName("untaken", payment), clearing, face - (after - before))
    here = -draft.balances.get(clearing, 0)
    if here <= 0:
        _gone(draft, payment, -here, clearing, paid)
        return
    lost = AccountName("lost", payment)
    here -= draft.move(clearing, lost, min(here, draft.has(*lost)))
    debts = [f"again:{payment}", *(draft.owed_bills() if bills is None else bills)]
    used = sum(amount for name, amount in draft.of_kind("service") if name.by == payment)
    room = min(here, max(0, draft.left(payment) - used))
    rest = draft.pay(clearing, payment, room, debts)
    # Money of it that was given away before pays for no days a second time.
    rest += draft.pay(clearing, "opening", here - room, debts)
    draft.send_back(payment, clearing, rest, "a chargeback was undone", coming=rest)


def _gone(draft: Draft, payment: str, amount: int, gone: AccountName, bills: Paid | None) -> None:
    """Money of a payment is not here: what that leaves owed."""
    for kind in ("refund_due", "parked"):
        spared = AccountName(kind, payment)
        amount -= draft.move(spared, gone, min(amount, draft.has(*spared)))
    owed: dict[str, int] = {}
    days: list[tuple[date, date]] = []
    for bill, (part, *period) in (bills or {}).items():
        owed[bill] = part
        if period:
            days.append((period[0], period[1]))
            if amount:
                draft.remember(bill, period)
    for bill, part in draft.unfund(payment, amount).items():
        amount -= draft.move(AccountName("receivable", bill), gone, part)
        owed[bill] = max(0, owed.get(bill, part) - part)
    for bill, part in owed.items():
        amount -= draft.move(AccountName("receivable", bill), gone, min(amount, part))
    if amount:
        again = f"again:{payment}"
        start, end = days[-1] if days else (draft.day, draft.day)
        if not draft.lots_of(again):
            draft.set_lot(again, Lot(again, again, "", start, end, 0))
        draft.move(AccountName("receivable", again), gone, amount)
    for lot in [each for each in draft.live() if each.id.endswith("!")]:
        if not any(draft.has(kind, lot.bill) for kind in OWED):
            draft.set_lot(lot.id, None)


def lose(draft: Draft, payment: str) -> None:
    """Nobody is left to owe what this entry made owed: it is the seller's loss."""
    for bill, amount in draft.made_owed():
        draft.pay(AccountName("lost", payment), "forgiven", amount, [bill])


def confirm_refund(draft: Draft, payment: str, amount: int, currency: str = "", bills: Paid | None = None) -> None:
    """The gateway took a refund on. If a chargeback had spared it meanwhile, the customer has it twice, and owes it."""
    due, refunded = AccountName("refund_due", payment, currency), AccountName("refunded", payment, currency)
    # What a gateway gives back is here.
    transit = AccountName("transit", payment)
    draft.move(AccountName("gateway", payment), transit, draft.has(*transit))
    rest = amount - draft.move(due, refunded, min(amount, draft.has(*due)))
    if not currency:
        _gone(draft, payment, rest, refunded, bills)
    note = draft.note(payment)
    if not draft.has(*due) and (note.reason or note.failed):
        draft.set_note(payment, attrs.evolve(note, reason="", failed=None))


def refund_failed(
    draft: Draft, payment: str, amount: int, code: str = "", reason: str = "", currency: str = ""
) -> None:
    """A refund did not arrive: it is owed to the customer again."""
    due, refunded = AccountName("refund_due", payment, currency), AccountName("refunded", payment, currency)
    if draft.move(refunded, due, min(amount, draft.has(*refunded))):
        draft.set_note(payment, attrs.evolve(draft.note(payment), reason=reason, failed=code or None))
