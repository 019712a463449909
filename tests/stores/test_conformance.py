"""Every store of ours keeps every promise; and a store that breaks one is caught, so the suite can fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.postgresql import Server

from subscription_lifecycle import ConcurrentChange, Entry, InvoiceLine, MemoryStore, State, Subscription
from subscription_lifecycle.adapters.sqlalchemy import Mirror, SQLStore
from subscription_lifecycle.ports import ClaimTaken, Store, Stored, Write
from subscription_lifecycle.testing.conformance import check_store


def test_the_store_in_memory() -> None:
    check_store(MemoryStore)


@pytest.mark.slow
def test_the_sql_store_on_sqlite_in_memory() -> None:
    check_store(lambda: SQLStore("sqlite://"))


@pytest.mark.slow
def test_the_sql_store_on_an_sqlite_file(tmp_path: Path) -> None:
    numbers = count()
    check_store(lambda: SQLStore(tmp_path / f"{next(numbers)}.sqlite"))


def fails(connection: Any, subscription: Subscription) -> None:
    raise RuntimeError("the mirror is down")


@pytest.mark.slow
def test_the_sql_store_with_a_mirror(tmp_path: Path) -> None:
    numbers = count()
    check_store(lambda: SQLStore(tmp_path / f"{next(numbers)}.sqlite", mirror=fails))


@pytest.mark.slow
@pytest.mark.parametrize("mirror", [None, fails], ids=["alone", "with a mirror"])
def test_the_sql_store_on_postgresql(postgresql_server: Server, postgresql_url: str, mirror: Mirror | None) -> None:
    SQLStore(postgresql_url).close()
    empty, stores = postgresql_url.partition("?")[0].rpartition("/")[2], list[SQLStore]()

    def make() -> SQLStore:
        for store in stores:
            store.close()
        stores.append(SQLStore(postgresql_server.create(template=empty), mirror=mirror))
        return stores[-1]

    check_store(make)
    for store in stores:
        store.close()
        postgresql_server.drop(store.engine.url.render_as_string(hide_password=False))


class OnlyTheCore:
    """The seven methods and nothing else: the optional capabilities are optional."""

    def __init__(self) -> None:
        store = MemoryStore()
        self.load, self.write, self.find, self.due = store.load, store.write, store.find, store.due
        self.history, self.undelivered, self.delivered = store.history, store.undelivered, store.delivered


def test_a_store_without_capabilities() -> None:
    check_store(OnlyTheCore)


# -- broken on purpose: each breaks one promise


class IgnoresExpected(MemoryStore):
    def write(self, write: Write, /) -> None:
        stored = self.load(write.subscription.id, None)
        super().write(attrs.evolve(write, expected=stored.subscription.version if stored else 0))


class OnlyKeepsVersionsUnique(MemoryStore):
    """No version is compared: a constraint on the entries' versions must do."""

    def write(self, write: Write, /) -> None:
        stored = self.load(write.subscription.id, None)
        there = {entry.version for entry in self.history(write.subscription.id)}
        written = stored is not None and write.id in self._records[write.subscription.id].writes
        if not written and there & {entry.version for entry in write.entries}:
            raise ConcurrentChange(write.subscription.id)
        if (stored is None) == (write.expected == 0):
            write = attrs.evolve(write, expected=stored.subscription.version if stored else 0)
        super().write(write)


class ForgetsWriteIds(MemoryStore):
    def write(self, write: Write, /) -> None:
        super().write(write)
        self._records[write.subscription.id].writes.clear()


class RemembersOnlyTheLastWriteId(MemoryStore):
    def write(self, write: Write, /) -> None:
        super().write(write)
        self._records[write.subscription.id].writes &= {write.id}


class RepeatsAppend(MemoryStore):
    def write(self, write: Write, /) -> None:
        record = self._records.get(write.subscription.id)
        if record is not None and write.id in record.writes:
            record.entries += write.entries
        super().write(write)


class RepeatsAreDeliveredAgain(MemoryStore):
    def write(self, write: Write, /) -> None:
        super().write(write)
        self._undelivered |= {entry.id: entry for entry in write.entries}


class WritesHalfBeforeTheConflict(MemoryStore):
    def write(self, write: Write, /) -> None:
        try:
            super().write(write)
        except ConcurrentChange:
            self._records.setdefault(write.subscription.id, self._records[write.subscription.id]).due_at = write.due_at
            self._undelivered |= {f"{entry.id} again": entry for entry in write.entries}
            raise


class LosesAttempts(MemoryStore):
    def load(self, id: str, key: str | None, /) -> Stored | None:
        stored = super().load(id, key)
        return stored and attrs.evolve(stored, attempt=None)


class KeepsOldAttempts(MemoryStore):
    def write(self, write: Write, /) -> None:
        before = self.load(write.subscription.id, None)
        super().write(write)
        if write.attempt is None and before is not None:
            self._records[write.subscription.id].attempt = before.attempt


class LosesAnswers(MemoryStore):
    def load(self, id: str, key: str | None, /) -> Stored | None:
        return super().load(id, None)


