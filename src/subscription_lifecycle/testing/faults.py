"""Planted faults: processes that die, effects performed twice, cancelled tasks, and two processes at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeAlias

from subscription_lifecycle.engine.effects import (
    AskFacts,
    AtOnce,
    Capture,
    Effect,
    FindDue,
    FindPayment,
    Flow,
    GiveBack,
    Load,
    LoadMany,
    LookUp,
    Now,
    ReadHistory,
    SaveMany,
    Tell,
    VoidPayment,
)
from subscription_lifecycle.engine.subscriptions import AsyncSubscriptions, Subscriptions
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.charge import Terms
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.payment import PaymentOutcome

__all__ = [
    "CUTS",
    "Cut",
    "Died",
    "MortalSubscriptions",
    "Process",
    "cancel_at_every_effect",
    "crash_at_every_effect",
    "interleave",
    "run_every_effect_twice",
]

Perform: TypeAlias = Callable[[Effect], Any]


class Died(BaseException):
    """The process ended here. Nothing may catch it."""


class MortalSubscriptions(Subscriptions):
    """Subscriptions that die at a chosen effect: `die_at(n)` before the n-th from now, or after it was performed.

    They also die inside a batch: of what is performed at once each part is an effect, one after the other, and of what
    is written together each write is, as in a store that is killed between its transactions.
    """

    effects: int = 0
    _fatal: int | None = None
    _performed: bool = False

    def die_at(self, effect: int | None, *, performed: bool = False) -> None:
        """None: live on."""
        self.effects, self._fatal, self._performed = 0, effect, performed

    def perform(self, effect: Effect) -> Any:
        if isinstance(effect, AtOnce):
            return _in_turn(effect, self.perform)
        if isinstance(effect, SaveMany):
            return self._written(effect)
        number, self.effects = self.effects, self.effects + 1
        if number == self._fatal and not self._performed:
            raise Died(effect)
        answer = super().perform(effect)
        if number == self._fatal:
            raise Died(effect)
        return answer

    def _written(self, effect: SaveMany) -> Any:
        first, self.effects = self.effects, self.effects + len(effect.saves)
        if self._fatal is None or not first <= self._fatal < self.effects:
            return super().perform(effect)
        written = effect.saves[: self._fatal - first + self._performed]
        if written:
            super().perform(SaveMany(written))
        raise Died(effect)


def _in_turn(effect: AtOnce, perform: Perform) -> tuple[Any, ...]:
    """One after the other, so that which is which does not depend on threads."""
    answers: list[Any] = []
    for part in effect.parts:
        try:
            answers.append(perform(part))
        except Exception as error:
            answers.append(error)
    return tuple(answers)


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


def run_every_effect_twice(
    make: Callable[[], Subscriptions], act: Callable[[Subscriptions], Any], check: Callable[[Subscriptions], None]
) -> int:
    """Run `act` in worlds that perform an effect twice, as durable engines may; `check` each. How many there were.

    One effect after the other, and then all of them, are performed twice in a row; the flow is given the first answer,
    or the second. What is raised the first time is tried again too.
    """
    worlds = 0
    for answer in (0, 1):
        only: int | None = 0
        while only is not None:
            subs = make()
            repeating = _Repeating(subs.perform, only, answer)
            vars(subs)["perform"] = repeating
            act(subs)
            if repeating.effects <= only:
                # There is no such effect: nothing was repeated. Last of all, everything is.
                subs, only = make(), None
                vars(subs)["perform"] = _Repeating(subs.perform, None, answer)
                act(subs)
            else:
                only += 1
            del vars(subs)["perform"]
            check(subs)
            worlds += 1
    return worlds


class _Repeating:
    """Performs one effect twice, or every one."""

    def __init__(self, perform: Perform, only: int | None, answer: int) -> None:
        self.effects = 0
        self._perform, self._only, self._answer = perform, only, answer

    def __call__(self, effect: Effect) -> Any:
        if isinstance(effect, AtOnce):
            return _in_turn(effect, self)
        number, self.effects = self.effects, self.effects + 1
        if self._only not in (None, number):
            return self._perform(effect)
        tries = [self._try(effect), self._try(effect)]
        answer, error = tries[self._answer]
        if error is not None:
            raise error
        return answer

    def _try(self, effect: Effect) -> tuple[Any, Exception | None]:
        try:
            return self._perform(effect), None
        except Exception as error:
            return None, error


Cut: TypeAlias = Literal["before", "during", "after recovery"]
"""When the effect of a cancelled task is performed: never; though nobody hears of it; or only when all has recovered,
as by a worker thread that was held up."""
CUTS: tuple[Cut, ...] = ("before", "during", "after recovery")


async def cancel_at_every_effect(
    make: Callable[[], AsyncSubscriptions],
    act: Callable[[AsyncSubscriptions], Awaitable[Any]],
    check: Callable[[AsyncSubscriptions], Awaitable[None]],
    *,
    cuts: Sequence[Cut] = CUTS,
) -> int:
    """Run `act` in worlds whose task is cancelled at each effect; each recovers by a sweep; `check` each. How many.

    The effect is not performed; or it is, and its answer is lost; or it is performed when the sweep is over already.
    """
    cancelled = 0
    for cut in cuts:
        effect = 0
        while True:
            subs = make()
            cutting = _Cutting(subs.perform, effect, cut)
            vars(subs)["perform"] = cutting
            try:
                await asyncio.ensure_future(act(subs))
            except asyncio.CancelledError:
                if not cutting.cut:
                    # Not ours: whoever awaits this was cancelled.
                    raise
            del vars(subs)["perform"]
            if not cutting.cut:
                break
            await subs.sweep()
            if cutting.left is not None:
                await cutting.late()
                await subs.sweep()
            await check(subs)
            cancelled += 1
            effect += 1
    return cancelled


class _Cutting:
    """Cancels the task that asks for one effect."""

    def __init__(self, perform: Perform, fatal: int, cut: Cut) -> None:
        self.cut = False
        self.left: Effect | None = None
        self._effects = 0
        self._perform, self._fatal, self._when = perform, fatal, cut

    def __call__(self, effect: Effect) -> Any:
        if isinstance(effect, AtOnce):
            return self._in_turn(effect)
        number, self._effects = self._effects, self._effects + 1
        return self._end(effect) if number == self._fatal else self._perform(effect)

    async def late(self) -> None:
        """What was held up is performed now; what it answers or raises, nobody hears."""
        if self.left is not None:
            await asyncio.gather(self._performed(self.left), return_exceptions=True)

    async def _in_turn(self, effect: AtOnce) -> tuple[Any, ...]:
        answers: list[Any] = []
        for part in effect.parts:
            try:
                answer = self(part)
                answers.append(await answer if inspect.isawaitable(answer) else answer)
            except Exception as error:
                answers.append(error)
        return tuple(answers)

    async def _end(self, effect: Effect) -> None:
        self.cut = True
        if self._when == "during":
            await asyncio.gather(self._performed(effect), return_exceptions=True)
        elif self._when == "after recovery":
            self.left = effect
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async def _performed(self, effect: Effect) -> Any:
        answer = await asyncio.to_thread(self._perform, effect)
        return await answer if inspect.isawaitable(answer) else answer


Result = Applied | AwaitingPayment
_PRIVATE = (Now, AskFacts, Tell)
"""Effects that no other process can see: nothing is interleaved at them."""
_MONEY = (Capture, LookUp, VoidPayment, GiveBack)
_READS = (Load, LoadMany, FindDue, FindPayment, ReadHistory, LookUp)


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
        self._parts: list[Effect] = []
        self._answers: list[Any] = []

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
        answer: Any
        try:
            answer = self.subs.perform(effect)
        except Exception as error:
            answer = error
        if self._parts:
            # What is performed at once is performed one after the other, each a step.
            self._answers.append(answer)
            self.effect = self._parts.pop(0)
        elif self._answers:
            answers = (*self._answers, answer)
            self._answers = []
            self._go(lambda: flow.send(answers))
        elif isinstance(answer, Exception):
            self._go(lambda: flow.throw(answer))
        else:
            self._go(lambda: flow.send(answer))

    def _go(self, on: Callable[[], Effect]) -> None:
        self.effect = None
        try:
            effect = on()
            if isinstance(effect, AtOnce):
                self.effect, self._parts = effect.parts[0], list(effect.parts[1:])
            else:
                self.effect = effect
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
