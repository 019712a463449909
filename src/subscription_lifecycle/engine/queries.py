"""Questions, as flows: what is asked of store, clock and facts to answer them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import attrs

from subscription_lifecycle.engine.capturing import Result
from subscription_lifecycle.engine.effects import (
    FindSubscriptions,
    Flow,
    Load,
    Now,
    ReadHistory,
    ReadInvoice,
    TakeInvoiceLines,
)
from subscription_lifecycle.engine.flow import execute
from subscription_lifecycle.engine.writing import facts_for, loaded
from subscription_lifecycle.errors import (
    AlreadyExists,
    InvalidValue,
    PaymentInProgress,
    Refused,
    UnknownSubscription,
)
from subscription_lifecycle.machine.decision import Applied, Decision
from subscription_lifecycle.machine.guard import Refusal
from subscription_lifecycle.machine.lifecycle import Action, Lifecycle
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.charge import InvoiceLine, without
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry, fold
from subscription_lifecycle.model.state import Access, State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Stored
from subscription_lifecycle.standard.commands import ReportInvoice

LARGEST_PAGE = 10_000_000


def get(lifecycle: Lifecycle, id: str) -> Flow[Subscription]:
    """An open payment holds the clock; else the due rows that move no money are applied."""
    stored = yield from loaded(validation.named("id", id), None)
    now = yield Now()
    return stored.subscription if stored.attempt is not None else lifecycle.at(stored.subscription, now)


def access(lifecycle: Lifecycle, id: str) -> Flow[Access]:
    stored = yield from loaded(validation.named("id", id), None)
    now = yield Now()
    if stored.attempt is not None:
        return lifecycle.access_in(lifecycle.known(stored.subscription), now)
    return lifecycle.access(stored.subscription, at=now)


def history(id: str) -> Flow[tuple[Entry, ...]]:
    entries: Iterable[Entry] = yield ReadHistory(validation.named("id", id))
    found = tuple(entries)
    if not found:
        raise UnknownSubscription(id)
    return found


def as_of(lifecycle: Lifecycle, id: str, at: datetime, known_at: datetime | None) -> Flow[Subscription | None]:
    at = validation.instant("at", at)
    known = None if known_at is None else validation.instant("known_at", known_at)
    entries = [
        entry
        for entry in (yield from history(id))
        if entry.effective_at <= at and (known is None or entry.recorded_at <= known)
    ]
    snapshot = fold(entries, gaps=True)
    if snapshot is None:
        return None
    snapshot = lifecycle.known(snapshot)
    if _payment_is_open(entries):
        return snapshot
    now = yield Now()
    return lifecycle.foreseen(snapshot, now, at) if at > now else lifecycle.at(snapshot, at)


def _payment_is_open(entries: Iterable[Entry]) -> bool:
    """Whether what the last payment was asked for with has no end among these entries."""
    asked: Entry | None = None
    for entry in entries:
        if entry.event == "attempted":
            asked = entry
        elif asked is not None and entry.key == asked.key and entry.event in ("applied", "declined", "abandoned"):
            asked = None
    return asked is not None


def actions(lifecycle: Lifecycle, id: str, by: Actor) -> Flow[tuple[Action, ...]]:
    an_actor(by)
    stored = yield from loaded(validation.named("id", id), None)
    now = yield Now()
    return lifecycle.actions(lifecycle.projected(stored.subscription, now), by=by, at=now)


def explain(
    lifecycle: Lifecycle, id: str, command: Command, by: Actor, at: datetime | None
) -> Flow[tuple[Refusal, ...]]:
    subscription, _, instant = yield from _projected(lifecycle, id, command, at)
    facts = yield from facts_for(id, None if command.creates else subscription, command)
    return lifecycle.explain(subscription, command, by=by, at=instant, facts=facts)


def preview(lifecycle: Lifecycle, id: str, command: Command, by: Actor, at: datetime | None) -> Flow[Decision]:
    subscription, stored, instant = yield from _projected(lifecycle, id, command, at)
    facts = yield from facts_for(id, None if command.creates else subscription, command)
    decision = lifecycle.decide(subscription, command, by=by, at=instant, facts=facts)
    if stored is not None and stored.attempt is not None and not decision.interrupts:
        raise PaymentInProgress(id, stored.attempt.reference)
    return decision


def _projected(
    lifecycle: Lifecycle, id: str, command: Command, at: datetime | None
) -> Flow[tuple[Subscription, Stored | None, datetime]]:
    """What the command would meet: a charge that is due first is taken as paid."""
    a_command(command)
    now: datetime = yield Now()
    instant = now if at is None else validation.instant("at", at)
    if not command.creates:
        stored = yield from loaded(validation.named("id", id), None)
        return lifecycle.foreseen(stored.subscription, now, instant), stored, instant
    if (yield Load(validation.named("id", id), None)) is not None:
        raise AlreadyExists(id)
    return command.create(id, instant), None, instant


def search(
    lifecycle: Lifecycle, customer: str | None, state: State | Iterable[State] | None, after: str | None, limit: int
) -> Flow[tuple[Subscription, ...]]:
    for field, text in (("customer", customer), ("after", after)):
        if text is not None:
            validation.named(field, text)
    validation.whole("limit", limit, 1, LARGEST_PAGE)
    found: Iterable[Subscription] = yield FindSubscriptions(customer, _states(state), after, limit)
    return tuple(lifecycle.known(subscription) for subscription in found)


def _states(state: State | Iterable[State] | None) -> tuple[State, ...] | None:
    if state is None:
        return None
    states = (state,) if isinstance(state, State) else tuple(state) if isinstance(state, Iterable) else (state,)
    if not states or not all(isinstance(one, State) for one in states):
        raise InvalidValue("state", f"{validation.brief(state)} is not a State", "Pass one, as in EXPIRED, or several.")
    return states


# -- invoices


def take_invoice_lines(customer: str, invoice: str) -> Flow[tuple[InvoiceLine, ...]]:
    lines: Iterable[InvoiceLine] = yield TakeInvoiceLines(
        validation.named("customer", customer), validation.named("invoice", invoice)
    )
    return tuple(lines)


def report_invoice(
    lifecycle: Lifecycle, invoice: str, paid: bool, *, by: Actor, key: str, gateway: bool
) -> Flow[tuple[Result, ...]]:
    """One command for each subscription with a line on it, whatever the others answer; the first refusal is raised when
    all have heard of it. A second "unpaid" in a row changes nothing."""
    lines: Iterable[InvoiceLine] = yield ReadInvoice(validation.named("invoice", invoice))
    results: list[Result] = []
    refused: Refused | PaymentInProgress | None = None
    for id in dict.fromkeys(line.subscription for line in lines):
        command = ReportInvoice(invoice, paid, tuple(line for line in lines if line.subscription == id))
        snapshot = yield from get(lifecycle, id)
        if not paid:
            command = attrs.evolve(command, lines=(yield from _not_owed_yet(id, command, key)))
        if not paid and not command.lines:
            results.append(Applied(snapshot, ()))
            continue
        if paid:
            command = yield from _restoring(lifecycle, snapshot, command, by, key)
        try:
            results.append((yield from execute(lifecycle, id, command, by=by, key=key, agreed=None, gateway=gateway)))
        except (Refused, PaymentInProgress) as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return tuple(results)


def _restoring(
    lifecycle: Lifecycle, snapshot: Subscription, command: ReportInvoice, by: Actor, key: str
) -> Flow[ReportInvoice]:
    """As it was told by that key; else so that service comes back, where a row leads there."""
    for entry in (yield from history(snapshot.id)):
        if entry.key == key and isinstance(entry.command, ReportInvoice):
            return entry.command
    restoring = attrs.evolve(command, restores=True)
    now = yield Now()
    return command if lifecycle.explain(snapshot, restoring, by=by, at=now) else restoring


def _not_owed_yet(id: str, command: ReportInvoice, key: str) -> Flow[tuple[InvoiceLine, ...]]:
    """The lines that are debts if it is unpaid. A line is owed once: until a report says that its debt was paid; where
    it was paid otherwise, a report has nothing to say of it."""
    owed: list[InvoiceLine] = []
    for entry in (yield from history(id)):
        told = entry.command
        if not isinstance(told, ReportInvoice) or told.invoice != command.invoice:
            continue
        if entry.key == key:
            return told.lines
        if not told.paid:
            owed += [line for line in told.lines if line not in owed]
            continue
        before, after = entry.changes.get("arrears", ((), ()))
        for debt in without(before or (), after):
            # A pause may have moved the debt's period since.
            found = sorted(owed, key=lambda line: (line.period != debt.period, line.amount != debt.amount))
            owed = [line for line in owed if line != found[0]] if found else owed
    return tuple(line for line in command.lines if line not in owed)


# -- what callers pass


def a_command(command: Command) -> Command:
    if not isinstance(command, Command):
        raise InvalidValue(
            "command", f"{validation.brief(command)} is not a command", "Pass an instance, as in Renew()."
        )
    return command


def an_actor(by: Actor) -> Actor:
    if not isinstance(by, Actor):
        raise InvalidValue("by", f"{validation.brief(by)} is not an Actor", "Pass who asks, as in Actor('alice', ...).")
    return by


__all__ = [
    "a_command",
    "access",
    "actions",
    "an_actor",
    "as_of",
    "explain",
    "get",
    "history",
    "preview",
    "report_invoice",
    "search",
    "take_invoice_lines",
]
