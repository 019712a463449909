"""What the flow asks for. A driver answers each; each passes one place, so tests can die at every one of them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import attrs

from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import CaptureRequest
from subscription_lifecycle.model.state import State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Write


@attrs.frozen
class Now:
    """The time, once for a command's decision and once for its fact. Answer: an aware datetime in UTC."""


@attrs.frozen
class Load:
    """Answer: Stored or None."""

    id: str
    key: str | None


@attrs.frozen
class AskFacts:
    """Answer: a mapping of JSON."""

    subscription: Subscription | None
    command: Command


@attrs.frozen
class Save:
    """One transaction. Answer: None."""

    write: Write


@attrs.frozen
class Capture:
    """Move money. No transaction is open. Answer: PaymentOutcome; anything raised means unknown."""

    request: CaptureRequest


@attrs.frozen
class LookUp:
    """Answer: PaymentOutcome, or None when there is certainly nothing."""

    reference: str


@attrs.frozen
class VoidPayment:
    """Answer: whether it is certain that the payment will not be captured."""

    reference: str


@attrs.frozen
class GiveBack:
    """Answer: Refunded."""

    reference: str
    amount: Money


@attrs.frozen
class FindPayment:
    """Answer: the subscription a payment belongs to, or None."""

    reference: str


@attrs.frozen
class ReadHistory:
    """Answer: all entries."""

    id: str


@attrs.frozen
class FindDue:
    """Answer: ids that are due, the earliest first."""

    until: datetime
    limit: int


@attrs.frozen
class LeaseDue:
    """Answer: ids that are due, the earliest first, and that nobody else is given before `expires`."""

    until: datetime
    limit: int
    expires: datetime


@attrs.frozen
class FindSubscriptions:
    """Answer: snapshots, by id."""

    customer: str | None
    states: tuple[State, ...] | None
    after: str | None
    limit: int


@attrs.frozen
class ReadLedger:
    """Answer: every payment as the gateway has it, made at or after that instant: a tuple of LedgerLine."""

    since: datetime


@attrs.frozen
class FindPayers:
    """Answer: ids of what an entry about a payment was recorded for since then; None where the store cannot say."""

    since: datetime


@attrs.frozen
class FindParked:
    """Answer: everything parked; nothing where the store parks nothing."""


@attrs.frozen
class TakeInvoiceLines:
    """Answer: the lines of the invoice."""

    customer: str
    invoice: str


@attrs.frozen
class ReadInvoice:
    """Answer: the lines of the invoice."""

    invoice: str


@attrs.frozen
class FindUndelivered:
    """Answer: entries that no listener has heard of yet."""

    limit: int


@attrs.frozen
class Tell:
    """Tell every listener. Answer: None."""

    entry: Entry


@attrs.frozen
class CountFailure:
    """A listener failed on this entry. Answer: how often that has been so; 0 where the store does not count."""

    entry: Entry
    error: str


@attrs.frozen
class Park:
    """Offer the entry no more. Answer: None."""

    entry: Entry


@attrs.frozen
class MarkDelivered:
    """Answer: None."""

    entries: tuple[Entry, ...]


@attrs.frozen
class LoadMany:
    """What several flows load, in one reading. Answer: for each Stored or None, or the exception that it raised."""

    loads: tuple[Load, ...]


@attrs.frozen
class SaveMany:
    """What several flows write, each all or nothing by itself. Answer: for each None, or the exception it raised."""

    saves: tuple[Save, ...]


@attrs.frozen
class AtOnce:
    """What several flows ask of the gateway, no more than `limit` at a time. Each part is performed as itself.

    Answer: for each its own answer, or the exception that it raised.
    """

    parts: tuple[Capture | LookUp | VoidPayment | GiveBack, ...]
    limit: int


@attrs.frozen
class CountStumbles:
    """The sweep of these failed: how, by id. Answer: how often in a row, by id; none where the store does not count."""

    errors: Mapping[str, str]


@attrs.frozen
class Defer:
    """Offer these no more before an instant. Answer: None."""

    until: Mapping[str, datetime]


@attrs.frozen
class ForgetStumbles:
    """The sweep of these did not fail. Answer: None."""

    ids: tuple[str, ...]


Effect: TypeAlias = (
    Now
    | Load
    | AskFacts
    | Save
    | Capture
    | LookUp
    | VoidPayment
    | GiveBack
    | FindPayment
    | ReadHistory
    | FindDue
    | LeaseDue
    | FindSubscriptions
    | ReadLedger
    | FindPayers
    | FindParked
    | TakeInvoiceLines
    | ReadInvoice
    | FindUndelivered
    | Tell
    | CountFailure
    | Park
    | MarkDelivered
    | LoadMany
    | SaveMany
    | AtOnce
    | CountStumbles
    | Defer
    | ForgetStumbles
)
T = TypeVar("T")
Flow: TypeAlias = Generator[Effect, Any, T]
