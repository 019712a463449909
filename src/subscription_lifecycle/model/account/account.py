"""The account of a subscription: what each cent is, and which days it pays for.

Money is kept in named accounts, days in lots. A posting adds to one account, and the postings of an entry sum to zero.
A lot is a run of days that was sold; its `service` accounts say who paid for it. Days move without money (a pause), and
money changes hands without days (a chargeback), so the two never have to be kept in step.

Amounts inside are whole minor units of the account's currency; debit is positive.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final, NamedTuple, TypeVar

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.account.days import share
from subscription_lifecycle.model.charge import Debt, RefundDue, Submitted
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.schedule import BillingPeriod

V = TypeVar("V")

DEBIT: Final = 1
CREDIT: Final = -1
EITHER: Final = 0

KINDS: Final[Mapping[str, int]] = frozen_mapping(
    {
        # What others hold or owe.
        "gateway": DEBIT,
        "transit": DEBIT,
        "receivable": DEBIT,
        "on_hold": DEBIT,
        "invoiced": DEBIT,
        "outside": DEBIT,
        "cash": DEBIT,
        # What is the customer's.
        "service": CREDIT,
        "credit": CREDIT,
        "refund_due": CREDIT,
        "refunded": CREDIT,
        "parked": CREDIT,
        "taken": EITHER,
        "untaken": EITHER,
        # What became of it.
        "earned": CREDIT,
        "forfeited": CREDIT,
        "gift": DEBIT,
        "forgiven": DEBIT,
        "lost": DEBIT,
        "opening": EITHER,
        "clearing": EITHER,
    }
)
"""Every kind of account, and the side that its balance is on."""

OWED: Final = ("receivable", "on_hold")
"""What a customer owes: asked for, or waiting for an operator."""
NO_PAYMENT: Final = frozenset({"due", "credit", "invoice", "opening", "gift", "forgiven"})
"""Sources of service that are no payment; any other source is the reference of one."""
NEVER_PAID_BACK: Final = frozenset({"gift", "forgiven"})
"""Sources that nobody is paid back for."""
FOREIGN: Final = frozenset({"gateway", "parked", "refund_due", "refunded", "cash"})
"""Kinds that may hold money of another currency than the subscription's; `by` names the currency then."""


class AccountName(NamedTuple):
    """The key of one account.

    `of` is the bill, lot, payment or invoice that it is about. `by` is, of `service`, who paid for the lot; of `taken`,
    the dispute; of the kinds in FOREIGN, the currency where it is not the subscription's.
    """

    kind: str
    of: str = ""
    by: str = ""

    def __str__(self) -> str:
        return self.kind + "".join(f"[{key}]" for key in (self.of, self.by) if key)


def currency_of(name: AccountName, own: str) -> str:
    """The currency that an account is kept in."""
    return name.by if name.by and name.kind in FOREIGN else own


class Posting(NamedTuple):
    """One side of an entry: so much is added to an account. Debit is positive."""

    name: AccountName
    amount: Money


@attrs.frozen
class Lot:
    """Days that were sold as one, from `start` up to and not including `end`, for `sold` minor units.

    `returned`: the days went back, or were never to be paid, and can be bought again for that price. `again`: they went
    back once before they were sold.
    """

    id: str
    bill: str
    item: str
    start: date
    end: date
    sold: int
    returned: bool = False
    again: bool = False

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    @property
    def period(self) -> BillingPeriod:
        return BillingPeriod(self.start, self.end)


class LotChange(NamedTuple):
    """What an entry makes of a lot; None: it is closed."""

    id: str
    after: Lot | None


@attrs.frozen
class Bill:
    """What a bill needs beside its money: the local day since which it is owed, and the invoice it stands on."""

    since: date
    invoice: str | None = None


class BillChange(NamedTuple):
    """What an entry makes of a bill; None: nothing is owed for it any more."""

    id: str
    after: Bill | None


@attrs.frozen
class PaymentNote:
    """What a payment needs beside its money.

    `ask_on`: the local day from which the clock asks for a debit that is under way. `reason` and `failed`: why money of
    it goes back, and why that did not arrive. `many`: its gateway can refund it any number of times, and not only once.
    """

    ask_on: date | None = None
    reason: str = ""
    failed: str | None = None
    many: bool = False


class NoteChange(NamedTuple):
    """What an entry makes of the note of a payment; None: there is none any more."""

    reference: str
    after: PaymentNote | None