class KeepsTheFirstAnswer(MemoryStore):
    def write(self, write: Write, /) -> None:
        record = self._records.get(write.subscription.id)
        kept = dict(record.answers) if record else {}
        super().write(write)
        self._records[write.subscription.id].answers |= kept


class SharesKeysBetweenSubscriptions(MemoryStore):
    def load(self, id: str, key: str | None, /) -> Stored | None:
        stored = super().load(id, key)
        found = [record.answers[key] for record in self._records.values() if key in record.answers]
        return stored if stored is None or not found else attrs.evolve(stored, answer=found[-1])


class LosesMetadata(MemoryStore):
    def load(self, id: str, key: str | None, /) -> Stored | None:
        stored = super().load(id, key)
        return stored and attrs.evolve(stored, subscription=stored.subscription.changed({"metadata": {}}))


class FindsOnlyOpenPayments(MemoryStore):
    def find(self, reference: str, /) -> str | None:
        found = super().find(reference)
        attempt = None if found is None else self._records[found].attempt
        return found if attempt is not None and attempt.reference == reference else None


class FindsAnything(MemoryStore):
    def find(self, reference: str, /) -> str | None:
        return super().find(reference) or next(iter(self._records), None)


class DueById(MemoryStore):
    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        return sorted(super().due(until, limit))


class DueWithoutLimit(MemoryStore):
    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        return super().due(until, 1_000_000)


class DueLimitsBeforeItSorts(MemoryStore):
    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        ids = list(self._records)[:limit]
        return [id for id in super().due(until, 1_000_000) if id in ids]


class DueTooLate(MemoryStore):
    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        return [id for id in super().due(until, limit) if self._records[id].due_at != until]


class DueByTheDay(MemoryStore):
    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        return super().due(until.replace(hour=23, minute=59), limit)


class HistoryBackwards(MemoryStore):
    def history(self, id: str, /) -> Sequence[Entry]:
        return super().history(id)[::-1]


class HistoryLosesTheLast(MemoryStore):
    def history(self, id: str, /) -> Sequence[Entry]:
        return super().history(id)[:-1]


class OutboxBackwards(MemoryStore):
    def undelivered(self, limit: int, /) -> Sequence[Entry]:
        return super().undelivered(1_000_000)[::-1][:limit]


class OutboxHoldsOneEntryPerWrite(MemoryStore):
    def write(self, write: Write, /) -> None:
        super().write(write)
        for entry in write.entries[1:]:
            self._undelivered.pop(entry.id, None)


class OutboxWithoutLimit(MemoryStore):
    def undelivered(self, limit: int, /) -> Sequence[Entry]:
        return super().undelivered(1_000_000)


class DeliveredTwiceFails(MemoryStore):
    def delivered(self, entries: Sequence[Entry], /) -> None:
        for entry in entries:
            del self._undelivered[entry.id]


class DeliversEverythingAtOnce(MemoryStore):
    def delivered(self, entries: Sequence[Entry], /) -> None:
        self._undelivered.clear()


class DeliveredIsNoHistory(MemoryStore):
    def delivered(self, entries: Sequence[Entry], /) -> None:
        super().delivered(entries)
        for entry in entries:
            record = self._records[entry.subscription]
            record.entries = [kept for kept in record.entries if kept.id != entry.id]


class IgnoresClaims(MemoryStore):
    def write(self, write: Write, /) -> None:
        super().write(attrs.evolve(write, claims=()))


class TakesClaimsBeforeItFails(MemoryStore):
    def write(self, write: Write, /) -> None:
        try:
            super().write(write)
        except ClaimTaken:
            self._claims = dict.fromkeys(write.claims, write.subscription.id) | self._claims
            raise


class WritesThoughAClaimIsTaken(MemoryStore):
    def write(self, write: Write, /) -> None:
        try:
            super().write(write)
        except ClaimTaken:
            super().write(attrs.evolve(write, claims=()))
            raise


class RefusesItsOwnClaim(MemoryStore):
    def write(self, write: Write, /) -> None:
        if any(claim in self._claims for claim in write.claims):
            raise ClaimTaken(write.claims)
        super().write(write)


class TwoWritersAtOnce(MemoryStore):
    """No transaction: both look before either writes."""

    def __init__(self) -> None:
        super().__init__()
        self._both = threading.Barrier(2, timeout=0.5)

    def write(self, write: Write, /) -> None:
        stored = self.load(write.subscription.id, None)
        if (stored.subscription.version if stored else 0) != write.expected:
            return super().write(write)
        if "one writer" in write.id or "another" in write.id:
            try:
                self._both.wait()
            except threading.BrokenBarrierError:
                pass
            stored = self.load(write.subscription.id, None)
            write = attrs.evolve(write, expected=stored.subscription.version if stored else 0)
        return super().write(write)


class SearchIgnoresTheCustomer(MemoryStore):
    def search(
        self, customer: str | None, states: Sequence[State] | None, after: str | None, limit: int, /
    ) -> Sequence[Subscription]:
        return super().search(None, states, after, limit)


