"""Subscriptions: what a service holds in its hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import attrs

from subscription_lifecycle.engine import flow, reports, timed
from subscription_lifecycle.engine.clock import no_facts, utc_now
from subscription_lifecycle.engine.commands import StandardCommands
from subscription_lifecycle.engine.drivers import performer, run
from subscription_lifecycle.engine.effects import Effect
from subscription_lifecycle.engine.sweep import SweepReport, sweep
from subscription_lifecycle.errors import AlreadyExists, InvalidValue, PaymentInProgress, UnknownSubscription
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment, Decision
from subscription_lifecycle.machine.guard import Refusal
from subscription_lifecycle.machine.lifecycle import Action, Lifecycle
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.charge import InvoiceLine, Terms
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry, fold
from subscription_lifecycle.model.payment import PaymentOutcome
from subscription_lifecycle.model.state import Access, State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import (
    Clock,
    Facts,
    InvoiceStore,
    Listener,
    PaymentGateway,
    SearchableStore,
    Store,
    Stored,
)
from subscription_lifecycle.standard.commands import ReportInvoice
from subscription_lifecycle.standard.table import STANDARD

Result = Applied | AwaitingPayment

LARGEST_PAGE = 1_000_000


class Subscriptions(StandardCommands[Result]):
    """A lifecycle with a store, a gateway, a clock, facts and listeners. May be shared between threads.

    Returned: it is on record. Raised: state, dates and money are as they were; only Interrupted cannot promise that,
    and its `money` says what is known. Call it outside a database transaction of your own.
    """

    def __init__(
        self,
        store: Store,
        gateway: PaymentGateway | None = None,
        *,
        lifecycle: Lifecycle = STANDARD,
        clock: Clock = utc_now,
        facts: Facts = no_facts,
        listeners: Iterable[Listener] = (),
    ) -> None:
        self.store = store
        self.gateway = gateway
        self.lifecycle = lifecycle
        self.clock = clock
        self.listeners = tuple(listeners)
        self._performer = performer(store, gateway, clock, facts, lifecycle)
        self._facts = facts

    # -- doing

    def execute(
        self, id: str, command: Command, *, by: Actor, idempotency_key: str, agreed: Terms | None = None
    ) -> Result:
        """The one verb: your own commands need nothing else.

        With `agreed`, the terms of a preview, the command is refused (`terms_changed`) when charge or date differ from
        what was shown.
        """
        validation.named("id", id)
        validation.named("idempotency_key", idempotency_key)
        _is_command(command)
        _is_actor(by)
        if agreed is not None and not isinstance(agreed, Terms):
            raise InvalidValue("agreed", f"{validation.brief(agreed)} is not Terms", "Pass the terms of a preview.")
        money = self.gateway is not None
        return run(
            flow.execute(self.lifecycle, id, command, by=by, key=idempotency_key, agreed=agreed, gateway=money),
            self.perform,
        )

    def report_payment(self, reference: str, outcome: PaymentOutcome) -> Result:
        """What the gateway says of a payment, by our reference; any order, any number of times.

        Raises UnknownPayment for a reference that was never asked for here: answer 404.
        """
        validation.named("reference", reference)
        if not isinstance(outcome, PaymentOutcome):
            raise InvalidValue(
                "outcome", f"{validation.brief(outcome)} is not a payment outcome", "Pass Captured, Declined, …"
            )
        return run(reports.report(self.lifecycle, reference, outcome), self.perform)

    def report_invoice(self, invoice: str, *, paid: bool, by: Actor, idempotency_key: str) -> tuple[Result, ...]:
        """Whether an invoice was paid, for every subscription with a line on it; unpaid makes arrears, once."""
        lines = self._invoices().invoice_lines(validation.named("invoice", invoice))
        results: list[Result] = []
        for id in dict.fromkeys(line.subscription for line in lines):
            command = ReportInvoice(invoice, paid, tuple(line for line in lines if line.subscription == id))
            if paid or not self._is_known_unpaid(id, invoice, idempotency_key):
                results.append(self.execute(id, command, by=by, idempotency_key=idempotency_key))
            else:
                results.append(Applied(self.get(id), ()))
        return tuple(results)

    def _is_known_unpaid(self, id: str, invoice: str, key: str) -> bool:
        """Whether the last word on it was unpaid: its debts were made then, and may have been paid since."""
        told = [
            (entry.command, entry.key)
            for entry in self.store.history(id)
            if isinstance(entry.command, ReportInvoice) and entry.command.invoice == invoice
        ]
        return bool(told) and told[-1][1] != key and not told[-1][0].paid

    def take_invoice_lines(self, *, customer: str, invoice: str) -> Sequence[InvoiceLine]:
        """Put the customer's open lines on an invoice; each line is on exactly one. Again: the same lines."""
        return self._invoices().take_invoice_lines(
            validation.named("customer", customer), validation.named("invoice", invoice)
        )

    def sweep(self, *, limit: int | None = None) -> SweepReport:
        """Finish open payments, do what is due, deliver the outbox; safe to run twice and at once."""
        if limit is not None:
            validation.whole("limit", limit, 0, LARGEST_PAGE)
        return sweep(self.store, self._now, self.listeners, self._advance, limit)

    def recover(self) -> SweepReport:
        """Finish open payments and refunds of subscriptions whose time has come, and deliver nothing else early."""
        return sweep(self.store, self._now, (), self._advance, None)

    # -- asking

    def get(self, id: str) -> Subscription:
        """What is true now, due rows that move no money included. Raises UnknownSubscription."""
        return self._current(self._stored(id), self._now())

    def access(self, id: str) -> Access:
        """What users may reach now, right even when a sweep is late."""
        stored = self._stored(id)
        if stored.attempt is not None:
            return stored.subscription.state.access
        return self.lifecycle.access(stored.subscription, at=self._now())

    def history(self, id: str) -> tuple[Entry, ...]:
        """Every entry, oldest first. Raises UnknownSubscription."""
        entries = tuple(self.store.history(validation.named("id", id)))
        if not entries:
            raise UnknownSubscription(id)
        return entries

    def as_of(self, id: str, at: datetime, *, known_at: datetime | None = None) -> Subscription | None:
        """What held at an instant, as known now or, with `known_at`, as known then. None: it did not exist."""
        at = validation.instant("at", at)
        known = None if known_at is None else validation.instant("known_at", known_at)
        entries = [
            entry
            for entry in self.history(id)
            if entry.effective_at <= at and (known is None or entry.recorded_at <= known)
        ]
        snapshot = fold(entries, gaps=True)
        if snapshot is None:
            return None
        snapshot = self.lifecycle.known(snapshot)
        waiting = entries[-1].event in ("attempted", "awaiting")
        return snapshot if waiting else self.lifecycle.at(snapshot, at)

    def actions(self, id: str, *, by: Actor) -> tuple[Action, ...]:
        """Every command, and whether this actor may give it now (S10)."""
        _is_actor(by)
        subscription, at = self._projected(id, None)
        return self.lifecycle.actions(subscription, by=by, at=at)

    def explain(self, id: str, command: Command, *, by: Actor, at: datetime | None = None) -> tuple[Refusal, ...]:
        """Every reason why the command would be refused; a charge that is due first is taken as paid."""
        subscription, instant = self._projected(id, at, _is_command(command))
        facts = self._facts(None if command.creates else subscription, command)
        return self.lifecycle.explain(subscription, command, by=by, at=instant, facts=facts)

    def preview(self, id: str, command: Command, *, by: Actor, at: datetime | None = None) -> Decision:
        """The decision as it would be made: terms, reminders, before and after. Raises as `execute` would."""
        subscription, instant = self._projected(id, at, _is_command(command))
        facts = self._facts(None if command.creates else subscription, command)
        decision = self.lifecycle.decide(subscription, command, by=by, at=instant, facts=facts)
        stored = None if command.creates else self.store.load(id, None)
        if stored is not None and stored.attempt is not None and not decision.interrupts:
            raise PaymentInProgress(id, stored.attempt.reference)
        return decision

    def search(
        self,
        *,
        customer: str | None = None,
        state: State | Iterable[State] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> tuple[Subscription, ...]:
        """Subscriptions by id, a page at a time: of a customer, in a state (as last recorded), after an id (S9)."""
        if not isinstance(self.store, SearchableStore):
            raise InvalidValue("store", "it cannot search", "Use a store with `search`.")
        for field, text in (("customer", customer), ("after", after)):
            if text is not None:
                validation.named(field, text)
        found = self.store.search(customer, _states(state), after, validation.whole("limit", limit, 1, LARGEST_PAGE))
        return tuple(self.lifecycle.known(subscription) for subscription in found)

    # -- inside

    def perform(self, effect: Effect) -> Any:
        """Answer one effect of a flow: the one place that all of them pass."""
        return self._performer(effect)

    def _advance(self, id: str) -> tuple[Result, ...]:
        return run(timed.advance(self.lifecycle, id, gateway=self.gateway is not None), self.perform)

    def _now(self) -> datetime:
        return validation.instant("clock", self.clock())

    def _stored(self, id: str) -> Stored:
        stored = self.store.load(validation.named("id", id), None)
        if stored is None:
            raise UnknownSubscription(id)
        return attrs.evolve(stored, subscription=self.lifecycle.known(stored.subscription))

    def _current(self, stored: Stored, now: datetime) -> Subscription:
        return stored.subscription if stored.attempt is not None else self.lifecycle.at(stored.subscription, now)

    def _projected(self, id: str, at: datetime | None, command: Command | None = None) -> tuple[Subscription, datetime]:
        instant = self._now() if at is None else validation.instant("at", at)
        validation.named("id", id)
        if command is not None and command.creates:
            if self.store.load(id, None) is not None:
                raise AlreadyExists(id)
            return command.create(id, instant), instant
        return self.lifecycle.projected(self._stored(id).subscription, instant), instant

    def _invoices(self) -> InvoiceStore:
        if not isinstance(self.store, InvoiceStore):
            raise InvalidValue("store", "it keeps no invoice lines", "Use a store with `take_invoice_lines`.")
        return self.store


def _is_command(command: Command) -> Command:
    if not isinstance(command, Command):
        raise InvalidValue(
            "command", f"{validation.brief(command)} is not a command", "Pass an instance, as in Renew()."
        )
    return command


def _is_actor(by: Actor) -> None:
    if not isinstance(by, Actor):
        raise InvalidValue("by", f"{validation.brief(by)} is not an Actor", "Pass who asks.")


def _states(state: State | Iterable[State] | None) -> tuple[State, ...] | None:
    if state is None:
        return None
    several = () if isinstance(state, (str, bytes)) or not isinstance(state, Iterable) else tuple(state)
    states = (state,) if isinstance(state, State) else several
    if not all(isinstance(one, State) for one in states) or (not states and not isinstance(state, (tuple, list, set))):
        raise InvalidValue("state", f"{validation.brief(state)} is not a State or several", "Pass states.ACTIVE, ….")
    return states
