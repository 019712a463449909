"""A small world to play a timeline in: a clock, a gateway, a store, subscriptions, and the people who ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, Literal

import pytest

from subscription_lifecycle import (
    MONTHLY,
    STANDARD,
    YEARLY,
    Access,
    Action,
    Actor,
    Applied,
    AwaitingPayment,
    Command,
    Decision,
    Entry,
    InvoiceLine,
    Lifecycle,
    MemoryStore,
    Money,
    PaymentMethod,
    Period,
    Plan,
    Policy,
    Reactivate,
    Refused,
    Role,
    State,
    Subscription,
    Subscriptions,
    SweepReport,
)
from subscription_lifecycle.ports import Captured
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway

ADMIN = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
GLOBAL_ADMIN = Actor("gwen", Role.GLOBAL_ADMIN, customer="contoso")
USER = Actor("bob", customer="contoso")
SUPPORT = Actor("sam", Role.SUPPORT)

CARD = PaymentMethod.card("tok_card", country="NL")
OTHER_CARD = PaymentMethod.card("tok_other", country="NL")
BANK = PaymentMethod.bank_account("tok_bank", country="NL")
INVOICE = PaymentMethod.invoice(country="NL")

M = Plan("monthly", Money.of("20.00", "EUR"), MONTHLY)
Y = Plan("yearly", Money.of("365.00", "EUR"), YEARLY)
A = Plan("annual", Money.of("20.00", "EUR"), MONTHLY, term=Period(12, "month"))
TRIAL = Plan("monthly-trial", Money.of("20.00", "EUR"), MONTHLY, trial=Period(30, "day"))

Result = Applied | AwaitingPayment
Refund = Literal["none", "prorated", "full"]


def euros(amount: str | int) -> Money:
    return Money.of(amount, "EUR")


def day(text: str) -> date:
    return date.fromisoformat(text)


def instant(text: str) -> datetime:
    """ "2024-04-20" is its first instant; without an offset it is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def policy(**changes: Any) -> Lifecycle:
    """The standard lifecycle under one other default policy."""
    return STANDARD.with_policies(Policy(**changes))


class World:
    """`at` plays every day with its sweep; `jump` moves the clock while nobody sweeps."""

    def __init__(self, begins: str = "2024-01-01", lifecycle: Lifecycle = STANDARD) -> None:
        self.clock = FakeClock(instant(begins))
        self.gateway = FakeGateway(self.clock)
        self.store = MemoryStore()
        self.heard: list[Entry] = []
        self.use(lifecycle)
        self._keys = count(1)

    def use(self, lifecycle: Lifecycle, *, gateway: bool = True) -> None:
        """Go on with another lifecycle, or without a gateway, over what is stored."""
        self.subs = Subscriptions(
            self.store,
            self.gateway if gateway else None,
            lifecycle=lifecycle,
            clock=self.clock,
            listeners=[self.heard.append],
        )

    # -- time

    def at(self, when: str) -> None:
        """A sweep at each midnight (UTC) on the way, and one on arrival."""
        end = instant(when)
        while (midnight := _next_midnight(self.clock())) <= end:
            self.clock.set(midnight)
            self.swept()
        self.clock.set(end)
        self.swept()

    def jump(self, when: str) -> None:
        self.clock.set(instant(when))

    def swept(self) -> SweepReport:
        report = self.subs.sweep()
        assert report.failed == ()
        return report

    # -- what is asked

    def key(self) -> str:
        return f"key-{next(self._keys)}"

    def do(self, command: Command, *, by: Actor = ADMIN, id: str = "sub") -> Result:
        return self.subs.execute(id, command, by=by, idempotency_key=self.key())

    def done(self, command: Command, *, by: Actor = ADMIN, id: str = "sub") -> Applied:
        """As `do`, where the money came or none was needed."""
        result = self.do(command, by=by, id=id)
        assert isinstance(result, Applied)
        return result

    def waits(self, command: Command, *, by: Actor = ADMIN, id: str = "sub") -> AwaitingPayment:
        """As `do`, where the money is open."""
        result = self.do(command, by=by, id=id)
        assert isinstance(result, AwaitingPayment)
        return result

    def start(
        self,
        plan: Plan = M,
        payment_method: PaymentMethod | None = CARD,
        *,
        id: str = "sub",
        off: str | None = None,
        **more: Any,
    ) -> Result:
        """Begin today; with `off`, play to that day and switch recurring billing off."""
        settings: dict[str, Any] = {"customer": "contoso", "by": ADMIN, "idempotency_key": "start"} | more
        result = self.subs.start(id, plan=plan, payment_method=payment_method, **settings)
        if off is not None:
            self.at(off)
            self.recurring_billing(on=False, id=id)
        return result

    def recurring_billing(self, *, on: bool, id: str = "sub") -> None:
        self.subs.set_recurring_billing(id, on=on, by=ADMIN, idempotency_key=self.key())

    def reactivate(self, payment_method: PaymentMethod | None = CARD, *, by: Actor = ADMIN) -> Applied:
        return self.done(Reactivate(payment_method), by=by)

    def refused(self, command: Command, *, by: Actor = ADMIN, id: str = "sub") -> Refused:
        """Why not; and that a refusal changes nothing and asks for no money."""
        before, asked = self.record(id), len(self.gateway.requests)
        with pytest.raises(Refused) as caught:
            self.do(command, by=by, id=id)
        assert self.record(id) == before
        assert len(self.gateway.requests) == asked
        return caught.value

    # -- what is there

    @property
    def sub(self) -> Subscription:
        return self.subs.get("sub")

    @property
    def state(self) -> State:
        return self.sub.state

    @property
    def access(self) -> Access:
        return self.subs.access("sub")

    @property
    def history(self) -> tuple[Entry, ...]:
        return self.subs.history("sub")

    def record(self, id: str = "sub") -> object:
        """All that is stored of it."""
        return self.store.load(id, None), tuple(self.store.history(id))

    def preview(self, command: Command, *, by: Actor = ADMIN) -> Decision:
        return self.subs.preview("sub", command, by=by)

    def actions(self, *, by: Actor = ADMIN) -> Mapping[type[Command], Action]:
        return {action.command: action for action in self.subs.actions("sub", by=by)}

    def entry(self, row: str) -> Entry:
        """The last entry of the row whose id begins so."""
        return next(entry for entry in reversed(self.history) if entry.row.startswith(row))

    def take_lines(self, invoice: str) -> list[InvoiceLine]:
        return list(self.subs.take_invoice_lines(customer="contoso", invoice=invoice))

    # -- money

    @property
    def captured(self) -> list[Money]:
        return [capture.amount for capture in self.gateway.captures]

    @property
    def refunded(self) -> list[Money]:
        return [refund.amount for refund in self.gateway.refunds]

    def capture_arrives(self, reference: str) -> None:
        """The gateway comes to know that the money is there, and says so only when asked."""
        self.gateway.report(reference, Captured(f"ch_{reference}", self.clock()))

    @contextmanager
    def new_captures(self, *amounts: str) -> Iterator[None]:
        """Exactly these sums are captured inside."""
        before = len(self.captured)
        yield
        assert self.captured[before:] == [euros(amount) for amount in amounts]

    def declining(self, times: int) -> None:
        """The next so many payments are declined."""
        for _ in range(times):
            self.gateway.decline_next()

    def unpaid(self, since: str, until: str) -> None:
        """The renewal on that day is declined, and each retry up to `until`; later payments go through again."""
        self.at(str(day(since) - timedelta(days=1)))
        self.declining(6)
        self.at(until)
        self.gateway._next.clear()


def _next_midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


MakeWorld = Callable[..., World]
