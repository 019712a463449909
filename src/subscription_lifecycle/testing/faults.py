"""Planted faults: a process that dies before or after an effect, and two processes at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from subscription_lifecycle.engine.effects import (
    AskFacts,
    Capture,
    Effect,
    FindDue,
    FindPayment,
    Flow,
    GiveBack,
    Load,
    LookUp,
    Now,
    ReadHistory,
    Tell,
    VoidPayment,
)
from subscription_lifecycle.engine.subscriptions import Subscriptions
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.charge import Terms
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.payment import PaymentOutcome


class Died(BaseException):
    """The process ended here. Nothing may catch it."""


class MortalSubscriptions(Subscriptions):
    """Subscriptions that die at a chosen effect: `die_at(n)` before the n-th from now, or after it was performed."""

    effects: int = 0
    _fatal: int | None = None
    _performed: bool = False

    def die_at(self, effect: int | None, *, performed: bool = False) -> None:
        """None: live on."""
        self.effects, self._fatal, self._performed = 0, effect, performed

    def perform(self, effect: Effect) -> Any:
        number, self.effects = self.effects, self.effects + 1
        if number == self._fatal and not self._performed:
            raise Died(effect)
        answer = super().perform(effect)
        if number == self._fatal:
            raise Died(effect)
        return answer


def crash_at_every_effect(
    make: Callable[[], MortalSubscriptions], act: Callable[[Subscriptions], Any], check: Callable[[Subscriptions], None]
) -> int:
    """Run `act` in worlds dying before and after each effect; each recovers by a sweep; `check` each. How many died."""
    died = 0
    for performed in (False, True):
        effect = 0
        while True:
            subs = make()
            subs.die_at(effect, performed=performed)
            try:
                act(subs)
            except Died:
                died += 1
            else:
                break
            finally:
                subs.die_at(None)
            subs.sweep()
            check(subs)
            effect += 1
    return died


Result = Applied | AwaitingPayment
_PRIVATE = (Now, AskFacts, Tell)
"""Effects that no other process can see: nothing is interleaved at them."""
_MONEY = (Capture, LookUp, VoidPayment, GiveBack)
_READS = (Load, FindDue, FindPayment, ReadHistory, LookUp)


class Process:
    """One process of several over the same store: each method begins what `Subscriptions` would do, effect by effect.

    `effect` is the next one; when there is none, `answer` is what came back, `error` what was raised.
    """

    def __init__(self, subs: Subscriptions) -> None:
        self.subs = subs
        self.answer: Any = None
        self.error: Exception | None = None
        self.effect: Effect | None = None
        self._flow: Flow[Any] | None = None

    def execute(
        self, id: str, command: Command, *, by: Actor, idempotency_key: str, agreed: Terms | None = None
    ) -> None:
        self._begin(self.subs.execute_flow(id, command, by, idempotency_key, agreed))

    def report_payment(self, reference: str, outcome: PaymentOutcome) -> None:
        self._begin(self.subs.report_flow(reference, outcome))

    def recover(self) -> None:
        """As a sweep that delivers nothing."""
        self._begin(self.subs.sweep_flow(None, deliver=False))

    @property
    def done(self) -> bool:
        return self.effect is None

    def step(self) -> None:
        """One effect that others can see, and what follows on it alone."""
        self._perform()
        while isinstance(self.effect, _PRIVATE):
            self._perform()

    def _begin(self, flow: Flow[Any]) -> None:
        self._flow = flow
        self._go(lambda: next(flow))
        while isinstance(self.effect, _PRIVATE):
            self._perform()

    def _perform(self) -> None:
        flow, effect = self._flow, self.effect
        assert flow is not None, "nothing was begun"
        assert effect is not None, "it is done"
        try:
            answer = self.subs.perform(effect)
        except Exception as error:
            raised = error
            self._go(lambda: flow.throw(raised))
        else:
            self._go(lambda: flow.send(answer))

    def _go(self, on: Callable[[], Effect]) -> None:
        self.effect = None
        try:
            self.effect = on()
        except StopIteration as stop:
            self.answer = stop.value
        except Exception as error:
            self.error = error


def interleave(
    make: Callable[[], Subscriptions],
    first: Callable[[Process], None],
    second: Callable[[Process], None],
    check: Callable[[Subscriptions, Process, Process], None],
) -> int:
    """Begin both in a world of their own for every order in which their effects can follow each other; `check` each.

    No threads, no sleeps: the orders are walked through one by one. Of orders that differ only in neighbours that
    commute (two reads; store and gateway) one is walked. Answers how many there were.
    """
    orders, count = [list[int]()], 0
    while orders:
        order = orders.pop()
        subs = make()
        both = (Process(subs), Process(subs))
        first(both[0])
        second(both[1])
        taken: list[int] = []
        before: Effect | None = None
        while alive := [number for number in (0, 1) if not both[number].done]:
            if taken and taken[-1] == 1 and _commute(before, both[0].effect):
                alive = alive[1:] if alive[0] == 0 else alive
                if not alive:
                    break
            chosen = order[len(taken)] if len(taken) < len(order) else alive[0]
            if len(taken) >= len(order) and len(alive) == 2:
                orders.append([*taken, 1])
            taken.append(chosen)
            before = both[chosen].effect
            both[chosen].step()
        else:
            check(subs, *both)
            count += 1
    return count


def _commute(one: Effect | None, other: Effect | None) -> bool:
    if one is None or other is None:
        return False
    return isinstance(one, _MONEY) != isinstance(other, _MONEY) or (
        isinstance(one, _READS) and isinstance(other, _READS)
    )
