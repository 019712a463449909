"""What happened: append-only, and enough to make the snapshot again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.charge import Charge, Debt, InvoiceLine, Terms
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.payment import Payment
from subscription_lifecycle.model.schedule import BillingPeriod
from subscription_lifecycle.model.subscription import Subscription

Event = Literal[
    "applied",
    "held",
    "attempted",
    "awaiting",
    "mismatched",
    "declined",
    "abandoned",
    "late",
    "settled",
    "failed",
    "reversed",
    "refunded",
    "refund_failed",
]


class Change(NamedTuple):
    """One field of the snapshot: before and after. The first entry of a history has nothing before."""

    before: Any
    after: Any


@attrs.frozen(kw_only=True)
class Entry:
    """One stored fact: what, who, when it holds, when it was written, why, which money, dates and facts.

    `event`: a row was `applied`; a charge was `held` because several fell due at once; a payment was `attempted`, is
    `awaiting` somebody, was `declined` or `abandoned`, or took another amount (`mismatched`); money came `late`, a
    submitted debit was `settled` or `failed`, a chargeback was `reversed` that nobody was told of; a refund was
    confirmed (`refunded`) or did not arrive (`refund_failed`).
    `effective_at` is when it holds, `recorded_at` when it was written (never decreasing); both are instants in UTC.
    `billed` and `served_unpaid` are periods, `forgiven` debts that were let go. `lifecycle` names the table and its
    version, so that the decision can be made again from command, facts, policy and time.
    """

    subscription: str
    version: int
    event: Event
    row: str
    command: Command
    by: Actor
    effective_at: datetime
    recorded_at: datetime
    changes: Mapping[str, Change] = attrs.field(hash=False)
    lifecycle: tuple[str, int]
    policy: str
    key: str | None = None
    facts: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    charge: Charge | None = None
    terms: Terms | None = None
    payment: Payment | None = None
    billed: BillingPeriod | None = None
    served_unpaid: tuple[BillingPeriod, ...] = ()
    forgiven: tuple[Debt, ...] = ()
    invoice_lines: tuple[InvoiceLine, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.subscription}/{self.version}"

    def __str__(self) -> str:
        return " ".join(_sentence(self))


def _sentence(entry: Entry) -> Iterable[str]:
    what = {
        "applied": f"{entry.command.title.capitalize()}",
        "held": f"Held {entry.command.title}: more than one charge was due",
        "attempted": f"Payment asked for to {entry.command.title}",
        "awaiting": f"Payment to {entry.command.title} is open",
        "mismatched": f"Payment to {entry.command.title} took another amount",
        "declined": f"Payment to {entry.command.title} was declined",
        "abandoned": f"Payment to {entry.command.title} was given up",
        "late": "Money came late",
        "settled": "Debit arrived",
        "failed": "Money that was counted on is not there",
        "reversed": "Chargeback undone",
        "refunded": "Refund confirmed",
        "refund_failed": "Refund did not arrive",
    }[entry.event]
    asked = "asked for by" if entry.event in ("declined", "abandoned", "awaiting", "mismatched") else "by"
    yield f"{entry.effective_at:%Y-%m-%d %H:%M} {what}{',' if asked != 'by' else ''} {asked} {entry.by}"
    if "state" in entry.changes:
        before, after = entry.changes["state"]
        yield f"({after})" if before is None else f"({before} → {after})"
    if entry.payment is not None:
        yield f"[{entry.payment.amount} by {entry.payment.method}: {entry.payment.status}]"
    for debt in entry.forgiven:
        yield f"[forgiven: {debt}]"
    for line in entry.invoice_lines:
        yield f"[{line.amount} on the next invoice]"


def changes_between(before: Subscription | None, after: Subscription) -> dict[str, Change]:
    """Every field that differs, version aside."""
    new = vars(after)
    if before is None:
        return {name: Change(None, new[name]) for name in _NAMES}
    old = vars(before)
    return {
        name: Change(old[name], new[name]) for name in _NAMES if old[name] is not new[name] and old[name] != new[name]
    }


_NAMES = tuple(field.name for field in attrs.fields(Subscription) if field.name != "version")


def fold(entries: Iterable[Entry], *, gaps: bool = False) -> Subscription | None:
    """The snapshot that the entries, in order, lead to; None for no entries.

    Raises InvalidValue where an entry does not follow from the one before it: a version is missing, or what it says
    stood before did not. With `gaps` some may be left out: those that hold later than what was written after them.
    """
    snapshot: Subscription | None = None
    for entry in entries:
        after = {name: change.after for name, change in entry.changes.items()}
        if snapshot is None:
            snapshot = Subscription(**after, version=entry.version)
            continue
        stale = [name for name, change in entry.changes.items() if getattr(snapshot, name) != change.before]
        if not gaps and (stale or entry.version != snapshot.version + 1):
            raise InvalidValue(
                "entries",
                f"{entry.id} does not follow version {snapshot.version} ({', '.join(stale)})",
                "Pass a whole history.",
            )
        snapshot = snapshot.changed({**after, "version": entry.version})
    return snapshot