class SearchIgnoresStates(MemoryStore):
    def search(
        self, customer: str | None, states: Sequence[State] | None, after: str | None, limit: int, /
    ) -> Sequence[Subscription]:
        return super().search(customer, states or None, after, limit)


class SearchPagesFromTheId(MemoryStore):
    def search(
        self, customer: str | None, states: Sequence[State] | None, after: str | None, limit: int, /
    ) -> Sequence[Subscription]:
        return super().search(customer, states, after and after[:-1], limit)[:limit] if after != "waits" else []


class SearchUnordered(MemoryStore):
    def search(
        self, customer: str | None, states: Sequence[State] | None, after: str | None, limit: int, /
    ) -> Sequence[Subscription]:
        return super().search(customer, states, after, 1_000_000)[::-1][:limit]


class TakesLinesOfEverybody(MemoryStore):
    def take_invoice_lines(self, customer: str, invoice: str, /) -> Sequence[InvoiceLine]:
        for other in {line.customer for line in self._lines.values()}:
            super().take_invoice_lines(other, invoice if other == customer else f"{invoice} too")
        return self.invoice_lines(invoice)


class TakesLinesTwice(MemoryStore):
    def take_invoice_lines(self, customer: str, invoice: str, /) -> Sequence[InvoiceLine]:
        self._lines = {id: attrs.evolve(line, invoice=None) for id, line in self._lines.items()}
        return super().take_invoice_lines(customer, invoice)


class TakesLinesThatCameLater(MemoryStore):
    def take_invoice_lines(self, customer: str, invoice: str, /) -> Sequence[InvoiceLine]:
        later = super().take_invoice_lines(customer, "later")
        self._lines |= {line.id: attrs.evolve(line, invoice=invoice) for line in later}
        return self.invoice_lines(invoice)


BROKEN: dict[Callable[[], Store], str] = {
    IgnoresExpected: "A write that expects another version raises ConcurrentChange.",
    OnlyKeepsVersionsUnique: "A write whose predecessor was left out raises ConcurrentChange.",
    ForgetsWriteIds: "A repeated write does nothing, whatever came after.",
    RemembersOnlyTheLastWriteId: "A repeated write does nothing, whatever came after.",
    RepeatsAppend: "A repeated write does nothing, whatever came after.",
    RepeatsAreDeliveredAgain: "A repeated write does not deliver anything again.",
    WritesHalfBeforeTheConflict: "A write that raises ConcurrentChange leaves nothing behind.",
    LosesAttempts: "load('waits', None) answers what was written.",
    KeepsOldAttempts: "load('by_card', None) answers what was written.",
    LosesAnswers: "load('waits', 'start') answers what was written.",
    KeepsTheFirstAnswer: "load('waits', 'start') answers what was written.",
    SharesKeysBetweenSubscriptions: "load('waits', 'start') answers what was written.",
    LosesMetadata: "load('later', None) answers what was written.",
    FindsOnlyOpenPayments: "find answers whose payment it is, also when its attempt is closed.",
    FindsAnything: "find answers None for a reference never asked for.",
    DueById: "due answers ids by due date, and not those that are never due.",
    DueWithoutLimit: "due answers no more than the limit, the earliest.",
    DueLimitsBeforeItSorts: "due answers no more than the limit, the earliest.",
    DueTooLate: "due answers what is due at the instant itself.",
    DueByTheDay: "due answers nothing that is due a microsecond later.",
    HistoryBackwards: "history is by version.",
    HistoryLosesTheLast: "history is by version.",
    OutboxBackwards: "The outbox is by version within a subscription.",
    OutboxHoldsOneEntryPerWrite: "Every entry waits in the outbox.",
    OutboxWithoutLimit: "undelivered answers no more than the limit, the first.",
    DeliveredTwiceFails: "While trying that the outbox is in order, the store raised",
    DeliversEverythingAtOnce: "What is marked delivered is gone; marking twice does nothing.",
    DeliveredIsNoHistory: "What is delivered stays in the history.",
    IgnoresClaims: "A claim that another subscription holds raises ClaimTaken.",
    TakesClaimsBeforeItFails: "While trying that claims are exclusive, the store raised",
    WritesThoughAClaimIsTaken: "A write that raises ClaimTaken leaves nothing behind.",
    RefusesItsOwnClaim: "While trying that a stale write changes nothing, the store raised",
    TwoWritersAtOnce: "Of two threads writing one version exactly one wins, not 2: [].",
    SearchIgnoresTheCustomer: "search answers those of a customer.",
    SearchIgnoresStates: "search answers nothing when no state will do.",
    SearchPagesFromTheId: "Pages of a search, each after the last id, are the whole.",
    SearchUnordered: "search answers all subscriptions by id.",
    TakesLinesOfEverybody: "An invoice takes no line of another customer.",
    TakesLinesTwice: "An invoice that was taken takes no line that came later.",
    TakesLinesThatCameLater: "An invoice that was taken takes no line that came later.",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_store_is_caught(broken: Callable[[], Store]) -> None:
    with pytest.raises(AssertionError) as caught:
        check_store(broken)
    assert str(caught.value).startswith(BROKEN[broken])
