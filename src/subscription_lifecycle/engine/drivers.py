"""Answering effects: a plain loop, and one for an event loop. They hold no order of their own."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import attrs

from subscription_lifecycle.engine.effects import (
    AskFacts,
    Capture,
    CountFailure,
    CountStumbles,
    Defer,
    Effect,
    FindDue,
    FindParked,
    FindPayers,
    FindPayment,
    FindSubscriptions,
    FindUndelivered,
    Flow,
    ForgetStumbles,
    GiveBack,
    LeaseDue,
    Load,
    LoadMany,
    LookUp,
    MarkDelivered,
    Now,
    Park,
    ReadHistory,
    ReadInvoice,
    ReadLedger,
    Save,
    SaveMany,
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
    DeferringStore,
    Facts,
    InvoiceStore,
    LeasingStore,
    LedgerLine,
    Listener,
    ListingGateway,
    ListingStore,
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
                answer = await answered(effect, perform)
            except Exception as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        flow.close()


async def answered(effect: Effect, perform: Callable[[Effect], Any]) -> Any:
    """One hop to a worker thread; what is awaitable is awaited here."""
    import asyncio  # Its import takes a tenth of the package's, and only this driver needs it.

    cancelled = threading.Event()
    made: list[Any] = []

    def hop() -> None:
        made.append(perform(effect))
        if cancelled.is_set():
            _drop(made)

    try:
        await asyncio.to_thread(hop)
    except asyncio.CancelledError:
        # A coroutine that was made meanwhile is never begun.
        cancelled.set()
        _drop(made)
        raise
    [answer] = made
    return await answer if inspect.isawaitable(answer) else answer


def _drop(made: list[Any]) -> None:
    for answer in made:
        close = getattr(answer, "close", None)
        if inspect.isawaitable(answer) and close is not None:
            close()


@attrs.frozen
class _Later:
    """An answer that is awaited before it is checked, or given up with all that it is made of."""

    performer: Performer
    effect: Effect
    answer: Any

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._checked().__await__()

    async def _checked(self) -> Any:
        return self.performer.checked(self.effect, await self.answer)

    def close(self) -> None:
        _drop([self.answer])


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
            return _Later(self, effect, answer)
        return self.checked(effect, answer)

    def checked(self, effect: Effect, answer: Any) -> Any:
        """As flows take it: instants in UTC, and the lifecycle's own states."""
        match effect, answer:
            case Now(), _:
                return validation.instant("clock", answer)
            case Load(), Stored():
                return self._known(answer)
            case LoadMany(), _:
                return tuple(self._known_or_why_not(each) for each in answer)
            case ReadHistory() | FindUndelivered(), _:
                return tuple(self.lifecycle.known_entry(entry) for entry in answer)
            case _:
                return answer

    def _known_or_why_not(self, stored: Stored | Exception | None) -> Stored | Exception | None:
        try:
            return self._known(stored) if isinstance(stored, Stored) else stored
        except Exception as error:
            return error

    def _known(self, stored: Stored) -> Stored:
        """Stores know states by name; what a state means is the lifecycle's, also in a decision that was pinned."""
        known, attempt = self.lifecycle.known, stored.attempt
        if attempt is not None:
            pinned = attempt.decision
            declined = None if pinned.declined is None else known(pinned.declined)
            own = {"before": known(pinned.before), "after": known(pinned.after), "declined": declined}
            decision = pinned.changed(own)
            attempt = attrs.evolve(attempt, decision=decision)
        subscription = known(stored.subscription)
        if subscription is stored.subscription and attempt is None:
            return stored
        return Stored(subscription, attempt, stored.answer)

    def _answer(self, effect: Effect) -> Any:
        match effect:
            case Now():
                return self.clock()
            case AskFacts(subscription, command):
                return self.facts(subscription, command)
            case Capture() | LookUp() | VoidPayment() | GiveBack() | ReadLedger():
                return self._about_money(effect)
            case Tell(entry):
                return self._tell(entry)
            case _:
                return self._about_store(effect)

    def _about_money(self, effect: Capture | LookUp | VoidPayment | GiveBack | ReadLedger) -> Any:
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
            case ReadLedger(since):
                if not isinstance(self.gateway, ListingGateway):
                    fix = "Give it `payments(since)`, as ports.ListingGateway says."
                    raise InvalidValue("gateway", "its ledger cannot be read", fix)
                return _lines(self.gateway.payments(since))

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
            case LoadMany(loads):
                return self.store.load_many([(load.id, load.key) for load in loads])
            case SaveMany(saves):
                return self.store.write_many([save.write for save in saves])
            case LeaseDue(until, limit, expires):
                if not isinstance(self.store, LeasingStore):
                    raise InvalidValue("lease", "the store deals out no leases", "Sweep without, or use SQLStore.")
                return self.store.lease(until, limit, expires)
            case FindPayers(since):
                return self.store.payers(since) if isinstance(self.store, ListingStore) else None
            case _:
                return self._about_failures(effect)

    def _about_failures(self, effect: Effect) -> Any:
        parks, defers = isinstance(self.store, ParkingStore), isinstance(self.store, DeferringStore)
        match effect:
            case CountFailure(entry, error):
                return self.store.failed(entry, error) if parks else 0
            case Park(entry):
                return self.store.park(entry)
            case FindParked():
                return self.store.parked() if parks else ()
            case CountStumbles(errors):
                return self.store.stumbled(errors) if defers else {}
            case Defer(until):
                return self.store.defer(until)
            case ForgetStumbles(ids):
                return self.store.forget(ids) if defers else None
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


def _lines(listed: Any) -> Any:
    """All of a ledger, read where the effect is performed; a gateway of coroutines may give it in any of their ways."""
    if inspect.isawaitable(listed) or hasattr(listed, "__aiter__"):
        return _lines_later(listed)
    return tuple(listed)


async def _lines_later(listed: Any) -> tuple[LedgerLine, ...]:
    found = await listed if inspect.isawaitable(listed) else listed
    return tuple([line async for line in found] if hasattr(found, "__aiter__") else found)


async def _all_of(waiting: list[Any]) -> None:
    for answer in waiting:
        await answer