@attrs.frozen
class Booking:
    """What one entry does to an account. `covered` is the day up to which closed lots reach, where that changes."""

    postings: tuple[Posting, ...] = ()
    lots: tuple[LotChange, ...] = ()
    bills: tuple[BillChange, ...] = ()
    notes: tuple[NoteChange, ...] = ()
    covered: date | None = None

    def __bool__(self) -> bool:
        return bool(self.postings or self.lots or self.bills or self.notes or self.covered)


NO_BOOKING: Final = Booking()
"""What most entries do to the account."""


def joined(one: Booking, other: Booking) -> Booking:
    """Two bookings as one."""
    if not one or not other:
        return one or other
    sums: dict[AccountName, Money] = {}
    for name, amount in (*one.postings, *other.postings):
        sums[name] = sums[name] + amount if name in sums else amount
    return Booking(
        tuple(Posting(name, amount) for name, amount in sums.items() if amount),
        tuple(LotChange(*change) for change in {**dict(one.lots), **dict(other.lots)}.items()),
        tuple(BillChange(*change) for change in {**dict(one.bills), **dict(other.bills)}.items()),
        tuple(NoteChange(*change) for change in {**dict(one.notes), **dict(other.notes)}.items()),
        one.covered if other.covered is None else other.covered,
    )


def booked_so_far(account: Account) -> Booking:
    """One booking that leads from nothing to an account."""
    return Booking(
        tuple(
            Posting(name, Money(amount, currency_of(name, account.currency)))
            for name, amount in account.balances.items()
        ),
        tuple(LotChange(*item) for item in account.lots.items()),
        tuple(BillChange(*item) for item in account.bills.items()),
        tuple(NoteChange(*item) for item in account.notes.items()),
        account.covered,
    )


