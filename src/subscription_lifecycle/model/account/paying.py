"""Verbs that pay for what was sold: credit, payments, and debits that are counted on before they arrive."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import attrs

from subscription_lifecycle.model.account.account import AccountName
from subscription_lifecycle.model.account.draft import Draft


def use_credit(draft: Draft, bills: Iterable[str] | None = None, most: int | None = None) -> None:
    """Credit pays bills, in order; no more than `most`. With less credit than that, more stays owed."""
    credit = draft.has("credit")
    bills = draft.owed_bills() if bills is None else bills
    draft.pay(AccountName("credit"), "credit", credit if most is None else min(credit, most), bills)


def capture(
    draft: Draft,
    payment: str,
    amount: int,
    bills: Iterable[str] | None = None,
    transit: bool = False,
    ask_on: date | None = None,
    many: bool = False,
    reason: str = "nothing was left to pay with it",
) -> None:
    """Money came, or, in transit, is counted on. It pays those bills, or the oldest; what pays nothing goes back."""
    here = AccountName("transit" if transit else "gateway", payment)
    if ask_on is not None or many:
        draft.set_note(payment, attrs.evolve(draft.note(payment), ask_on=ask_on, many=many))
    draft.move(here, AccountName("clearing", payment), amount)
    clearing = AccountName("clearing", payment)
    rest = draft.pay(clearing, payment, amount, draft.owed_bills() if bills is None else bills)
    draft.send_back(payment, clearing, rest, reason)


def arrive(draft: Draft, payment: str) -> None:
    """A debit that was counted on is here."""
    transit = AccountName("transit", payment)
    draft.move(AccountName("gateway", payment), transit, draft.has(*transit))
    if draft.note(payment).ask_on is not None:
        draft.set_note(payment, attrs.evolve(draft.note(payment), ask_on=None))
    for lot in draft.live():
        if draft.has("service", lot.id, payment):
            draft.touch(lot.bill)


def put_on_hold(draft: Draft, bills: Iterable[str]) -> None:
    """Bills are owed still and wait for an operator: the clock asks for none of them."""
    for bill in bills:
        amount = draft.has("receivable", bill)
        draft.move(AccountName("on_hold", bill), AccountName("receivable", bill), amount)


def fall_due(draft: Draft, bills: Iterable[str] | None = None) -> None:
    """What is owed counts as owed since today."""
    for bill in draft.owed_bills() if bills is None else bills:
        draft.set_since(bill, draft.day)


def park(draft: Draft, payment: str, amount: int, currency: str = "") -> None:
    """Another sum than was asked for is here, and waits for an operator."""
    gateway, parked = AccountName("gateway", payment, currency), AccountName("parked", payment, currency)
    more = amount - draft.has(*parked)
    if more >= 0:
        draft.move(gateway, parked, more)
    else:
        draft.move(parked, gateway, -more)


def unpark(draft: Draft, payment: str, reason: str = "not the amount that was asked for") -> None:
    """An operator says that a parked sum goes back."""
    for name, amount in draft.of_kind("parked", payment):
        draft.move(name, AccountName("refund_due", payment, name.by), amount)
        draft.set_note(payment, attrs.evolve(draft.note(payment), reason=reason, failed=None))
