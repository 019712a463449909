"""The ledger of a gateway held against what is on record: nothing lost, nothing doubled, nothing kept."""

from __future__ import annotations

import pickle
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from subscription_lifecycle import Money, Subscription, Subscriptions
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.ports import Store
from subscription_lifecycle.testing import laws
from subscription_lifecycle.testing.fakes import Capture, FakeClock, Refund
from subscription_lifecycle.testing.law import Law
from subscription_lifecycle.testing.laws.money import refunds_asked, used_by_lines
from subscription_lifecycle.testing.step import whole_life

LAWS: tuple[Law, ...] = (
    laws.money_adds_up,
    laws.debts_stay,
    laws.final_is_final,
    laws.history_is_the_truth,
    laws.time_is_honest,
)


@attrs.define
class Books:
    """What the gateway's ledger on disk says, with the names that FakeGateway has. `charged_back`: by reference."""

    captures: list[Capture]
    refunds: list[Refund]
    charged_back: dict[str, Money]
    asked: dict[str, str]
    """Every payment ever asked for: of which subscription."""

    @classmethod
    def read(cls, ledger: Path) -> Books:
        with closing(sqlite3.connect(ledger)) as database:
            payments = {row[0]: row[1:] for row in database.execute("SELECT * FROM payments")}
            captures = []
            for reference, minor, currency in database.execute("SELECT reference, minor, currency FROM captures"):
                subscription, customer, _, _, method, _, at, _ = payments[reference]
                captures.append(
                    Capture(
                        reference,
                        Money(minor, currency),
                        pickle.loads(method),
                        customer,
                        subscription,
                        datetime.fromisoformat(at),
                    )
                )
            refunds = [
                Refund(reference, Money(minor, currency))
                for reference, minor, currency in database.execute("SELECT reference, minor, currency FROM refunds")
            ]
            back = {reference: Money(*rest) for reference, *rest in database.execute("SELECT * FROM chargebacks")}
        return cls(captures, refunds, back, {reference: row[0] for reference, row in payments.items()})


@attrs.define
class Audit:
    """Figures of all subscriptions: minor units by currency, and counts. `problems` must be empty."""

    subscriptions: int = 0
    entries: int = 0
    captures: int = 0
    refunds: int = 0
    chargebacks: int = 0
    money: dict[str, Counter[str]] = attrs.Factory(dict)
    lost: list[str] = attrs.Factory(list)
    doubled: list[str] = attrs.Factory(list)
    kept: list[str] = attrs.Factory(list)
    broken: list[str] = attrs.Factory(list)

    @property
    def problems(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.kept, *self.broken]

    def __str__(self) -> str:
        lines = [
            f"{self.subscriptions} subscriptions, {self.entries} entries",
            f"{self.captures} captures, {self.refunds} refunds, {self.chargebacks} chargebacks",
            *(
                f"{currency}: {', '.join(f'{name} {amount}' for name, amount in sums.items())}"
                for currency, sums in sorted(self.money.items())
            ),
            f"lost {len(self.lost)}, doubled {len(self.doubled)}, kept {len(self.kept)}, other {len(self.broken)}",
        ]
        return "\n".join(lines)


def audited(store: Store, books: Books) -> Audit:
    found = Audit(captures=len(books.captures), refunds=len(books.refunds), chargebacks=len(books.charged_back))
    times = Counter(capture.reference for capture in books.captures)
    found.doubled += [f"{reference} was captured {count} times" for reference, count in times.items() if count > 1]
    given = Counter(refund.reference for refund in books.refunds)
    found.doubled += [f"{reference} was refunded {count} times" for reference, count in given.items() if count > 1]
    for capture in books.captures:
        if store.find(capture.reference) != capture.subscription:
            found.kept.append(f"{capture.reference} was captured for {capture.subscription} and is on no record")
    for subscription in every(store):
        found.subscriptions += 1
        _one(store, books, subscription, found)
    return found


def every(store: Any) -> Iterable[Subscription]:
    """All subscriptions, by id."""
    after: str | None = None
    while page := store.search(None, None, after, 500):
        yield from page
        after = page[-1].id


def _one(store: Store, books: Books, subscription: Subscription, found: Audit) -> None:
    id, history = subscription.id, tuple(store.history(subscription.id))
    stored = store.load(id, None)
    assert stored is not None
    found.entries += len(history)
    if stored.attempt is not None:
        found.broken.append(f"{id} has an open payment")
    if subscription.refunds:
        found.broken.append(f"{id} has an open refund")
    _count(books, subscription, history, found)
    subs = Subscriptions(store, clock=FakeClock(max(entry.recorded_at for entry in history)))
    step = whole_life(subs, id, books)
    for law in LAWS:
        try:
            law(step)
        except AssertionError as error:
            found.broken.append("\n".join([f"{id}: {error}", *error.__notes__]))


def _count(books: Books, subscription: Subscription, history: Sequence[Entry], found: Audit) -> None:
    """Captured, less refunded and charged back, is what the lines say that money paid, less what they say went back."""
    id, sums = subscription.id, found.money.setdefault(subscription.currency, Counter())
    captured = {capture.reference: capture.amount.minor for capture in books.captures if capture.subscription == id}
    refunded = {refund.reference: refund.amount.minor for refund in books.refunds if refund.reference in captured}
    back = {reference: money.minor for reference, money in books.charged_back.items() if reference in captured}
    known = _known(history)
    found.lost += [f"{id}: {one} is on record as captured, and is not" for one in known.keys() - captured.keys()]
    found.kept += [f"{id}: {one} was captured, and no entry says so" for one in captured.keys() - known.keys()]
    for reference in captured.keys() & known.keys():
        if captured[reference] != known[reference]:
            found.kept.append(f"{id}: {reference} took {captured[reference]}, on record is {known[reference]}")
    asked = refunds_asked(history)
    for reference in asked.keys() | refunded.keys():
        one, other = asked.get(reference, 0), refunded.get(reference, 0)
        if one != other:
            (found.kept if one > other else found.lost).append(f"{id}: {reference}: {one} to go back, {other} did")
    # A debit that was counted on and never came is owed, and no money.
    used = {reference: amount for reference, amount in used_by_lines(history).items() if reference in captured}
    for reference in captured.keys() & known.keys() - back.keys():
        # What came late and paid for nothing went back, and so did what it was too much.
        rest = captured[reference] - used.get(reference, 0)
        if rest < 0 or rest > asked[reference]:
            found.kept.append(f"{id}: {reference} took {captured[reference]} for {used.get(reference, 0)}")
    late = sum(captured.values()) - sum(used.values())
    sums["captured"] += sum(captured.values())
    sums["refunded"] += sum(refunded.values())
    sums["charged back"] += sum(back.values())
    sums["left"] += sum(captured.values()) - sum(refunded.values()) - sum(back.values())
    sums["paid by money, on record"] += sum(used.values())
    sums["came late, on record"] += late
    sums["to go back, on record"] += sum(asked.values())
    sums["credit"] += 0 if subscription.credit is None else subscription.credit.minor


def _known(history: Sequence[Entry]) -> dict[str, int]:
    """What is on record as captured, whatever became of it."""
    return {
        entry.payment.reference: entry.payment.amount.minor
        for entry in history
        if entry.payment is not None and entry.payment.status == "captured"
    }