@attrs.frozen(slots=False)
class Account:
    """Balances and lots: the fold of every posting and lot change so far.

    `balances` are minor units by account name, debit positive; an account without a balance is left out.
    """

    currency: str
    balances: Mapping[AccountName, int] = attrs.field(factory=lambda: frozen_mapping({}), hash=False)
    lots: Mapping[str, Lot] = attrs.field(factory=lambda: frozen_mapping({}), hash=False)
    bills: Mapping[str, Bill] = attrs.field(factory=lambda: frozen_mapping({}), hash=False)
    notes: Mapping[str, PaymentNote] = attrs.field(factory=lambda: frozen_mapping({}), hash=False)
    covered: date | None = None

    def after(self, booking: Booking) -> Account:
        """The account when a booking is added. Postings are differences: their order never matters to the balances."""
        if not booking:
            return self
        balances = dict(self.balances)
        for name, amount in booking.postings:
            left = balances.get(name, 0) + amount.minor
            if left:
                balances[name] = left
            else:
                balances.pop(name, None)
        return Account(
            self.currency,
            frozen_mapping(balances),
            _changed(self.lots, booking.lots),
            _changed(self.bills, booking.bills),
            _changed(self.notes, booking.notes),
            self.covered if booking.covered is None else booking.covered,
        )

    # -- queries

    def balance(self, kind: str, of: str | None = None) -> Money:
        """The sum of the accounts of a kind, positive on the side that the kind is on.

        Kinds that may be on either side count debit as positive. Money of another currency is left out. Raises
        InvalidValue (`kind`) for a kind that does not exist.
        """
        if kind not in KINDS:
            raise InvalidValue("kind", f"{kind!r} is no kind of account", f"Use one of {', '.join(KINDS)}.")
        found = sum(
            amount
            for name, amount in self.balances.items()
            if name.kind == kind and of in (None, name.of) and currency_of(name, self.currency) == self.currency
        )
        return Money(found * (KINDS[kind] or 1), self.currency)

    def minor(self, kind: str, of: str = "", by: str = "") -> int:
        """The balance of one account in minor units, debit positive."""
        return self.balances.get(AccountName(kind, of, by), 0)

    @functools.cached_property
    def arrears(self) -> tuple[Debt, ...]:
        """Bills that are owed, the oldest days first."""
        amounts: dict[str, int] = {}
        waiting: set[str] = set()
        for name, amount in self.balances.items():
            if name.kind in OWED:
                amounts[name.of] = amounts.get(name.of, 0) + amount
                if name.kind == "on_hold":
                    waiting.add(name.of)
        if not amounts:
            return ()
        periods = self._periods()
        debts = {
            bill: Debt(
                period=periods.get(bill) or BillingPeriod(self._since(bill), self._since(bill)),
                amount=Money(amount, self.currency),
                since=self._since(bill),
                held=bill in waiting,
                invoice=self.bills[bill].invoice if bill in self.bills else None,
            )
            for bill, amount in amounts.items()
        }
        return tuple(debts[bill] for bill in sorted(debts, key=lambda bill: (debts[bill].period, bill)))

    def _since(self, bill: str) -> date:
        return self.bills[bill].since if bill in self.bills else date.min

    def _periods(self) -> dict[str, BillingPeriod]:
        found: dict[str, BillingPeriod] = {}
        for lot in self.lots.values():
            if lot.returned:
                continue
            known = found.get(lot.bill)
            found[lot.bill] = (
                lot.period if known is None else BillingPeriod(min(known.start, lot.start), max(known.end, lot.end))
            )
        return found

    @functools.cached_property
    def owed(self) -> Money:
        """What the customer owes, on hold or not."""
        return Money(sum(n for name, n in self.balances.items() if name.kind in OWED), self.currency)

    @property
    def credit(self) -> Money:
        """What is the customer's, for the next bill."""
        return Money(-self.minor("credit"), self.currency)

    @functools.cached_property
    def refunds(self) -> tuple[RefundDue, ...]:
        """Money on its way back, by payment."""
        found = []
        for name, amount in self.balances.items():
            if name.kind == "refund_due":
                note = self.notes.get(name.of, NO_NOTE)
                found.append(
                    RefundDue(name.of, Money(-amount, currency_of(name, self.currency)), note.reason, note.failed)
                )
        return tuple(found)

    @functools.cached_property
    def submitted(self) -> tuple[Submitted, ...]:
        """Debits that are counted on and have not arrived."""
        return tuple(
            Submitted(name.of, Money(amount, self.currency), self.notes.get(name.of, NO_NOTE).ask_on or date.max)
            for name, amount in self.balances.items()
            if name.kind == "transit"
        )

    @functools.cached_property
    def live(self) -> tuple[Lot, ...]:
        """Lots that were sold and did not go back, by their days."""
        return tuple(sorted((lot for lot in self.lots.values() if not lot.returned), key=_by_days))

    @functools.cached_property
    def returned(self) -> tuple[Lot, ...]:
        """Lots that went back and can be bought again, by their days."""
        return tuple(sorted((lot for lot in self.lots.values() if lot.returned), key=_by_days))

    def sources(self, lot: str) -> dict[str, int]:
        """Who paid for what is left of a lot, in minor units; "due": nobody yet."""
        return {name.by: -n for name, n in self.balances.items() if name.kind == "service" and name.of == lot}

    @functools.cached_property
    def paid_through(self) -> date | None:
        """The first day that is owed; where nothing is, the day up to which lots reach. None: nothing was ever sold."""
        unpaid = [debt.period.start for debt in self.arrears if debt.period.days]
        if unpaid:
            return min(unpaid)
        return max([*(lot.end for lot in self.live), *([] if self.covered is None else [self.covered])], default=None)

    def worth(self, start: date, end: date = date.max) -> Money:
        """What the days from `start` up to `end` were sold for and still stand for, whoever paid."""
        return Money(
            sum(share(sum(self.sources(lot.id).values()), lot.period, start, end) for lot in self.live), self.currency
        )

    def trial_balance(self) -> Mapping[str, Money]:
        """The sum of each kind, debit positive; together they are zero. Money of another currency is left out."""
        found: dict[str, int] = {}
        for name, amount in self.balances.items():
            if currency_of(name, self.currency) == self.currency:
                found[name.kind] = found.get(name.kind, 0) + amount
        return frozen_mapping({kind: Money(amount, self.currency) for kind, amount in sorted(found.items())})


NO_NOTE: Final = PaymentNote()


def _by_days(lot: Lot) -> tuple[date, date, str]:
    return lot.start, lot.end, lot.id


def _changed(before: Mapping[str, V], changes: Iterable[tuple[str, V | None]]) -> Mapping[str, V]:
    found: dict[str, V] | None = None
    for key, after in changes:
        if found is None:
            found = dict(before)
        if after is None:
            found.pop(key, None)
        else:
            found[key] = after
    return before if found is None else frozen_mapping(found)
