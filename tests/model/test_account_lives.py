"""Random lives of an account: whatever is asked of it in whatever order, no booking makes, keeps or loses money."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.account import banks, giving_back, paying, steps
from subscription_lifecycle.model.account.account import (
    NEVER_PAID_BACK,
    Account,
    AccountName,
    Booking,
    Posting,
    booked_so_far,
    joined,
)
from subscription_lifecycle.model.account.check import check
from subscription_lifecycle.model.account.draft import Draft
from subscription_lifecycle.model.account.steps import Step, carried_out
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.schedule import BillingPeriod

FIRST = date(2024, 1, 1)
KINDS = (
    *("renew", "renew", "renew", "declined", "debit", "invoice", "credit used", "pay debts", "late money"),
    *("arrives", "fails", "taken", "taken", "given back", "favour", "refund made", "refund fails"),
    *("paid elsewhere", "not paid", "prorated", "full", "to credit", "forfeit", "shift", "waive", "forgive", "hold"),
    *("parked", "unparked", "by hand", "serve", "serve", "buy again"),
)


@attrs.define
class Life:
    """An account, the day it is, and what the world outside of it knows: what came, and what went back."""

    account: Account = attrs.field(factory=lambda: Account("EUR"))
    today: date = FIRST
    billed_until: date = FIRST
    bookings: list[Booking] = attrs.field(factory=list)
    number: int = 0
    asked: dict[str, int] = attrs.field(factory=dict)
    bills: dict[str, list[Any]] = attrs.field(factory=dict)
    invoices: dict[str, bool | None] = attrs.field(factory=dict)
    disputes: dict[tuple[str, str], int] = attrs.field(factory=dict)

    def do(self, *asked: Step) -> Booking:
        before = self.account
        self.account, booking = carried_out(before, asked, self.today)
        check(self.account, [booking])
        assert before.after(booking) == self.account
        self.bookings.append(booking)
        return booking

    def act(self, kind: str, amount: int, which: int) -> None:
        self.number += 1
        known = list(self.asked)
        payment = known[which % len(known)] if known else ""
        for step in self.steps(kind, amount, which, payment):
            self.do(*step)

    def steps(self, kind: str, amount: int, which: int, payment: str) -> list[tuple[Step, ...]]:
        bills = list(self.bills)
        bill = bills[which % len(bills)] if bills else ""
        whole = self.asked.get(payment, 0)
        told: Mapping[str, Any] = {bill: [min(whole, self.bills[bill][0]), *self.bills[bill][1:]]} if bill else {}
        credit = self.account.minor("credit")
        match kind:
            case "renew" | "declined" | "debit" | "invoice" | "credit used":
                return [self.renewed(kind, amount)]
            case "pay debts":
                return [(self.paid(self.account.owed.minor),)] if self.account.owed else []
            case "late money":
                return [(self.paid(amount),)]
            case "arrives":
                return [(Step("arrive", {"payment": payment}),)]
            case "fails":
                return [(Step("fail", {"payment": payment, "amount": whole, "bills": told}),)]
            case "taken" | "given back" if payment:
                dispute = f"dp_{which % 2}"
                part = self.disputes.setdefault((payment, dispute), max(1, min(whole, amount)))
                verb = "fail" if kind == "taken" else "undo_dispute"
                more = {"bills": told} if kind == "taken" else {}
                settled = self.account.minor("taken", payment, dispute)
                if (settled < 0) == (kind == "taken") and settled:
                    return []
                reopened = Step("reopen", {"payment": payment, "captured": whole})
                return [(reopened, Step(verb, {"payment": payment, "amount": part, "dispute": dispute, **more}))]
            case "favour":
                return [(Step("favour", {"payment": payment, "amount": amount}),)]
            case "refund made":
                return [
                    (Step("confirm_refund", {"payment": due.reference, "amount": due.amount}),)
                    for due in self.account.refunds
                ]
            case "refund fails":
                return [(Step("refund_failed", {"payment": payment, "amount": amount, "code": "closed"}),)]
            case "paid elsewhere" | "not paid" if bill:
                return self.reported(kind == "paid elsewhere", bill)
            case "prorated" | "full" | "to credit":
                to = {"to": "credit"} if kind == "to credit" else {}
                more = {"since": self.today, "buyable": True, "whole": kind == "full", **to}
                return [(Step("give_back", more),)]
            case "forfeit":
                return [(steps.forfeit(self.today, self.today + timedelta(days=amount % 9)),)]
            case "shift":
                self.billed_until += timedelta(days=which)
                return [(steps.shift(self.today, which),)]
            case "waive":
                return [(steps.waive(self.today, buyable=True),)]
            case "forgive":
                return [(steps.forgive(),)]
            case "hold":
                return [(steps.put_on_hold(*bills),)]
            case "parked":
                return [(Step("park", {"payment": f"x{self.number}", "amount": amount}),)]
            case "unparked":
                parked = [name.of for name in self.account.balances if name.kind == "parked"]
                return [(Step("unpark", {"payment": one}),) for one in parked]
            case "by hand":
                return [(steps.give_credit(Money(amount if which % 2 else credit // 2, "EUR")),)]
            case "serve":
                return [(steps.serve(self.today),)]
            case "buy again":
                return [self.bought_again()]
            case _:
                return []

    def renewed(self, kind: str, amount: int) -> tuple[Step, ...]:
        bill, period = f"b{self.number}", BillingPeriod(self.billed_until, self.billed_until + timedelta(days=30))
        self.billed_until = period.end
        self.bills[bill] = [amount, *period]
        sold = steps.sell(bill, period, Money(amount, "EUR"))
        if kind == "declined":
            return (sold,)
        if kind == "invoice":
            self.invoices[bill] = None
            return sold, steps.put_on_invoice(bill)
        if kind == "credit used":
            return sold, steps.use_credit(bill)
        return sold, self.paid(amount, bill, transit=kind == "debit")

    def paid(self, amount: int, *bills: str, transit: bool = False) -> Step:
        payment = f"p{self.number}"
        self.asked[payment] = amount
        under_way = {"transit": True, "ask_on": self.today} if transit else {}
        return Step("capture", {"payment": payment, "amount": amount, "bills": list(bills) or None, **under_way})

    def reported(self, paid: bool, bill: str) -> list[tuple[Step, ...]]:
        if bill not in self.invoices or self.invoices[bill] is paid:
            return []
        before, self.invoices[bill] = self.invoices[bill], paid
        if paid:
            return [(steps.invoice_paid(f"R-{bill}", {bill: Money(self.bills[bill][0], "EUR")}),)]
        return [(steps.invoice_unpaid(f"R-{bill}", {bill: tuple(self.bills[bill])}, paid_before=before is True),)]

    def bought_again(self) -> tuple[Step, ...]:
        found: list[Step] = [steps.forget_returned()]
        for number, lot in enumerate(self.account.returned):
            start = max(lot.start, self.today)
            if start < lot.end:
                price = Money(lot.sold * (lot.end - start).days // lot.days, "EUR")
                bill = f"b{self.number}/{number}"
                found += [
                    steps.sell(bill, BillingPeriod(start, lot.end), price, again=True),
                    self.paid(price.minor, bill),
                ]
        return tuple(found)


ACTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(1, 5000), st.integers(0, 9), st.integers(0, 40)),
    min_size=1,
    max_size=25,
)


def drawn(seed: int) -> list[tuple[str, int, int, int]]:
    """Acts without a preference for few and small ones."""
    chosen = Random(seed)
    return [
        (chosen.choice(KINDS), chosen.randint(1, 5000), chosen.randint(0, 9), chosen.randint(0, 40))
        for _ in range(chosen.randint(1, 25))
    ]


def all_lived(count: int) -> None:
    for seed in range(count):
        lived(drawn(seed))


def lived(acts: list[tuple[str, int, int, int]]) -> Life:
    life = Life()
    for kind, amount, which, days in acts:
        life.act(kind, amount, which)
        life.today += timedelta(days=days if which % 3 == 0 else 0)
    return life


def test_thousands_of_lives_by_their_seeds() -> None:
    """Wider than a search for small ones: what meets only in long lives is found here."""
    all_lived(2_000)


@settings(max_examples=400, deadline=None)
@given(acts=ACTS)
def test_no_booking_makes_keeps_or_loses_money(acts: list[tuple[str, int, int, int]]) -> None:
    life = lived(acts)
    assert sum(amount.minor for amount in life.account.trial_balance().values()) == 0
    assert life.account.balance("clearing").minor == 0, "nothing is left in between"


@settings(max_examples=200, deadline=None)
@given(acts=ACTS, random=st.randoms(use_true_random=False))
def test_bookings_add_up_in_any_order(acts: list[tuple[str, int, int, int]], random: Any) -> None:
    life = lived(acts)
    mixed = list(life.bookings)
    random.shuffle(mixed)
    account = Account("EUR")
    for booking in mixed:
        account = account.after(booking)
    assert account.balances == life.account.balances
    whole = Booking()
    for booking in life.bookings:
        whole = joined(whole, booking)
    assert Account("EUR").after(whole).balances == life.account.balances
    assert Account("EUR").after(booked_so_far(life.account)) == life.account


@settings(max_examples=400, deadline=None)
@given(acts=ACTS, whole=st.booleans())
def test_paid_days_that_go_back_are_worth_what_comes_back_and_not_twice(
    acts: list[tuple[str, int, int, int]], whole: bool
) -> None:
    """The share of each lot's money by its days, worked out in fractions: one rounding a lot is allowed."""
    life = lived(acts)
    before = theirs(life.account)
    expected = Fraction(0)
    lots = [lot for lot in life.account.live if lot.end > life.today]
    bills = {lot.bill for lot in lots}
    for lot in [lot for lot in life.account.live if lot.bill in bills] if whole else lots:
        start = lot.start if whole else max(lot.start, life.today)
        paid = sum(n for by, n in life.account.sources(lot.id).items() if by not in ("due", *NEVER_PAID_BACK))
        expected += Fraction(paid * (lot.end - start).days, lot.days)
    owed = life.account.owed
    give_back = Step("give_back", {"since": life.today, "whole": whole})
    life.do(give_back)
    back = theirs(life.account) - before
    assert abs(back - expected) <= 2 * len(life.account.lots) + 2 * len(lots) + 2
    assert life.account.owed <= owed
    position = theirs(life.account), life.account.owed
    life.do(give_back)
    assert (theirs(life.account), life.account.owed) == position, "a second time gives nothing"
    assert life.account.worth(life.today).minor == 0


