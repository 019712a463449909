"""A table is checked when it is made, and every problem is named at once."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from subscription_lifecycle.errors import DefinitionError
from subscription_lifecycle.machine.dispatch import trigger
from subscription_lifecycle.machine.guard import Guard, named
from subscription_lifecycle.machine.transition import INTERRUPTED_STATE, SAME_STATE, Target, Transition, nothing
from subscription_lifecycle.model.command import REGISTRY, Command, is_ours, qualified
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.model.state import Cause, State

if TYPE_CHECKING:
    from subscription_lifecycle.machine.definition import Definition

TERMS = ("running", "over")
DATES = ("ahead", "passed")


def check_shapes(rows: Iterable[Any], policies: Iterable[Any]) -> None:
    """Each row is made of the right kinds of things. Raises DefinitionError."""
    problems = [f"policy {policy!r} is no Policy." for policy in policies if not isinstance(policy, Policy)]
    for number, row in enumerate(rows, 1):
        problems += [f"row {number}: {problem}" for problem in _misshapen(row)]
    if problems:
        raise DefinitionError(tuple(problems))


def _misshapen(row: Any) -> Iterator[str]:
    if not isinstance(row, Transition):
        yield f"{row!r} is no Transition."
        return
    if not (isinstance(row.on, type) and issubclass(row.on, Command)):
        yield f"on={row.on!r} is no Command class."
    if not row.source:
        yield "source=() is no State; name the states that the row starts from."
    for state in row.source:
        if not isinstance(state, State):
            yield f"source={state!r} is no State."
    if not isinstance(row.target, State | Target):
        yield f"target={row.target!r} is no State."
    if row.declined is not None and not isinstance(row.declined, State):
        yield f"declined={row.declined!r} is no State."
    for cause in (*row.cause, *row.lifts, *([] if row.adds is None else [row.adds])):
        if not isinstance(cause, Cause):
            yield f"{cause!r} is no Cause."
    for guard in row.guards:
        if not isinstance(guard, Guard):
            yield f"guards={guard!r} is no Guard; make one with @guard."
        elif _answers_later(guard.check):
            yield f"guard {guard.code} answers later, and would let everybody pass: use def, without yield."
    if not row.charge:
        yield "charge=() is no rule; leave it out where nothing is charged."
    if row.term not in (None, *TERMS):
        yield f"term={row.term!r} is not one of {TERMS}."
    if row.date not in (None, *DATES):
        yield f"date={row.date!r} is not one of {DATES}."
    rules = [row.billing_date, row.commitment, *row.charge, *row.effects, *row.reminders]
    optional = [row.until, row.declined_until, row.due, row.claims]
    for rule in (*rules, *(rule for rule in optional if rule is not None)):
        if not callable(rule):
            yield f"{rule!r} is no rule."
        elif _answers_later(rule):
            yield f"{rule!r} answers later: rules are pure; use def, without yield."


def _answers_later(rule: Any) -> bool:
    """Whether calling it makes a coroutine or a generator, which is true whatever it would say."""
    while isinstance(rule, functools.partial):
        rule = rule.func
    call = vars(type(rule)).get("__call__")
    makers = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(maker(rule) or maker(call) for maker in makers)


def verify(definition: Definition) -> None:
    """The whole table: no overlaps, nothing that cannot happen. Raises DefinitionError."""
    checks: tuple[Callable[[Definition], Iterator[str]], ...] = (_names, _rows, _causes, _overlaps, _reachability)
    problems = [problem for check in checks for problem in check(definition)]
    if problems:
        raise DefinitionError(tuple(problems))


def _names(definition: Definition) -> Iterator[str]:
    if not definition.rows:
        yield "there are no rows."
    if not definition.policies:
        yield "there is no policy."
    for state in _mentioned(definition):
        known = definition.states[state.name]
        if (state.access, state.final, state.settled) != (known.access, known.final, known.settled):
            yield f"there are two different states {state.name!r}."
    for name, found in _by(definition.commands, lambda command: command.__name__).items():
        if len(found) > 1:
            yield f"there are {len(found)} commands {name!r}; entries could not tell them apart."
    for name, found in _by(definition.commands, trigger).items():
        called = list(dict.fromkeys(command.__name__ for command in found))
        if len(called) > 1:
            yield f"the commands {' and '.join(called)} have one trigger, {name!r}; rename one of them."
        if name == "state":
            yield "a command cannot be called State: the machine keeps the state under that name."
    for command in definition.commands:
        ours = REGISTRY.get(command.__name__)
        if ours is not None and is_ours(ours) and command is not ours:
            yield f"{qualified(command)} has the stored name of a command of this library; rename it."
    for id, found in _by(definition.rows, lambda row: row.id).items():
        if len(found) > 1:
            yield f"{id}: {len(found)} rows are chosen by the same things."


def _rows(definition: Definition) -> Iterator[str]:
    for row in definition.rows:
        for state in row.source:
            if state.final and row.target is not SAME_STATE:
                yield f"{row.id}: {state} is final; no row may leave it."
        if row.due is not None and row.charges and row.declined is None:
            yield f"{row.id}: a row that the clock takes and that charges must say where a decline leads (declined=)."
        if row.declined is not None and not row.charges:
            yield f"{row.id}: declined={row.declined} without a charge."
        if row.declined_until is not None and row.declined is None:
            yield f"{row.id}: declined_until without declined."
        if nothing in row.charge and len(row.charge) > 1:
            yield f"{row.id}: nothing and something are charged at once."
        for effect, times in Counter(map(id, row.effects)).items():
            if times > 1:
                name = next(named(found) for found in row.effects if id(found) == effect)
                yield f"{row.id}: the effect {name} is listed {times} times, and only the last would count."
        if row.target is INTERRUPTED_STATE and not definition.interruptible:
            yield f"{row.id}: leads back to the interrupted state, but no row interrupts one (adds=)."


def _causes(definition: Definition) -> Iterator[str]:
    added: dict[Cause, set[State | Target]] = {}
    for row in definition.rows:
        if row.adds is not None:
            added.setdefault(row.adds, set()).add(row.target)
    for cause, targets in added.items():
        if len(targets) > 1 or not all(isinstance(target, State) for target in targets):
            several = ", ".join(sorted(str(target) for target in targets))
            yield f"the cause {cause} must always lead to one state, not to {several}."
    for row in definition.rows:
        for cause in (*row.cause, *row.lifts):
            if cause not in added:
                yield f"{row.id}: no row adds the cause {cause}."


def _overlaps(definition: Definition) -> Iterator[str]:
    causes = (None, *definition.causes.values())
    groups: dict[tuple[type[Command], State], list[Transition[Any]]] = {}
    for row in definition.rows:
        for state in dict.fromkeys(row.source):
            groups.setdefault((row.on, state), []).append(row)
    for (_, state), rows in groups.items():
        if len(rows) < 2:
            continue
        cases = tuple(dict.fromkeys((None, *(row.case for row in rows))))
        found: dict[tuple[str, ...], str] = {}
        for case, cause, term, date in itertools.product(cases, causes, TERMS, DATES):
            ids = tuple(row.id for row in rows if row.selects(case, cause, term, date))
            if len(ids) > 1:
                where = f"{state}, cause {cause}, term {term}, date {date}" + (
                    f", case {case}" if case is not None else ""
                )
                found.setdefault(ids, where)
        for ids, where in found.items():
            yield f"more than one row applies at {where}: {' | '.join(ids)}."


def _reachability(definition: Definition) -> Iterator[str]:
    """Only where the rows cannot even be followed; what is merely out of reach is remarked on."""
    try:
        _ = definition.reachable
    except DefinitionError as error:
        yield from error.problems


def remarks(definition: Definition) -> Iterator[str]:
    """What is odd and not wrong: a table may be extended step by step, and each step is a table."""
    reached = {state for state, _ in definition.reachable}
    creates = any(row.on.creates for row in definition.rows)
    for state in definition.states.values():
        if creates and state not in reached:
            yield f"the state {state} cannot be reached."
        if not state.final and not any(state in row.source and not row.on.creates for row in definition.rows):
            yield f"nothing leads out of {state}, and it is not final."


def _mentioned(definition: Definition) -> Iterator[State]:
    for row in definition.rows:
        yield from (state for state in (*row.source, row.target, row.declined) if isinstance(state, State))


def _by(items: Iterable[Any], key: Callable[[Any], str]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
