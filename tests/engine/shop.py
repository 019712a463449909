"""A shop for what operators look at: both faces, two stores, and a ledger that can be made to say anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import attrs

from subscription_lifecycle import (
    MONTHLY,
    STANDARD,
    Actor,
    AsyncSubscriptions,
    Cancel,
    Lifecycle,
    MemoryStore,
    Money,
    PaymentMethod,
    Plan,
    Role,
    Subscriptions,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.ports import Captured, LedgerLine, Parked, PaymentOutcome
from subscription_lifecycle.testing import FakeClock, FakeGateway

ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
SUPPORT = Actor("sam", Role.SUPPORT)
CARD = PaymentMethod.card("tok_card", country="NL")
BANK = PaymentMethod.bank_account("tok_bank", country="NL")
PLAN = Plan("basic", Money.of("20.00", "EUR"), MONTHLY)
FACES = ["plain, sql", "async, memory"]
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def euros(amount: str) -> Money:
    return Money.of(amount, "EUR")


class Ledger(FakeGateway):
    """`hidden` payments are gone, `unlisted` ones known when asked for; `told` says a line anew, `more` adds some."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.hidden: set[str] = set()
        self.unlisted: set[str] = set()
        self.told: dict[str, dict[str, Any]] = {}
        self.more: list[LedgerLine] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def find(self, reference: str, /) -> PaymentOutcome | None:
        return None if reference in self.hidden else super().find(reference)

    def payments(self, since: datetime, /) -> Iterable[LedgerLine]:
        left_out = self.hidden | self.unlisted
        found = [line for line in super().payments(since) if line.reference not in left_out]
        lines = [attrs.evolve(line, **self.told.get(line.reference, {})) for line in found]
        self.meanwhile()
        return [*lines, *self.more]


class AsyncLedger:
    """The same, where everything is awaited."""

    idempotency_window = None

    def __init__(self, inner: Ledger) -> None:
        self._inner = inner

    async def find(self, reference: str, /) -> PaymentOutcome | None:
        return self._inner.find(reference)

    async def payments(self, since: datetime, /) -> AsyncIterator[LedgerLine]:
        for line in self._inner.payments(since):
            await asyncio.sleep(0)
            yield line


class ParkingLot(MemoryStore):
    """Says that these are parked."""

    def __init__(self, *parked: Parked) -> None:
        super().__init__()
        self._said = parked

    def parked(self) -> list[Parked]:
        return [*self._said]


class Shop:
    """`kind`: the face and the store that questions go through; commands go through the plain face."""

    def __init__(self, kind: str = "plain, memory", store: Any = None, lifecycle: Lifecycle = STANDARD) -> None:
        self.clock = FakeClock(BEGIN)
        self.gateway = Ledger(self.clock)
        self.store: Any = store or (SQLStore("sqlite://") if "sql" in kind else MemoryStore())
        self._awaited = "async" in kind
        self.use(lifecycle)

    def use(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self.subs = Subscriptions(self.store, self.gateway, lifecycle=lifecycle, clock=self.clock)

    def ask(self, question: str, *arguments: Any, **more: Any) -> Any:
        if not self._awaited:
            return getattr(self.subs, question)(*arguments, **more)
        gateway: Any = AsyncLedger(self.gateway)
        subs = AsyncSubscriptions(self.store, gateway, lifecycle=self._lifecycle, clock=self.clock)
        return asyncio.run(getattr(subs, question)(*arguments, **more))

    def start(self, method: PaymentMethod = CARD, id: str = "sub") -> str:
        """Answers the payment's reference."""
        self.subs.start(id, customer="contoso", plan=PLAN, payment_method=method, by=ALICE, idempotency_key="start")
        return self.reference(id)

    def reference(self, id: str = "sub") -> str:
        return [entry.payment.reference for entry in self.subs.history(id) if entry.payment][-1]

    def cancel(self, id: str = "sub") -> None:
        """All of it goes back."""
        self.subs.execute(id, Cancel("now", "full"), by=SUPPORT, idempotency_key="cancel")

    def came(self, amount: Money | None = None) -> Captured:
        return Captured("ch_1", self.clock(), amount)

    def everything(self) -> object:
        ids = [found.id for found in self.store.search(None, None, None, 100)]
        return [(self.store.load(id, None), tuple(self.store.history(id))) for id in ids], self.gateway.requests[:]
