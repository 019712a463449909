"""What entries say, in words and in money: for the page, the picture and the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

import attrs

from subscription_lifecycle.errors import LifecycleError, Refused
from subscription_lifecycle.machine.guard import Refusal
from subscription_lifecycle.model.actor import SYSTEM, Actor
from subscription_lifecycle.model.charge import ChargeLine
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.state import Access
from subscription_lifecycle.model.subscription import Subscription

SAID: Mapping[str, str] = {
    "applied": "",
    "held": "held: more than one charge was due",
    "attempted": "the payment is asked for",
    "awaiting": "the payment is open",
    "mismatched": "the payment took another amount",
    "declined": "the payment was declined",
    "abandoned": "the payment was given up",
    "late": "the money came late",
    "settled": "the money has arrived",
    "failed": "the money is not there after all",
    "reversed": "the chargeback was undone",
    "refunded": "the refund is confirmed",
    "refund_failed": "the refund did not arrive",
}
"""What each event of an entry means."""

ABOUT_MONEY = frozenset(("late", "settled", "failed", "reversed", "refunded", "refund_failed"))
"""Events that nobody's command leads to."""

PURPOSES: Mapping[str, str] = {"period": "for", "arrears": "owed for", "recharge": "refunded for"}


@attrs.frozen
class Moment:
    """An entry, the snapshot that it leads to, and the access from then on."""

    entry: Entry
    after: Subscription
    access: Access


@attrs.frozen
class RefusedCommand:
    """A command that changed nothing: when, what, by whom, and the error that it was answered with."""

    at: datetime
    command: Command
    by: Actor
    error: LifecycleError

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Every guard's reason; empty where something else was in the way: see `error`."""
        return self.error.refusals if isinstance(self.error, Refused) else ()


ChargeOutcome = Literal[
    "captured", "invoiced", "credit", "submitted", "awaiting", "declined", "abandoned", "unpaid", "held", "refunded"
]


@attrs.frozen
class TimelineCharge:
    """Money that was asked for or given back: when (UTC), by which command, what for, how much, what came of it.

    "credit": the customer's credit paid all of it. "unpaid": there was no payment method to ask. "held": it waits for
    an operator. "submitted" and "awaiting" are open. An amount below zero, "invoiced", gives back on the invoice.
    """

    at: datetime
    command: Command
    lines: tuple[ChargeLine, ...]
    amount: Money
    outcome: ChargeOutcome
    code: str | None = None

    def __str__(self) -> str:
        how = {"invoiced": "on invoice", "credit": "from credit"}.get(self.outcome, self.outcome)
        return f"{self.amount} {how}" + (f" ({self.code})" if self.code else "")

    @property
    def purpose(self) -> str:
        """What it is for, in words: the periods of its lines."""
        return "; ".join(f"{PURPOSES[line.purpose]} {line.period.start} to {line.period.end}" for line in self.lines)


# -- money


def payment_name(entry: Entry) -> str:
    """One name for all entries of one payment."""
    return entry.id if entry.payment is None else entry.payment.reference


def charges_of(entries: Iterable[Entry]) -> dict[str, TimelineCharge]:
    found: dict[str, TimelineCharge] = {}
    for entry in entries:
        name, payment = payment_name(entry), entry.payment
        if name in found and payment is not None:
            outcome: Any = _OUTCOMES.get(payment.status, "awaiting")
            outcome = "abandoned" if entry.event == "abandoned" else outcome
            found[name] = attrs.evolve(found[name], outcome=outcome, code=payment.code)
        elif (charge := _charge_of(entry)) is not None:
            found[name] = charge
    return found


_OUTCOMES: Mapping[str, ChargeOutcome] = {"captured": "captured", "declined": "declined", "submitted": "submitted"}


def _charge_of(entry: Entry) -> TimelineCharge | None:
    """What an entry by itself says of money."""
    at, command, lines = entry.effective_at, entry.command, () if entry.charge is None else entry.charge.lines
    if entry.event == "refunded":
        before, after = entry.changes["refunds"]
        gone = next((due for due in before if due not in after), None)
        return None if gone is None else TimelineCharge(at, command, (), gone.amount, "refunded")
    if entry.payment is not None:
        outcome = _OUTCOMES.get(entry.payment.status, "awaiting")
        return TimelineCharge(at, command, lines, entry.payment.amount, outcome, entry.payment.code)
    if entry.invoice_lines:
        [first, *others] = [line.amount for line in entry.invoice_lines]
        return TimelineCharge(at, command, lines, sum(others, first), "invoiced")
    if entry.charge is None or entry.terms is None or not lines:
        return None
    if entry.event in ("held", "declined"):
        return TimelineCharge(at, command, lines, entry.terms.charge, "held" if entry.event == "held" else "unpaid")
    return TimelineCharge(at, command, lines, entry.terms.charge, "credit")


def as_told(entry: Entry, charge: TimelineCharge) -> TimelineCharge:
    """The charge as it stood with that entry."""
    if entry.payment is None:
        return charge
    outcome: Any = "abandoned" if entry.event == "abandoned" else _OUTCOMES.get(entry.payment.status, "awaiting")
    return attrs.evolve(charge, outcome=outcome, code=entry.payment.code)


# -- words


def named(command: Command) -> str:
    """The command with the inputs that make a difference."""
    parts = [command.title]
    if command.case is not None and not command.creates:
        parts.append(str(command.case).lower().replace("_", " "))
    if getattr(command, "refund", "none") != "none":
        parts.append(f"refund {getattr(command, 'refund', '')}")
    if getattr(command, "reason", ""):
        parts.append(f"“{getattr(command, 'reason', '')}”")
    method = getattr(command, "payment_method", None)
    return ", ".join(parts) + (f", by {method}" if method is not None else "")


def told(entry: Entry) -> str:
    """What an entry says, in a line."""
    said = SAID[entry.event]
    if entry.event in ABOUT_MONEY:
        return said
    return named(entry.command) + by_whom(entry.by) + (f" — {said}" if said else "")


def is_followed_up(entry: Entry, later: Iterable[Entry]) -> bool:
    """An intent whose outcome is on record too: the outcome tells both."""
    if entry.event not in ("attempted", "awaiting") or entry.payment is None:
        return False
    return any(other.payment and other.payment.reference == entry.payment.reference for other in later)


def followed_up(entries: Sequence[Entry]) -> set[str]:
    """The ids of attempts that ended at the instant at which they were made."""
    return {
        entry.id
        for entry, following in pairwise(entries)
        if is_followed_up(entry, (following,)) and entry.recorded_at == following.recorded_at
    }


def by_whom(actor: Actor) -> str:
    return "" if actor == SYSTEM else f" ({actor})"
