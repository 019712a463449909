"""Money that a transition asks for, and what for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, Literal, TypeVar

import attrs

from subscription_lifecycle.model.money import Money, Rounding
from subscription_lifecycle.model.schedule import BillingPeriod

T = TypeVar("T")

Purpose = Literal["period", "arrears", "recharge"]
Bought = Literal["period", "again", "nothing"]


@attrs.frozen
class Debt:
    """A period that was billed and not paid, since the local day it fell due.

    `held`: it waits for an operator and starts no dunning. `invoice`: the invoice it was put on and left unpaid.
    What paying it `buys`: the period; the same "again", after it was refunded once; or "nothing", where its days to
    come went back already or were bought by another payment since.
    """

    period: BillingPeriod
    amount: Money
    since: date
    held: bool = False
    invoice: str | None = None
    buys: Bought = "period"

    def __str__(self) -> str:
        return f"{self.amount} for {self.period}"


def without(items: Iterable[T], gone: Iterable[T]) -> tuple[T, ...]:
    """What is left. Two debts may be equal: each that is gone takes one away."""
    left = list(items)
    for item in gone:
        if item in left:
            left.remove(item)
    return tuple(left)


@attrs.frozen
class ChargeLine:
    """One amount: a billed `period`, `arrears`, or a `recharge` of what a cancellation refunded."""

    purpose: Purpose
    amount: Money
    period: BillingPeriod


@attrs.frozen
class Charge:
    """What a row's charge rules ask for together.

    `settles`: the debts among the lines. `forgives` and `holds`: debts that policy lets go of, or leaves standing.
    `credits`: money that becomes the customer's. `credit_used` is taken off before anything is captured, and so is
    what was `received` already.
    """

    lines: tuple[ChargeLine, ...] = ()
    settles: tuple[Debt, ...] = ()
    forgives: tuple[Debt, ...] = ()
    holds: tuple[Debt, ...] = ()
    credits: Money | None = None
    credit_used: Money | None = None
    received: Money | None = None

    def __add__(self, other: Charge) -> Charge:
        if self is NO_CHARGE or other is NO_CHARGE:
            return other if self is NO_CHARGE else self
        credits = [money for money in (self.credits, other.credits) if money is not None]
        return Charge(
            self.lines + other.lines,
            self.settles + other.settles,
            self.forgives + other.forgives,
            self.holds + other.holds,
            sum(credits[1:], credits[0]) if credits else None,
            received=self.received or other.received,
        )

    @property
    def amount(self) -> Money | None:
        """What is left to capture or to put on an invoice; None where nothing is charged."""
        return self.due(self.lines[0].amount.currency) if self.lines else None

    def total(self, currency: str) -> Money:
        """All lines, before credit."""
        if not self.lines:
            return Money.zero(currency)
        first, *others = self.lines
        return sum((line.amount for line in others), first.amount)

    def due(self, currency: str) -> Money:
        """What is left to capture or to put on an invoice."""
        due = self.total(currency)
        for known in (self.credit_used, self.received):
            due = due if known is None else due - known
        return due


NO_CHARGE: Final = Charge()
"""What most transitions ask for."""


@attrs.frozen
class Terms:
    """What a person agrees to: the charge, and the next billing date that follows."""

    charge: Money
    next_billing_date: date

    def __str__(self) -> str:
        return f"{self.charge} now, next billing date {self.next_billing_date}"


@attrs.frozen
class Settlement:
    """A period that is paid for and not over: by which payment (None: credit, or before adoption), or on an invoice.

    `from_credit` is the part that credit paid; `recharged` says that it was refunded once and paid again. `refunded` is
    what went back of it when service was cancelled on `refunded_from`; where the amount is zero, what was written off
    from then on, for which nothing was paid. What is not `refundable`, because money of that payment goes back already
    and gateways know one refund of it, goes back as credit. What went back as a favour is no part of the amount any
    more.
    """

    period: BillingPeriod
    amount: Money
    reference: str | None = None
    invoiced: bool = False
    from_credit: Money | None = None
    recharged: bool = False
    refunded: Money | None = None
    refunded_from: date | None = None
    refundable: bool = True

    @property
    def was_written_off(self) -> bool:
        """Nothing was paid for it, and its days to come were let go of. A period that cost nothing was not."""
        return not self.amount and bool(self.refunded)

    @property
    def by_payment(self) -> Money:
        """The part that credit did not pay."""
        return self.amount if self.from_credit is None else self.amount - self.from_credit

    def without(self, start: date, end: date, rounding: Rounding) -> Settlement:
        """What is left where the days from one until another became credit: those before move up to those behind."""
        lost = (min(end, self.period.end) - max(start, self.period.start)).days
        if lost <= 0 or self.refunded is not None:
            return self
        amount = self.amount - min(self.amount, self.amount.prorated(lost, self.period.days, rounding=rounding))
        period = BillingPeriod(self.period.start + timedelta(days=lost), self.period.end)
        from_credit = None if self.from_credit is None else min(self.from_credit, amount)
        return attrs.evolve(self, period=period, amount=amount, from_credit=from_credit)


@attrs.frozen
class RefundDue:
    """Money that goes back to the customer and is not confirmed by the gateway yet.

    `failed`: why it did not arrive when it was made before.
    """

    reference: str
    amount: Money
    reason: str
    failed: str | None = None


@attrs.frozen
class Submitted:
    """A debit that was submitted and has not arrived: service runs on it, and the clock asks for it from that day."""

    reference: str
    amount: Money
    ask_on: date


@attrs.frozen
class InvoiceLine:
    """One line for the customer's next invoice; a negative amount gives back. Each line is in exactly one invoice."""

    id: str
    customer: str
    subscription: str
    amount: Money
    period: BillingPeriod
    description: str
    invoice: str | None = None


@attrs.frozen
class Reminder:
    """Something the outcome tells the person who asked: a code and a sentence."""

    code: str
    message: str

    def __str__(self) -> str:
        return self.message
