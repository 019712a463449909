"""From the table to a `transitions` machine, and from the machine to an immutable dispatch table.

The machine is the definition that every other view is made from: states, triggers, ordered candidates, conditions.
Driving it costs some sixty Python calls an event and leaves no reasons behind, so the hot path reads a table compiled
from the machine's own events; a property test holds the two against each other. No other file imports `transitions`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs
import transitions

from subscription_lifecycle.machine.guard import Context
from subscription_lifecycle.machine.transition import INTERRUPTED_STATE, SAME_STATE, Transition, position
from subscription_lifecycle.model.state import State

Rows: TypeAlias = tuple[Transition[Any], ...]
Table: TypeAlias = Mapping[str, Mapping[str, Rows]]


@attrs.define
class Cursor:
    """What the machine moves: a place that a context can be driven from."""

    state: str
    context: Context[Any]
    case: Hashable = None
    returns_to: str | None = None


class RowTransition(transitions.Transition):
    """A candidate of the machine that remembers the row it was made from; those that others add have none."""

    def __init__(self, *args: Any, row: Transition[Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row = row


class RowMachine(transitions.Machine):
    transition_cls = RowTransition


def trigger(on: type[Any]) -> str:
    return str(on.title).replace(" ", "_")


def build(rows: Iterable[Transition[Any]], states: Iterable[State], interrupted: Iterable[State]) -> RowMachine:
    """One machine for all subscriptions: it holds no models, and nothing jumps past a guard."""
    machine = RowMachine(
        model=None,
        states=[state.name for state in states],
        initial=None,
        auto_transitions=False,
        send_event=True,
    )
    returns = [state.name for state in interrupted]
    for row in rows:
        for source in row.source:
            if row.target is INTERRUPTED_STATE:
                for name in returns:
                    _add(machine, row, source, name, [_returns_to(name)])
            elif row.target is SAME_STATE:
                _add(machine, row, source, source.name, [])
            else:
                assert isinstance(row.target, State)
                _add(machine, row, source, row.target.name, [])
    return machine


def _add(
    machine: RowMachine, row: Transition[Any], source: State, target: str, extra: list[Callable[[Any], bool]]
) -> None:
    machine.add_transition(
        trigger(row.on),
        source.name,
        target,
        conditions=[_selected_by(row), *extra, *(_passes(guard) for guard in row.guards)],
        row=row,
    )


def _selected_by(row: Transition[Any]) -> Callable[[Any], bool]:
    def selected(event: transitions.EventData) -> bool:
        cursor: Any = event.model
        subscription = cursor.context.subscription
        return row.selects(cursor.case, subscription.cause, *position(subscription, cursor.context.today))

    selected.__name__ = row.id.partition(": ")[2].partition(", ")[2] or "always"
    return selected


def _returns_to(name: str) -> Callable[[Any], bool]:
    def returns(event: transitions.EventData) -> bool:
        cursor: Any = event.model
        return bool(cursor.returns_to == name)

    returns.__name__ = f"it left {name}"
    return returns


def _passes(guard: Any) -> Callable[[Any], bool]:
    def passes(event: transitions.EventData) -> bool:
        # The machine lets only True pass; a predicate that answers 1 or a match object means yes too.
        cursor: Any = event.model
        return bool(guard.check(cursor.context))

    passes.__name__ = guard.code
    return passes


def compile_table(machine: RowMachine) -> Table:
    """Trigger → state → rows in the machine's own order."""
    table: dict[str, Mapping[str, Rows]] = {}
    for name, event in machine.events.items():
        sources: dict[str, Rows] = {}
        for source, candidates in event.transitions.items():
            rows: list[Any] = list(candidates)
            sources[source] = tuple(dict.fromkeys(candidate.row for candidate in rows))
        table[name] = MappingProxyType(sources)
    return MappingProxyType(table)


def select(rows: Rows, case: Hashable, cause: Any, term: str, date: str) -> Transition[Any] | None:
    for row in rows:
        if row.selects(case, cause, term, date):
            return row
    return None


def drive(machine: RowMachine, name: str, cursor: Cursor) -> str | None:
    """The state that the machine itself leads to, None where it stays put: the specification of the compiled table."""
    event = machine.events.get(name)
    if event is None or cursor.state not in event.transitions:
        return None
    return cursor.state if event.trigger(cursor) else None


def graph(machine: RowMachine) -> str:
    """The machine as `transitions` draws it in Mermaid; its extensions are imported only here."""
    from transitions.extensions.diagrams import GraphMachine

    picture = GraphMachine(
        model=None,
        states=list(machine.states),
        initial=None,
        auto_transitions=False,
        graph_engine="mermaid",
        show_conditions=False,
    )
    for name, event in machine.events.items():
        for source, candidates in event.transitions.items():
            for target in dict.fromkeys(candidate.dest for candidate in candidates):
                picture.add_transition(name, source, target)
    return str(picture.graph_cls(picture).get_graph().draw(None))
