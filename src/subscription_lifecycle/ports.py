"""What a host plugs in: a store, a payment gateway, and three callables.

`Clock` tells the time, aware. `Facts` answers, before a decision, what the snapshot lacks: JSON, asked with the
subscription (None where one is being created) and the command. A `Listener` hears of each entry after it is committed,
at least once, in order per subscription.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import attrs

from subscription_lifecycle.machine.decision import Decision
from subscription_lifecycle.model.charge import InvoiceLine, Reminder
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    CaptureRequest,
    ChargebackReversed,
    ChargedBack,
    Declined,
    Payment,
    PaymentOutcome,
    Processing,
    Refunded,
    RefundFailed,
)
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.state import State
from subscription_lifecycle.model.subscription import Subscription

__all__ = [
    "JSON",
    "ActionRequired",
    "Answer",
    "AsyncFacts",
    "AsyncListener",
    "AsyncPaymentGateway",
    "AsyncStore",
    "Attempt",
    "BulkStore",
    "CaptureRequest",
    "Captured",
    "ChargebackReversed",
    "ChargedBack",
    "ClaimTaken",
    "Clock",
    "Declined",
    "DeferringStore",
    "Facts",
    "InvoiceStore",
    "LeasingStore",
    "LedgerLine",
    "Listener",
    "ListingGateway",
    "ListingStore",
    "Parked",
    "ParkingStore",
    "PaymentGateway",
    "PaymentOutcome",
    "Processing",
    "RefundFailed",
    "Refunded",
    "RememberingStore",
    "SearchableStore",
    "Store",
    "Stored",
    "VerifyingGateway",
    "VoidingGateway",
    "Write",
]

JSON: TypeAlias = Any
"""What JSON carries unchanged: text, whole numbers, booleans, lists and mappings of them."""
Clock: TypeAlias = Callable[[], datetime]
"""Tells the time, aware."""
Facts: TypeAlias = Callable[[Subscription | None, Command], Mapping[str, JSON]]
"""Answers, before a decision, what the snapshot lacks."""
Listener: TypeAlias = Callable[[Entry], None]
"""Hears each entry after it is on record, at least once."""
AsyncFacts: TypeAlias = Callable[[Subscription | None, Command], Awaitable[Mapping[str, JSON]]]
"""Answers, before a decision, what the snapshot lacks; a coroutine function."""
AsyncListener: TypeAlias = Callable[[Entry], Awaitable[None]]
"""Hears each entry after it is on record, at least once; a coroutine function."""


@attrs.frozen(kw_only=True)
class Attempt:
    """The stored intent to move money for one decision, written before the money moves.

    `reference` names the payment everywhere: idempotency key, merchant reference, webhook. The decision is pinned: a
    resumed attempt is never decided again. `entries` are the entries written with it, `check_at` is when to look the
    payment up, `gives_up_at` when an unfinished one is given up; both are instants in UTC.
    """

    reference: str
    key: str
    decision: Decision
    payment: Payment
    first_version: int
    opened_at: datetime
    check_at: datetime
    gives_up_at: datetime

    @property
    def request(self) -> CaptureRequest:
        """What the gateway is asked, the same each time it is asked."""
        before = self.decision.before
        return CaptureRequest(
            reference=self.reference,
            amount=self.payment.amount,
            payment_method=self.payment.method,
            customer=before.customer,
            subscription=before.id,
            customer_present=not self.decision.timed,
            description=f"{before.plan.id}: {self.decision.command.title}",
        )


@attrs.frozen
class Answer:
    """What was answered under an idempotency key: which command it was, how it ended, and the versions it wrote.

    "open": its payment is not settled; "applied"; "declined": PaymentDeclined was raised.
    """

    key: str
    command: Command
    status: Literal["open", "applied", "declined"]
    first_version: int
    last_version: int
    reminders: tuple[Reminder, ...] = ()


@attrs.frozen
class Stored:
    """What a store holds of one subscription: snapshot, open attempt, and the answer given under the key asked for."""

    subscription: Subscription
    attempt: Attempt | None = None
    answer: Answer | None = None


@attrs.frozen(kw_only=True)
class Write:
    """One transaction: all of it or nothing.

    The stored version must be `expected` (0: nothing is stored yet), else ConcurrentChange; a write whose `id` was
    written before does nothing, whatever came after. `subscription` replaces the snapshot, `attempt` the open attempt
    (None: none is open), `entries` are appended, `answers` replace those of their keys, `claims` are taken (ClaimTaken
    when another subscription holds one), and the invoice lines in the entries become open lines of their customer.
    `due_at`: when the clock must look again (UTC), None for never.
    """

    id: str
    expected: int
    subscription: Subscription
    entries: tuple[Entry, ...]
    attempt: Attempt | None
    answers: tuple[Answer, ...]
    due_at: datetime | None
    claims: tuple[str, ...] = ()


class ClaimTaken(Exception):
    """A unique key is held by another subscription; nothing was written."""


class Store(Protocol):
    """Where subscriptions live. May be shared between threads. `check_store` in `testing` proves an implementation."""

    def load(self, id: str, key: str | None, /) -> Stored | None:
        """Everything needed to decide, in one consistent read."""
        ...

    def write(self, write: Write, /) -> None:
        """One transaction, as Write says. Raises ConcurrentChange or ClaimTaken; then nothing was written."""
        ...

    def find(self, reference: str, /) -> str | None:
        """The subscription that a payment was ever asked for."""
        ...

    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        """Ids whose `due_at` is not later, the earliest first."""
        ...

    def history(self, id: str, /) -> Sequence[Entry]:
        """All entries, by version."""
        ...

    def undelivered(self, limit: int, /) -> Sequence[Entry]:
        """Entries not yet marked delivered, by version within a subscription."""
        ...

    def delivered(self, entries: Sequence[Entry], /) -> None:
        """Mark them; marking twice does nothing."""
        ...


@runtime_checkable
class BulkStore(Protocol):
    """A store that reads and writes many subscriptions for little more than the price of one.

    A sweep uses it; `load` and `write` stay what they are. An exception in place of an answer is what `load` or `write`
    would have raised for that one.
    """

    def load_many(self, wanted: Sequence[tuple[str, str | None]], /) -> Sequence[Stored | Exception | None]:
        """As `load` for each id and key, in that order; each is consistent by itself."""
        ...

    def write_many(self, writes: Sequence[Write], /) -> Sequence[Exception | None]:
        """As `write` for each, in that order: each all or nothing by itself, whatever becomes of the others.

        Raised instead of answered: any of them may be on record. Each has an id, so they can be written again.
        """
        ...


@runtime_checkable
class SearchableStore(Protocol):
    """A store that lists subscriptions, by id."""

    def search(
        self, customer: str | None, states: Sequence[State] | None, after: str | None, limit: int, /
    ) -> Sequence[Subscription]:
        """Those of a customer, in one of the states, with ids after that one."""
        ...


@runtime_checkable
class ListingStore(Protocol):
    """A store that says for which subscriptions money was asked, so that a ledger can be held against the entries."""

    def payers(self, since: datetime, /) -> Sequence[str]:
        """Ids with an entry about a payment recorded at or after that instant; by id, each once."""
        ...


@runtime_checkable
class InvoiceStore(Protocol):
    """A store that keeps invoice lines."""

    def take_invoice_lines(self, customer: str, invoice: str, /) -> Sequence[InvoiceLine]:
        """Put every open line of the customer on that invoice, and return its lines.

        Again: the same lines. An invoice that has lines may have been sent; what came later waits for another one.
        """
        ...

    def invoice_lines(self, invoice: str, /) -> Sequence[InvoiceLine]:
        """The lines of an invoice."""
        ...


@runtime_checkable
class LeasingStore(Protocol):
    """A store that deals out what is due, so that several sweepers do not ask for the same."""

    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        """As `due(until, limit)`, less what another lease holds that ends after `until`; leased until `expires`.

        Two who ask at once never get the same id, and neither waits for the other. A lease is no lock: it only says
        who looks first, and ends by itself when its sweeper dies.
        """
        ...


@attrs.frozen
class Parked:
    """What waits for somebody: an entry that listeners fail on, a snapshot that the mirror failed to copy, or a
    subscription whose sweep fails again and again."""

    what: Literal["entry", "mirror", "subscription"]
    subscription: str
    version: int
    error: str


@runtime_checkable
class ParkingStore(Protocol):
    """A store that sets aside what cannot be delivered: it is seen, and blocks nothing else."""

    def failed(self, entry: Entry, error: str, /) -> int:
        """One more failed delivery of this entry. Answers how many there were."""
        ...

    def park(self, entry: Entry, /) -> None:
        """`undelivered` offers it no more; `parked` lists it, with the last error."""
        ...

    def parked(self) -> Sequence[Parked]:
        """Everything parked, by subscription and version."""
        ...

    def unpark(self, subscription: str, version: int, /) -> None:
        """Offer that entry to `undelivered` again, its failures forgotten. What is not parked stays as it is."""
        ...


@runtime_checkable
class DeferringStore(Protocol):
    """A store that lets a subscription wait whose sweep keeps failing. Any write to it ends that.

    What is deferred is among `parked`, as "subscription" with its version and its last error, where the store is a
    ParkingStore too; `unpark` with that version does what `forget` does.
    """

    def stumbled(self, errors: Mapping[str, str], /) -> Mapping[str, int]:
        """One more failure of each, and how it failed. Answers how many in a row, by id; unknown ids are left out."""
        ...

    def defer(self, until: Mapping[str, datetime], /) -> None:
        """Neither `due` nor `lease` answers them before then, if they have stumbled since they were last written."""
        ...

    def forget(self, ids: Sequence[str], /) -> None:
        """Their failures are forgotten, and who was deferred is due when it was before."""
        ...


@runtime_checkable
class RememberingStore(Protocol):
    """A store that keeps the gateway's own name of a payment, for gateways that must be asked by it."""

    def remember(self, reference: str, gateway_id: str, /) -> str:
        """On record when it returns. The first name given to a reference stays; answers the one that stays."""
        ...

    def recall(self, reference: str, /) -> str | None:
        """The name given to a reference; None: there never was one."""
        ...


