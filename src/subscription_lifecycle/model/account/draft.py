"""An entry in the making: what a booking will hold, on the account that it is made for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import attrs

from subscription_lifecycle.model.account.account import (
    NEVER_PAID_BACK,
    NO_NOTE,
    NO_PAYMENT,
    OWED,
    Account,
    AccountName,
    Bill,
    BillChange,
    Booking,
    Lot,
    LotChange,
    NoteChange,
    PaymentNote,
    Posting,
    currency_of,
)
from subscription_lifecycle.model.account.days import half_up, share
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.money import Money


class Draft:
    """An account, and what one entry changes in it so far.

    Verbs change a draft by `move` and `set_lot` alone. Every verb is total: on any account it takes what is there, and
    says where the rest goes. `day` is the local day of the entry; `rounding` how a part by days is rounded.
    """

    def __init__(self, account: Account, day: date, rounding: str = "last") -> None:
        self.start, self.day, self.rounding = account, day, rounding
        self.balances: dict[AccountName, int] = dict(account.balances)
        self.lots: dict[str, Lot] = dict(account.lots)
        self.notes: dict[str, PaymentNote] = dict(account.notes)
        self.bills: dict[str, Bill] = dict(account.bills)
        self.covered = account.covered
        self._deltas: dict[AccountName, int] = {}
        self._lots: dict[str, Lot | None] = {}
        self._touched: dict[str, None] = {}

    # -- the only ways to change anything

    def move(self, debit: AccountName, credit: AccountName, amount: int) -> int:
        """Post an amount to both; answers it."""
        if amount:
            for name, signed in ((debit, amount), (credit, -amount)):
                self.balances[name] = self.balances.get(name, 0) + signed
                self._deltas[name] = self._deltas.get(name, 0) + signed
                if name.kind in OWED or name.kind in ("invoiced", "service"):
                    self._touched[self.lots[name.of].bill if name.kind == "service" else name.of] = None
        return amount

    def set_lot(self, id: str, lot: Lot | None) -> None:
        if lot is None:
            self.lots.pop(id, None)
        else:
            self.lots[id] = lot
        self._lots[id] = lot

    def set_since(self, bill: str, since: date) -> None:
        """The local day since which a bill is owed."""
        known = self.bills.get(bill)
        self.bills[bill] = Bill(since) if known is None else attrs.evolve(known, since=since)

    def set_invoice(self, bill: str, invoice: str | None) -> None:
        known = self.bills.get(bill)
        self.bills[bill] = Bill(self.day, invoice) if known is None else attrs.evolve(known, invoice=invoice)

    def note(self, payment: str) -> PaymentNote:
        return self.notes.get(payment, NO_NOTE)

    def set_note(self, payment: str, note: PaymentNote) -> None:
        if note == NO_NOTE:
            self.notes.pop(payment, None)
        else:
            self.notes[payment] = note

    def touch(self, bill: str) -> None:
        """Something about a bill changed that no posting of its own says."""
        self._touched[bill] = None

    # -- the result

    def booking(self) -> Booking:
        """What the entry does to the account."""
        self._close_bills()
        currency = self.start.currency
        postings = tuple(
            [
                Posting(name, Money(amount, currency_of(name, currency)))
                for name, amount in self._deltas.items()
                if amount
            ]
        )
        lots = [LotChange(id, lot) for id, lot in self._lots.items() if self.start.lots.get(id) != lot]
        bills: list[BillChange] = []
        if self.bills != self.start.bills:
            ids = dict.fromkeys((*self.start.bills, *self.bills))
            bills = [BillChange(id, self.bills.get(id)) for id in ids if self.start.bills.get(id) != self.bills.get(id)]
        notes: list[NoteChange] = []
        if self.notes != self.start.notes:
            ids = dict.fromkeys((*self.start.notes, *self.notes))
            notes = [NoteChange(id, self.notes.get(id)) for id in ids if self.start.notes.get(id) != self.notes.get(id)]
        covered = self.covered if self.covered != self.start.covered else None
        return Booking(postings, tuple(lots), tuple(bills), tuple(notes), covered)

    def account(self) -> Account:
        """The account as it will be."""
        self._close_bills()
        return Account(
            self.start.currency,
            frozen_mapping({name: amount for name, amount in self.balances.items() if amount}),
            frozen_mapping(self.lots),
            frozen_mapping(self.bills),
            frozen_mapping(self.notes),
            self.covered,
        )

    def _close_bills(self) -> None:
        """A bill is known by its day for as long as it is owed, on an invoice, or paid by a debit under way."""
        for bill in self._touched:
            owed = any(self.has(kind, bill) for kind in OWED)
            if owed and bill not in self.bills:
                self.bills[bill] = Bill(self.day)
            elif not owed and bill in self.bills and not self.has("invoiced", bill) and not self._in_transit(bill):
                del self.bills[bill]
        self._touched.clear()

    def _in_transit(self, bill: str) -> bool:
        return any(
            name.kind == "service" and amount and self.lots[name.of].bill == bill and self.has("transit", name.by)
            for name, amount in self.balances.items()
        )

    # -- looking

    def has(self, kind: str, of: str = "", by: str = "") -> int:
        """The size of a balance."""
        return abs(self.balances.get(AccountName(kind, of, by), 0))

    def of_kind(self, kind: str, of: str | None = None) -> list[tuple[AccountName, int]]:
        """The accounts of a kind that are not empty, with the size of each."""
        return [
            (name, abs(amount))
            for name, amount in self.balances.items()
            if amount and name.kind == kind and of in (None, name.of)
        ]

    def live(self) -> list[Lot]:
        """Lots that were sold and did not go back, by their days."""
        return sorted((lot for lot in self.lots.values() if not lot.returned), key=lambda lot: (lot.start, lot.id))

    def lots_of(self, bill: str) -> list[Lot]:
        return [lot for lot in self.live() if lot.bill == bill]

    def made_owed(self) -> list[tuple[str, int]]:
        """What this entry made owed so far, by bill."""
        return [(name.of, n) for name, n in self._deltas.items() if name.kind == "receivable" and n > 0]

    def owed_bills(self) -> list[str]:
        """Bills that are owed, the oldest days first."""
        starts: dict[str, date] = {}
        for lot in self.lots.values():
            if not lot.returned:
                starts[lot.bill] = min(lot.start, starts.get(lot.bill, lot.start))
        found = dict.fromkeys(name.of for kind in OWED for name, _ in self.of_kind(kind))
        return sorted(found, key=lambda bill: (starts.get(bill) or self._since(bill), bill))

    def _since(self, bill: str) -> date:
        return self.bills[bill].since if bill in self.bills else self.day

    # -- paying for service

    def pay(self, source: AccountName, name: str, amount: int, bills: Iterable[str], *, whole: bool = False) -> int:
        """Debts are paid out of an account, in order; answers what is left. `whole`: no debt is paid in part."""
        for bill in bills:
            owed = sum(self.has(kind, bill) for kind in OWED)
            if whole and owed > amount:
                break
            for kind in OWED:
                part = self.move(source, AccountName(kind, bill), min(amount, self.has(kind, bill)))
                amount -= part
                self.fund(bill, part, name)
        return amount

    def fund(self, bill: str, amount: int, source: str) -> None:
        """What is paid of a bill pays for its service that is still unpaid; there may be less of that than is owed."""
        for lot in self.lots_of(bill):
            if amount <= 0:
                return
            unpaid = AccountName("service", lot.id, "due")
            amount -= self.move(unpaid, AccountName("service", lot.id, source), min(amount, self.has(*unpaid)))

    def unfund(self, source: str, most: int, bills: Iterable[str] | None = None) -> dict[str, int]:
        """What a source had paid for is unpaid again, the latest days first. Answers how much, by bill."""
        found: dict[str, int] = {}
        for lot in reversed(self.live()):
            if bills is not None and lot.bill not in bills:
                continue
            paid = AccountName("service", lot.id, source)
            part = self.move(paid, AccountName("service", lot.id, "due"), min(most, self.has(*paid)))
            most -= part
            if part:
                found[lot.bill] = found.get(lot.bill, 0) + part
        return found

    # -- days

    def remember(self, bill: str, days: Sequence[Any]) -> None:
        """The days of a bill that was delivered long ago: a debt is as old as its days."""
        if len(days) == 2 and not self.lots_of(bill):
            self.set_lot(f"{bill}!", Lot(f"{bill}!", bill, "", days[0], days[1], 0))

    def split(self, lot: Lot, at: date, value: int | None = None) -> tuple[Lot | None, Lot | None]:
        """Two lots of one: the days before a day, and those from it on.

        The later days get their share, or `value` where it is known; the earlier days keep the rest. Payments pay for
        the later days first, so that what goes back goes back the way it came.
        """
        if at <= lot.start or at >= lot.end:
            return (None, lot) if at <= lot.start else (lot, None)
        parts = {name.by: amount for name, amount in self.of_kind("service", lot.id)}
        total = sum(parts.values())
        left = value = min(total, share(total, lot.period, at, lot.end, self.rounding) if value is None else value)
        sold = share(lot.sold, lot.period, at, lot.end, self.rounding)
        after = attrs.evolve(lot, id=self._free(f"{lot.id}@{at}"), start=at, sold=sold)
        before = attrs.evolve(lot, end=at, sold=lot.sold - sold)
        self.set_lot(before.id, before)
        self.set_lot(after.id, after)
        by_days = {
            name: half_up(value * parts[name], total) for name in (*sorted(NEVER_PAID_BACK), "due") if name in parts
        }
        in_order = sorted((name for name in parts if name not in by_days), key=lambda name: (name in NO_PAYMENT, name))
        for name, most in [
            *by_days.items(),
            *((name, parts[name]) for name in in_order),
            *((name, parts[name]) for name in by_days),
        ]:
            source = AccountName("service", lot.id, name)
            part = min(left, most, self.has(*source))
            left -= self.move(source, AccountName("service", after.id, name), part)
        return before, after

    def _free(self, id: str) -> str:
        while id in self.lots:
            id += "'"
        return id

    def days(self, since: date, until: date, items: Iterable[str] | None = None) -> Iterator[Lot]:
        """The live lots of some days, cut to them."""
        for lot in self.live():
            if max(since, lot.start) < min(until, lot.end) and (items is None or lot.item in items):
                total = sum(amount for _, amount in self.of_kind("service", lot.id))
                value = share(total, lot.period, since, until, self.rounding)
                front, _ = self.split(lot, until)
                assert front is not None
                _, found = self.split(front, since, value)
                assert found is not None
                yield found

    # -- payments

    def came(self, payment: str) -> int:
        """What came of a payment, or is counted on."""
        return self.has("gateway", payment) + self.has("transit", payment)

    def disputed(self, payment: str) -> int:
        """What the disputes of a payment are about together."""
        return -sum(self.balances[name] for name, _ in self.of_kind("taken", payment))

    def left(self, payment: str) -> int:
        """What is here of a payment, or under way, and not on its way elsewhere."""
        came = self.came(payment)
        taken = max(0, min(came, self.disputed(payment)))
        back = self.has("refunded", payment) + self.has("refund_due", payment) + self.has("parked", payment)
        return max(0, came - taken - back)

    def way_back(self, payment: str, amount: int, *, coming: int = 0) -> AccountName:
        """The way it came, as often as the gateway can and as far as the money is here; else it is credit.

        What one entry gives back of a payment is one refund. `coming` is money of this entry that is in no account yet.
        """
        due = AccountName("refund_due", payment)
        first = due not in self.start.balances and not self.has("refunded", payment)
        return (
            due
            if (first or self.note(payment).many) and self.left(payment) + coming >= amount
            else AccountName("credit")
        )

    def send_back(self, payment: str, source: AccountName, amount: int, reason: str, *, coming: int = 0) -> None:
        """Give money of a payment back, out of an account."""
        target = self.way_back(payment, amount, coming=coming)
        if self.move(source, target, amount) and target.kind == "refund_due":
            self.set_note(payment, attrs.evolve(self.note(payment), reason=reason, failed=None))
