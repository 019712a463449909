"""One life, played step by step, each step held against one law or all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from subscription_lifecycle import (
    MONTHLY,
    STANDARD,
    Actor,
    Command,
    Lifecycle,
    LifecycleError,
    Money,
    PaymentMethod,
    Period,
    Plan,
    Role,
    Start,
)
from subscription_lifecycle.testing.faults import Died
from subscription_lifecycle.testing.law import Law
from subscription_lifecycle.testing.laws import ALL
from subscription_lifecycle.testing.stateful import ID, LifecycleMachine, lifecycle_machine

ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
NOBODY = Actor("nora", customer="contoso")
SUPPORT = Actor("sam", Role.SUPPORT)
CARD = PaymentMethod.card("tok", country="NL")
PLAN = Plan("monthly", Money(2000, "EUR"), MONTHLY)
TRIAL = Plan("trial", Money(2000, "EUR"), MONTHLY, trial=Period(14, "day"))


class Life:
    """What the random machine does, told one by one."""

    def __init__(self, lifecycle: Lifecycle = STANDARD, laws: Iterable[Law] = ALL) -> None:
        self.machine: LifecycleMachine = lifecycle_machine(lifecycle, laws=laws)()
        self.clock, self.gateway = self.machine.clock, self.machine.gateway
        self.clock.set("2024-01-31T09:00Z")
        self.count = 0

    def start(self, **changes: Any) -> None:
        command = Start(**({"customer": "contoso", "plan": PLAN, "payment_method": CARD} | changes))
        self.machine.subs.execute(ID, command, by=ALICE, idempotency_key="start")
        self.machine._check("start", self.machine._stored())

    def give(self, *commands: Command, by: Actor = ALICE) -> None:
        for command in commands:
            self.count += 1
            self.machine._give(command, by, f"key-{self.count}")

    def later(self, days: float, *, sweep: bool = True) -> None:
        """So many days at once, and one sweep."""
        self.clock.set(self.clock() + timedelta(days=days))
        if sweep:
            self.sweep()

    def daily(self, days: int) -> None:
        for _ in range(days):
            self.later(1)

    def sweep(self) -> None:
        self.machine.sweep()

    def declining(self, times: int = 1) -> None:
        for _ in range(times):
            self.gateway.decline_next()

    def dies_at(self, effect: int, command: Command) -> None:
        """The process ends right after an effect of the command."""
        before, moved = self.machine._stored(), self.machine._moved()
        self.count += 1
        self.machine.subs.die_at(effect, performed=True)
        try:
            self.machine.subs.execute(ID, command, by=ALICE, idempotency_key=f"key-{self.count}")
        except (Died, LifecycleError):
            pass
        finally:
            self.machine.subs.die_at(None)
        self.machine._check(f"died at effect {effect}", before, moved=moved)