def theirs(account: Account) -> int:
    """Credit, and what is on its way back."""
    return account.credit.minor + account.balance("refund_due").minor


# -- planted faults


PLANTED: Mapping[str, tuple[Any, str, Any]] = {
    "failed money leaves what it paid for paid": (Draft, "unfund", lambda *_, **__: {}),
    "credit is used twice": (
        paying,
        "use_credit",
        lambda draft, bills=None, most=None: [
            draft.move(AccountName("credit"), AccountName("receivable", bill), draft.has("receivable", bill))
            for bill in bills or draft.owed_bills()
        ],
    ),
    "a favour is given out of nothing": (
        giving_back,
        "favour",
        lambda draft, payment, amount, reason="": draft.move(
            AccountName("gift"), AccountName("refund_due", payment), amount + draft.came(payment)
        ),
    ),
    "forfeited days are kept and still owed to the customer": (
        giving_back,
        "forfeit",
        lambda draft, since, until=date.max: draft.move(AccountName("gateway", "x"), AccountName("forfeited"), 100),
    ),
    "a refund is confirmed out of nothing": (
        banks,
        "confirm_refund",
        lambda draft, payment, amount, currency="", bills=None: draft.move(
            AccountName("cash"), AccountName("refunded", payment), 10**6
        ),
    ),
    "waived days stay service": (giving_back, "_waive", lambda draft, unpaid, bill, amount: _owe_less(draft, bill)),
}


def _owe_less(draft: Draft, bill: str) -> int:
    return draft.move(AccountName("forgiven"), AccountName("receivable", bill), draft.has("receivable", bill))


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_refused_at_the_booking(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, fault = PLANTED[planted]
    monkeypatch.setattr(where, name, fault)
    if name in steps.VERBS:
        monkeypatch.setattr(steps, "VERBS", {**steps.VERBS, name: fault})

    with pytest.raises(InvalidValue):
        all_lived(3_000)


def test_postings_are_named_and_in_one_currency() -> None:
    life = lived([("renew", 2000, 1, 0)])
    assert all(isinstance(posting, Posting) for booking in life.bookings for posting in booking.postings)
    assert {posting.amount.currency for booking in life.bookings for posting in booking.postings} == {"EUR"}
