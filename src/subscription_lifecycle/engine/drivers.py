"""Answering effects: a plain loop, and one for an event loop. They hold no order of their own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs

from subscription_lifecycle.engine.effects import (
    AskFacts,
    Capture,
    CountFailure,
    Effect,
    FindDue,
    FindPayment,
    FindSubscriptions,
    FindUndelivered,
    Flow,
    GiveBack,
    Load,
    LookUp,
    MarkDelivered,
    Now,
    Park,
    ReadHistory,
    ReadInvoice,
    Save,
    TakeInvoiceLines,
    Tell,
    VoidPayment,
)
from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.ports import (
    Clock,
    Facts,
    InvoiceStore,
    Listener,
    ParkingStore,
    SearchableStore,
    Stored,
    VoidingGateway,
)

T = TypeVar("T")


def run(flow: Flow[T], perform: Callable[[Effect], Any]) -> T:
    """Drive a flow to its end. What an effect raises is raised inside it; what is no Exception stops everything."""
    try:
        effect = next(flow)
        while True:
            try:
                answer = perform(effect)
            except Exception as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        flow.close()


async def run_async(flow: Flow[T], perform: Callable[[Effect], Any]) -> T:
    """The same for an event loop: each effect is one hop to a worker thread; an awaitable it answers with is awaited.

    A cancelled task stops where it is, as a process that dies would: what it had reserved is found and finished.
    """
    try:
        effect = next(flow)
        while True:
            try:
                answer = await asyncio.to_thread(perform, effect)
                if inspect.isawaitable(answer):
                    answer = await answer
            except Exception as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        flow.close()


@attrs.frozen
class Performer:
    """What each effect means with these parts. What is loaded is given the lifecycle's own states and causes."""

    store: Any
    gateway: Any
    clock: Clock
    facts: Facts
    listeners: tuple[Listener, ...]
    lifecycle: Lifecycle

    def __call__(self, effect: Effect) -> Any:
        """One answer, or an awaitable of it where store, gateway or facts are asynchronous."""
        answer = self._answer(effect)
        if inspect.isawaitable(answer):
            return self._later(effect, answer)
        return self._checked(effect, answer)

    async def _later(self, effect: Effect, answer: Awaitable[Any]) -> Any:
        return self._checked(effect, await answer)

    def _checked(self, effect: Effect, answer: Any) -> Any:
        match effect, answer:
            case Now(), _:
                return validation.instant("clock", answer)
            case Load(), Stored():
                return self._known(answer)
            case ReadHistory() | FindUndelivered(), _:
                return tuple(self.lifecycle.known_entry(entry) for entry in answer)
            case _:
                return answer

    def _known(self, stored: Stored) -> Stored:
        """Stores know states by name; what a state means is the lifecycle's, also in a decision that was pinned."""
        known, attempt = self.lifecycle.known, stored.attempt
        if attempt is not None:
            pinned = attempt.decision
            declined = None if pinned.declined is None else known(pinned.declined)
            decision = attrs.evolve(pinned, before=known(pinned.before), after=known(pinned.after), declined=declined)
            attempt = attrs.evolve(attempt, decision=decision)
        return attrs.evolve(stored, subscription=known(stored.subscription), attempt=attempt)

    def _answer(self, effect: Effect) -> Any:
        match effect:
            case Now():
                return self.clock()
            case AskFacts(subscription, command):
                return self.facts(subscription, command)
            case Capture() | LookUp() | VoidPayment() | GiveBack():
                return self._about_money(effect)
            case Tell(entry):
                return self._tell(entry)
            case _:
                return self._about_store(effect)

    def _about_money(self, effect: Capture | LookUp | VoidPayment | GiveBack) -> Any:
        if self.gateway is None:
            raise InvalidValue("gateway", "there is a payment and no gateway", "Pass one to Subscriptions.")
        match effect:
            case Capture(request):
                return self.gateway.capture(request)
            case LookUp(reference):
                return self.gateway.find(reference)
            case VoidPayment(reference):
                return self.gateway.void(reference) if isinstance(self.gateway, VoidingGateway) else False
            case GiveBack(reference, amount):
                return self.gateway.refund(reference, amount)

    def _about_store(self, effect: Effect) -> Any:
        match effect:
            case Load(id, key):
                return self.store.load(id, key)
            case Save(write):
                return self.store.write(write)
            case FindPayment(reference):
                return self.store.find(reference)
            case ReadHistory(id):
                return self.store.history(id)
            case FindDue(until, limit):
                return self.store.due(until, limit)
            case FindUndelivered(limit):
                return self.store.undelivered(limit)
            case MarkDelivered(entries):
                return self.store.delivered(entries)
            case CountFailure(entry, error):
                return self.store.failed(entry, error) if isinstance(self.store, ParkingStore) else 0
            case Park(entry):
                return self.store.park(entry)
            case _:
                return self._about_capabilities(effect)

    def _about_capabilities(self, effect: Effect) -> Any:
        if isinstance(effect, FindSubscriptions):
            if not isinstance(self.store, SearchableStore):
                raise InvalidValue("store", "it cannot search", "Use a store with `search`.")
            return self.store.search(effect.customer, effect.states, effect.after, effect.limit)
        if not isinstance(self.store, InvoiceStore):
            raise InvalidValue("store", "it keeps no invoice lines", "Use a store with `take_invoice_lines`.")
        match effect:
            case TakeInvoiceLines(customer, invoice):
                return self.store.take_invoice_lines(customer, invoice)
            case ReadInvoice(invoice):
                return self.store.invoice_lines(invoice)
            case _:
                raise TypeError(f"{effect!r} is no effect")

    def _tell(self, entry: Entry) -> Any:
        answers = [listener(entry) for listener in self.listeners]
        waiting: list[Any] = [answer for answer in answers if inspect.isawaitable(answer)]
        return _all_of(waiting) if waiting else None


async def _all_of(waiting: list[Any]) -> None:
    for answer in waiting:
        await answer
