"""Verbs about invoices of the host's: a bill stands on one, and somebody reports whether that was paid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from subscription_lifecycle.model.account.account import OWED, AccountName
from subscription_lifecycle.model.account.draft import Draft

TWICE = "credit"
"""The name under which money from outside is kept that paid what was paid already, and became credit."""


def put_on_invoice(draft: Draft, bills: Iterable[str]) -> None:
    """Bills become lines of the customer's next invoice, and service runs on that."""
    for bill in bills:
        amount = draft.has("receivable", bill)
        draft.move(AccountName("invoiced", bill), AccountName("receivable", bill), amount)
        draft.fund(bill, amount, "invoice")


def invoice_paid(draft: Draft, invoice: str, bills: Mapping[str, int]) -> None:
    """Paid elsewhere, also after it was owed; what was paid twice is the customer's credit."""
    for bill, amount in bills.items():
        outside = AccountName("outside", invoice, bill)
        amount -= draft.move(outside, AccountName("invoiced", bill), min(amount, draft.has("invoiced", bill)))
        amount = draft.pay(outside, "invoice", amount, [bill])
        draft.move(AccountName("outside", invoice, TWICE), AccountName("credit"), amount)


def invoice_unpaid(draft: Draft, invoice: str, bills: Mapping[str, Sequence[Any]], paid_before: bool = False) -> None:
    """What stands on the invoice is owed, once. By bill: how much, and the days it is for.

    `paid_before`: it was reported paid, by mistake. Then what that report had done is undone, and nothing else is.
    """
    for bill, (amount, *days) in bills.items():
        waiting = min(amount, draft.has("invoiced", bill))
        draft.unfund("invoice", waiting, [bill])
        owed = draft.move(AccountName("receivable", bill), AccountName("invoiced", bill), waiting)
        if paid_before:
            owed += _undo(draft, invoice, bill, amount - waiting)
        if owed:
            draft.set_invoice(bill, invoice)
            draft.remember(bill, days)


def _undo(draft: Draft, invoice: str, bill: str, amount: int) -> int:
    """Take back what a report had paid, or credited. Answers what is owed again."""
    owed = AccountName("receivable", bill)
    outside, twice = AccountName("outside", invoice, bill), AccountName("outside", invoice, TWICE)
    paid = min(amount, draft.has(*outside))
    draft.unfund("invoice", paid, [bill])
    draft.move(owed, outside, paid)
    amount -= paid
    credited = min(amount, draft.has(*twice))
    back = draft.move(AccountName("credit"), twice, min(credited, draft.has("credit")))
    used = draft.move(owed, twice, credited - back)
    amount -= credited
    # Of an invoice that nothing was left to do with, only the sum is known.
    closed = draft.move(owed, AccountName("cash"), min(amount, draft.has("cash")))
    return paid + used + closed


def close_invoices(draft: Draft) -> None:
    """Invoices that nothing is left to do with: their days were delivered, and what was paid twice was used up."""
    bills = {lot.bill for lot in draft.lots.values()}
    for name, amount in draft.of_kind("outside"):
        owed = any(draft.has(kind, name.by) for kind in (*OWED, "invoiced"))
        busy = draft.has("credit") if name.by == TWICE else name.by in bills or owed
        if not busy:
            draft.move(AccountName("cash"), name, amount)
