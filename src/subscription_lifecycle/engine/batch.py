"""Many flows in step: what they wait for at the same time is asked for together. No flow knows of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from subscription_lifecycle.engine.effects import (
    AtOnce,
    Capture,
    Effect,
    Flow,
    GiveBack,
    Load,
    LoadMany,
    LookUp,
    Now,
    Save,
    SaveMany,
    VoidPayment,
)

T = TypeVar("T")
MONEY = (Capture, LookUp, VoidPayment, GiveBack)
ROUNDS = 8
"""So many payments, times those at once, are asked for before their facts are put on record."""
_Answers = Sequence[Any]


def in_step(flows: Mapping[str, Flow[T]], *, bulk: bool, at_once: int) -> Flow[dict[str, T | Exception]]:
    """Drive flows of different subscriptions to their ends. Answers what each returned, or the exception it raised.

    Whoever is behind goes first, so that money is asked for together, and the facts of some are on record before the
    next are asked for. `bulk`: loads and writes are made many at a time. `at_once`: so many payments at a time.
    """
    step = _Step(dict(flows), {}, {})
    try:
        for name in flows:
            step.go(name, next)
        while step.waiting:
            yield from _answer(step, bulk, at_once)
        return step.ended
    finally:
        for flow in step.flows.values():
            flow.close()


@attrs.frozen
class _Step:
    flows: dict[str, Flow[Any]]
    waiting: dict[str, Effect]
    ended: dict[str, Any]

    def go(self, name: str, on: Callable[[Flow[Any]], Effect]) -> None:
        self.waiting.pop(name, None)
        try:
            self.waiting[name] = on(self.flows[name])
        except StopIteration as stop:
            self.ended[name] = stop.value
        except Exception as error:
            self.ended[name] = error

    def answer(self, name: str, answer: Any) -> None:
        if isinstance(answer, Exception):
            self.go(name, lambda flow: flow.throw(answer))
        else:
            self.go(name, lambda flow: flow.send(answer))

    def asking(self, *kinds: type) -> list[str]:
        return [name for name, effect in self.waiting.items() if isinstance(effect, kinds)]


def _answer(step: _Step, bulk: bool, at_once: int) -> Flow[None]:
    """What the flows that are behind wait for: the time, then what only one asks for, reading, writing, money."""
    if names := step.asking(Now):
        answers: _Answers = [(yield from _tried(Now()))] * len(names)
    elif names := [name for name, effect in step.waiting.items() if not isinstance(effect, (Load, Save, *MONEY))]:
        answers = yield from _one_by_one(step.waiting[name] for name in names)
    elif names := step.asking(Load):
        loads: Any = tuple(step.waiting[name] for name in names)
        answers = yield from _in_bulk(LoadMany(loads), loads, bulk)
    elif names := step.asking(Save):
        saves: Any = tuple(step.waiting[name] for name in names)
        answers = yield from _in_bulk(SaveMany(saves), saves, bulk)
    else:
        names = list(step.waiting)[: at_once * ROUNDS]
        answers = yield from _at_once(tuple(step.waiting[name] for name in names), at_once)
    for name, answer in zip(names, answers, strict=True):
        step.answer(name, answer)


def _in_bulk(many: LoadMany | SaveMany, parts: tuple[Effect, ...], bulk: bool) -> Flow[_Answers]:
    """Where it fails as a whole each is tried alone, so that what is at fault hurts only itself: a write that was made
    all the same is known by its id."""
    if bulk and len(parts) > 1:
        answers = yield from _tried(many)
        if not isinstance(answers, Exception):
            told: _Answers = answers
            return told
    return (yield from _one_by_one(parts))


def _at_once(parts: Any, limit: int) -> Flow[_Answers]:
    """Where it fails as a whole nobody knows what moved: each flow is told so, and nothing is asked for again."""
    if limit == 1 or len(parts) == 1:
        return (yield from _one_by_one(parts))
    answers = yield from _tried(AtOnce(parts, limit))
    return [answers] * len(parts) if isinstance(answers, Exception) else answers


def _one_by_one(effects: Iterable[Effect]) -> Flow[_Answers]:
    answers: list[Any] = []
    for effect in effects:
        answers.append((yield from _tried(effect)))
    return answers


def _tried(effect: Effect) -> Flow[Any]:
    try:
        return (yield effect)
    except Exception as error:
        return error
