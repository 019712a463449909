"""Subscriptions, plain and asynchronous: what a service holds in its hand. Neither has logic of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from subscription_lifecycle.engine import flow, queries, reports
from subscription_lifecycle.engine.at_once import at_once, at_once_async, threads_kept
from subscription_lifecycle.engine.clock import no_facts, utc_now
from subscription_lifecycle.engine.commands import StandardCommands
from subscription_lifecycle.engine.drivers import Performer, run, run_async
from subscription_lifecycle.engine.effects import AtOnce, Effect, Flow
from subscription_lifecycle.engine.health import Health, health
from subscription_lifecycle.engine.reconciliation import Reconciliation, reconcile
from subscription_lifecycle.engine.sweep import Pace, SweepProgress, SweepReport, sweep
from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment, Decision
from subscription_lifecycle.machine.guard import Refusal
from subscription_lifecycle.machine.lifecycle import Action, Lifecycle
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.charge import InvoiceLine, Terms
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.payment import PaymentOutcome
from subscription_lifecycle.model.state import Access, State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import (
    AsyncFacts,
    AsyncListener,
    AsyncPaymentGateway,
    AsyncStore,
    BulkStore,
    Clock,
    Facts,
    Listener,
    PaymentGateway,
    Store,
)
from subscription_lifecycle.standard.table import STANDARD

Result = Applied | AwaitingPayment
States = State | Iterable[State]
Progress = Callable[[SweepProgress], None]
R = TypeVar("R")

OPEN_LONG = timedelta(days=2)
DUE_LONG = timedelta(hours=6)
CAPTURES_AT_ONCE = 8
MOST_CAPTURES = 1_000
LONGEST_LEASE = timedelta(days=1)


class _Face(StandardCommands[R], Generic[R]):
    """The parts, and every question that is more than one line."""

    def __init__(
        self,
        store: Any,
        gateway: Any = None,
        *,
        lifecycle: Lifecycle = STANDARD,
        clock: Clock = utc_now,
        facts: Any = no_facts,
        listeners: Iterable[Any] = (),
    ) -> None:
        self.store = store
        self.gateway = gateway
        self.lifecycle = lifecycle
        self.clock = clock
        self.listeners = tuple(listeners)
        self._performer = Performer(store, gateway, clock, facts, self.listeners, lifecycle)

    def perform(self, effect: Effect) -> Any:
        """Answer one effect of a flow: the one place that all of them pass."""
        return self._performer(effect)

    @property
    def _money(self) -> bool:
        return self.gateway is not None

    def execute_flow(self, id: str, command: Command, by: Actor, key: str, agreed: Terms | None) -> Flow[Result]:
        """What `execute` drives: for a driver of your own."""
        validation.named("id", id)
        validation.named("idempotency_key", key)
        queries.a_command(command)
        queries.an_actor(by)
        if agreed is not None and not isinstance(agreed, Terms):
            raise InvalidValue("agreed", f"{validation.brief(agreed)} is not Terms", "Pass the terms of a preview.")
        return flow.execute(self.lifecycle, id, command, by=by, key=key, agreed=agreed, gateway=self._money)

    def report_flow(self, reference: str, outcome: PaymentOutcome) -> Flow[Result]:
        """What `report_payment` drives."""
        validation.named("reference", reference)
        if not isinstance(outcome, PaymentOutcome):
            raise InvalidValue("outcome", f"{validation.brief(outcome)} is not a payment outcome", "Pass Captured, …")
        return reports.report(self.lifecycle, reference, outcome)

    def sweep_flow(
        self,
        limit: int | None,
        *,
        deliver: bool,
        lease: timedelta | None = None,
        captures_at_once: int = CAPTURES_AT_ONCE,
        progress: Progress | None = None,
    ) -> Flow[SweepReport]:
        """What `sweep` and `recover` drive."""
        if limit is not None:
            validation.whole("limit", limit, 0, queries.LARGEST_PAGE)
        validation.whole("captures_at_once", captures_at_once, 1, MOST_CAPTURES)
        if lease is not None and not (isinstance(lease, timedelta) and timedelta() < lease <= LONGEST_LEASE):
            raise InvalidValue("lease", f"{validation.brief(lease)} is no lease", "Pass a timedelta of up to a day.")
        if progress is not None and not callable(progress):
            raise InvalidValue("progress", f"{validation.brief(progress)} cannot be called", "Pass a callable.")
        pace = Pace(isinstance(self.store, BulkStore), lease, captures_at_once, progress)
        return sweep(self.lifecycle, limit, gateway=self._money, deliver=deliver, pace=pace)


class Subscriptions(_Face[Result]):
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
        super().__init__(store, gateway, lifecycle=lifecycle, clock=clock, facts=facts, listeners=listeners)

    def perform(self, effect: Effect) -> Any:
        """Answer one effect of a flow: the one place that all of them pass, also each of those performed at once."""
        return at_once(effect, self.perform) if isinstance(effect, AtOnce) else super().perform(effect)

    # -- doing

    def execute(
        self, id: str, command: Command, *, by: Actor, idempotency_key: str, agreed: Terms | None = None
    ) -> Result:
        """The one verb: your own commands need nothing else.

        With `agreed`, the terms of a preview, the command is refused (`terms_changed`) when charge or date differ from
        what was shown.
        """
        return run(self.execute_flow(id, command, by, idempotency_key, agreed), self.perform)

    def report_payment(self, reference: str, outcome: PaymentOutcome) -> Result:
        """What the gateway says of a payment, by our reference; any order, any number of times.

        Raises UnknownPayment for a reference that was never asked for here: answer 404.
        """
        return run(self.report_flow(reference, outcome), self.perform)

    def report_invoice(self, invoice: str, *, paid: bool, by: Actor, idempotency_key: str) -> tuple[Result, ...]:
        """Whether an invoice was paid, for every subscription with a line on it; unpaid makes arrears, once."""
        asked = queries.report_invoice(self.lifecycle, invoice, paid, by=by, key=idempotency_key, gateway=self._money)
        return run(asked, self.perform)

    def take_invoice_lines(self, *, customer: str, invoice: str) -> tuple[InvoiceLine, ...]:
        """Put the customer's open lines on an invoice; each line is on exactly one. Again: the same lines."""
        return run(queries.take_invoice_lines(customer, invoice), self.perform)

    def sweep(
        self,
        *,
        limit: int | None = None,
        lease: timedelta | None = None,
        captures_at_once: int = CAPTURES_AT_ONCE,
        progress: Progress | None = None,
    ) -> SweepReport:
        """Finish open payments, do what is due, deliver the outbox; safe to run twice, at once, in many processes.

        `limit`: look at no more subscriptions. `lease`: for so long nobody else who leases looks at what this sweep
        took; then a store that is a LeasingStore splits the work. `captures_at_once`: so many payments are asked for at
        a time, each in a thread. `progress` hears of each batch when all of it is on record; what it raises stops
        nothing, and is reported. Raises what the store or the clock raises when even that cannot be asked what is due.
        """
        flow = self.sweep_flow(limit, deliver=True, lease=lease, captures_at_once=captures_at_once, progress=progress)
        with threads_kept():
            return run(flow, self.perform)

    def recover(self) -> SweepReport:
        """As `sweep`, without delivering the outbox: what a process may do when it starts."""
        with threads_kept():
            return run(self.sweep_flow(None, deliver=False), self.perform)

    # -- asking

    def get(self, id: str) -> Subscription:
        """What is true now, due rows that move no money included. Raises UnknownSubscription."""
        return run(queries.get(self.lifecycle, id), self.perform)

    def access(self, id: str) -> Access:
        """What users may reach now, right even when a sweep is late."""
        return run(queries.access(self.lifecycle, id), self.perform)

    def history(self, id: str) -> tuple[Entry, ...]:
        """Every entry, oldest first. Raises UnknownSubscription."""
        return run(queries.history(id), self.perform)

    def as_of(self, id: str, at: datetime, *, known_at: datetime | None = None) -> Subscription | None:
        """What held at an instant, as known now or, with `known_at`, as known then. None: it did not exist."""
        return run(queries.as_of(self.lifecycle, id, at, known_at), self.perform)

    def actions(self, id: str, *, by: Actor) -> tuple[Action, ...]:
        """Every command, and whether this actor may give it now (S10)."""
        return run(queries.actions(self.lifecycle, id, by), self.perform)

    def explain(self, id: str, command: Command, *, by: Actor, at: datetime | None = None) -> tuple[Refusal, ...]:
        """Every reason why the command would be refused; a charge that is due first is taken as paid."""
        return run(queries.explain(self.lifecycle, id, command, by, at), self.perform)

    def preview(self, id: str, command: Command, *, by: Actor, at: datetime | None = None) -> Decision:
        """The decision as it would be made: terms, reminders, before and after. Raises as `execute` would."""
        return run(queries.preview(self.lifecycle, id, command, by, at), self.perform)

    def search(
        self,
        *,
        customer: str | None = None,
        state: States | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> tuple[Subscription, ...]:
        """Subscriptions by id, a page at a time: of a customer, in a state (as last recorded), after an id (S9)."""
        return run(queries.search(self.lifecycle, customer, state, after, limit), self.perform)

    # -- looking after it

    def reconcile(self, since: datetime, *, refund_pending: timedelta = OPEN_LONG) -> Reconciliation:
        """Hold the gateway's ledger since an instant against the entries, both ways round, and write nothing.

        What is open here and under way there is no difference, nor is a refund that has been on record for no longer
        than `refund_pending`. Each difference says what to do; those with an `outcome` are mended by reporting it. Let
        `since` reach back as far as payments and refunds take to arrive, a few weeks.

        It holds the ledger's lines in memory, and reads: the ledger; the store once for each of its lines, and twice
        for each subscription with a line or with a payment of which something was written since; and the gateway once
        for each such payment that it does not list. A store without `ports.ListingStore` is read through, snapshot by
        snapshot. Raises InvalidValue for a gateway whose ledger cannot be read.
        """
        return run(reconcile(since, refund_pending), self.perform)

    def health(
        self,
        *,
        open_longer_than: timedelta = OPEN_LONG,
        due_longer_than: timedelta = DUE_LONG,
        after: str | None = None,
        limit: int = 1000,
    ) -> Health:
        """What waits for somebody, and what can never be; it writes nothing and asks no gateway.

        Payments, debits and refunds `open_longer_than`; other amounts than were asked for; what was due
        `due_longer_than` and was not done; refunds that failed, credit in a final state, debts held for an operator,
        what is parked; and, for each subscription looked at, whether entries, snapshot, due instant and money agree.

        One call looks at what is parked, at the first `limit` that are due (open payments and refunds are), and at
        `limit` subscriptions by id: two reads for each. Later pages (`after=health.next`) are those alone; a look at
        all of them is a look at every history.
        """
        return run(health(self.lifecycle, open_longer_than, due_longer_than, after, limit), self.perform)


class AsyncSubscriptions(_Face[Awaitable[Result]]):
    """The same with `await`. Store, gateway, facts and listeners may be plain or asynchronous.

    Each effect takes one hop to a worker thread, so a transaction of a plain store is one hop. A cancelled task stops
    where it is; what it had reserved is found and finished, by the same key or by `sweep`.
    """

    def __init__(
        self,
        store: Store | AsyncStore,
        gateway: PaymentGateway | AsyncPaymentGateway | None = None,
        *,
        lifecycle: Lifecycle = STANDARD,
        clock: Clock = utc_now,
        facts: Facts | AsyncFacts = no_facts,
        listeners: Iterable[Listener | AsyncListener] = (),
    ) -> None:
        super().__init__(store, gateway, lifecycle=lifecycle, clock=clock, facts=facts, listeners=listeners)

    def perform(self, effect: Effect) -> Any:
        """As in Subscriptions; an awaitable of the answer where one must be waited for."""
        return at_once_async(effect, self.perform) if isinstance(effect, AtOnce) else super().perform(effect)

    # -- doing

    async def execute(
        self, id: str, command: Command, *, by: Actor, idempotency_key: str, agreed: Terms | None = None
    ) -> Result:
        """See Subscriptions.execute."""
        return await run_async(self.execute_flow(id, command, by, idempotency_key, agreed), self.perform)

    async def report_payment(self, reference: str, outcome: PaymentOutcome) -> Result:
        """See Subscriptions.report_payment."""
        return await run_async(self.report_flow(reference, outcome), self.perform)

    async def report_invoice(self, invoice: str, *, paid: bool, by: Actor, idempotency_key: str) -> tuple[Result, ...]:
        """See Subscriptions.report_invoice."""
        asked = queries.report_invoice(self.lifecycle, invoice, paid, by=by, key=idempotency_key, gateway=self._money)
        return await run_async(asked, self.perform)

    async def take_invoice_lines(self, *, customer: str, invoice: str) -> tuple[InvoiceLine, ...]:
        """See Subscriptions.take_invoice_lines."""
        return await run_async(queries.take_invoice_lines(customer, invoice), self.perform)

    async def sweep(
        self,
        *,
        limit: int | None = None,
        lease: timedelta | None = None,
        captures_at_once: int = CAPTURES_AT_ONCE,
        progress: Progress | None = None,
    ) -> SweepReport:
        """See Subscriptions.sweep. `progress` is called in the event loop."""
        flow = self.sweep_flow(limit, deliver=True, lease=lease, captures_at_once=captures_at_once, progress=progress)
        return await run_async(flow, self.perform)

    async def recover(self) -> SweepReport:
        """See Subscriptions.recover."""
        return await run_async(self.sweep_flow(None, deliver=False), self.perform)

    # -- asking

    async def get(self, id: str) -> Subscription:
        """See Subscriptions.get."""
        return await run_async(queries.get(self.lifecycle, id), self.perform)

    async def access(self, id: str) -> Access:
        """See Subscriptions.access."""
        return await run_async(queries.access(self.lifecycle, id), self.perform)

    async def history(self, id: str) -> tuple[Entry, ...]:
        """See Subscriptions.history."""
        return await run_async(queries.history(id), self.perform)

    async def as_of(self, id: str, at: datetime, *, known_at: datetime | None = None) -> Subscription | None:
        """See Subscriptions.as_of."""
        return await run_async(queries.as_of(self.lifecycle, id, at, known_at), self.perform)

    async def actions(self, id: str, *, by: Actor) -> tuple[Action, ...]:
        """See Subscriptions.actions."""
        return await run_async(queries.actions(self.lifecycle, id, by), self.perform)

    async def explain(self, id: str, command: Command, *, by: Actor, at: datetime | None = None) -> tuple[Refusal, ...]:
        """See Subscriptions.explain."""
        return await run_async(queries.explain(self.lifecycle, id, command, by, at), self.perform)

    async def preview(self, id: str, command: Command, *, by: Actor, at: datetime | None = None) -> Decision:
        """See Subscriptions.preview."""
        return await run_async(queries.preview(self.lifecycle, id, command, by, at), self.perform)

    async def search(
        self,
        *,
        customer: str | None = None,
        state: States | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> tuple[Subscription, ...]:
        """See Subscriptions.search."""
        return await run_async(queries.search(self.lifecycle, customer, state, after, limit), self.perform)

    # -- looking after it

    async def reconcile(self, since: datetime, *, refund_pending: timedelta = OPEN_LONG) -> Reconciliation:
        """See Subscriptions.reconcile."""
        return await run_async(reconcile(since, refund_pending), self.perform)

    async def health(
        self,
        *,
        open_longer_than: timedelta = OPEN_LONG,
        due_longer_than: timedelta = DUE_LONG,
        after: str | None = None,
        limit: int = 1000,
    ) -> Health:
        """See Subscriptions.health."""
        asked = health(self.lifecycle, open_longer_than, due_longer_than, after, limit)
        return await run_async(asked, self.perform)


__all__ = ["AsyncSubscriptions", "Subscriptions"]
