"""The account of a subscription as its snapshot tells it: settlements, debts, credit, refunds and debits under way."""

from __future__ import annotations

from datetime import date

import attrs

from subscription_lifecycle.model.account.account import Account, AccountName, Booking, Lot, PaymentNote
from subscription_lifecycle.model.account.draft import Draft
from subscription_lifecycle.model.charge import Debt, RefundDue, Settlement, Submitted
from subscription_lifecycle.model.subscription import Subscription

OPENING = AccountName("opening")


def opening(subscription: Subscription, day: date) -> tuple[Account, Booking]:
    """The account that goes on from a snapshot, and the booking that opens it on a local day.

    What is owed, the credit, what goes back and what is on its way are the snapshot's own. What went back of a
    settlement is a lot that can be bought again; a favour is a gift; what cannot go back to its payment any more was
    paid by "opening", and goes back as credit.
    """
    draft = Draft(Account(subscription.currency), day)
    draft.covered = subscription.paid_through
    for number, paid in enumerate(subscription.settlements, 1):
        _paid(draft, f"paid {number}", paid)
    for number, debt in enumerate(subscription.arrears, 1):
        _owed(draft, f"owed {number}", debt)
    if subscription.credit is not None:
        draft.move(OPENING, AccountName("credit"), subscription.credit.minor)
    for refund in subscription.refunds:
        _going_back(draft, refund)
    for debit in subscription.submitted:
        _under_way(draft, debit)
    booking = draft.booking()
    return draft.account(), booking


def _paid(draft: Draft, id: str, paid: Settlement) -> None:
    left, end = paid.amount.minor, paid.period.end
    if paid.refunded_from is not None:
        back = 0 if paid.refunded is None else paid.refunded.minor
        draft.set_lot(f"{id}~", Lot(f"{id}~", id, "plan", paid.refunded_from, end, back, returned=True))
        end, left = paid.refunded_from, left - back
    draft.set_lot(id, Lot(id, id, "plan", paid.period.start, end, left, again=paid.recharged))
    credit = 0 if paid.from_credit is None else min(paid.from_credit.minor, left)
    draft.move(OPENING, AccountName("service", id, "credit"), credit)
    left -= credit
    if paid.refunded is not None and paid.refunded_from is None:
        draft.move(AccountName("gift"), AccountName("service", id, "gift"), left)
    elif paid.invoiced:
        draft.move(AccountName("invoiced", id), AccountName("service", id, "invoice"), left)
    elif paid.refundable and paid.reference is not None:
        draft.move(AccountName("gateway", paid.reference), AccountName("service", id, paid.reference), left)
    else:
        draft.move(OPENING, AccountName("service", id, "opening"), left)


def _owed(draft: Draft, bill: str, debt: Debt) -> None:
    """A debt whose days went back, or were bought by another payment since, is owed and buys no service."""
    amount = debt.amount.minor
    buys = debt.buys != "nothing"
    draft.set_lot(bill, Lot(bill, bill, "plan", *debt.period, amount if buys else 0, again=debt.buys == "again"))
    other = AccountName("service", bill, "due") if buys else OPENING
    draft.move(AccountName("on_hold" if debt.held else "receivable", bill), other, amount)
    draft.set_since(bill, debt.since)
    if debt.invoice is not None:
        draft.set_invoice(bill, debt.invoice)


def _going_back(draft: Draft, refund: RefundDue) -> None:
    by = "" if refund.amount.currency == draft.start.currency else refund.amount.currency
    gateway, due = (AccountName(kind, refund.reference, by) for kind in ("gateway", "refund_due"))
    draft.move(gateway, due, refund.amount.minor)
    draft.set_note(refund.reference, PaymentNote(reason=refund.reason, failed=refund.failed))


def _under_way(draft: Draft, debit: Submitted) -> None:
    """What stands for a debit that has not arrived is counted on, and not here."""
    here, transit = AccountName("gateway", debit.reference), AccountName("transit", debit.reference)
    part = draft.move(transit, here, min(debit.amount.minor, draft.has(*here)))
    draft.move(transit, OPENING, debit.amount.minor - part)
    draft.set_note(debit.reference, attrs.evolve(draft.note(debit.reference), ask_on=debit.ask_on))