class PaymentGateway(Protocol):
    """Where money is. `capture` *returns* a decline; whatever it *raises* means that nobody knows.

    May be shared between threads: a sweep captures several payments at once.
    `idempotency_window`: how long the gateway remembers a reference; None: for ever.
    """

    @property
    def idempotency_window(self) -> timedelta | None: ...

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        """Take the money. The same reference again is the same payment."""
        ...

    def find(self, reference: str, /) -> PaymentOutcome | None:
        """What became of a payment. None: there is certainly nothing there."""
        ...

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        """Give back part of a captured payment; idempotent by the payment's reference."""
        ...


class AsyncStore(Protocol):
    """A store whose methods are coroutines, and otherwise as Store says."""

    async def load(self, id: str, key: str | None, /) -> Stored | None: ...
    async def write(self, write: Write, /) -> None: ...
    async def find(self, reference: str, /) -> str | None: ...
    async def due(self, until: datetime, limit: int, /) -> Sequence[str]: ...
    async def history(self, id: str, /) -> Sequence[Entry]: ...
    async def undelivered(self, limit: int, /) -> Sequence[Entry]: ...
    async def delivered(self, entries: Sequence[Entry], /) -> None: ...


class AsyncPaymentGateway(Protocol):
    """A gateway whose methods are coroutines, and otherwise as PaymentGateway says."""

    @property
    def idempotency_window(self) -> timedelta | None: ...
    async def capture(self, request: CaptureRequest, /) -> PaymentOutcome: ...
    async def find(self, reference: str, /) -> PaymentOutcome | None: ...
    async def refund(self, reference: str, amount: Money, /) -> Refunded: ...


@runtime_checkable
class VoidingGateway(Protocol):
    """A gateway that can stop a payment before it is captured."""

    def void(self, reference: str, /) -> bool:
        """Whether it is certain now that this payment will not be captured."""
        ...


@runtime_checkable
class VerifyingGateway(Protocol):
    """A gateway that can look at a payment method without charging it."""

    def verify(self, payment_method: PaymentMethod, /) -> Declined | None:
        """Why it cannot be used; None when it can."""
        ...


@attrs.frozen
class LedgerLine:
    """One payment as the gateway has it: under our reference, what it took and what it gave back.

    `outcome` is how the payment stands, `at` the instant (UTC) at which it was made.
    """

    reference: str
    gateway_id: str
    outcome: PaymentOutcome
    captured: Money
    refunded: Money
    at: datetime


@runtime_checkable
class ListingGateway(Protocol):
    """A gateway whose ledger can be read."""

    def payments(self, since: datetime, /) -> Iterable[LedgerLine]:
        """Every payment made at or after that instant, in any order; only those that carry a reference."""
        ...
