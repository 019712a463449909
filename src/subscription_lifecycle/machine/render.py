"""The table as a page, and the machine as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from subscription_lifecycle.machine.transition import Target, Transition, nothing, same, unchanged

if TYPE_CHECKING:
    from subscription_lifecycle.machine.definition import Definition
    from subscription_lifecycle.machine.dispatch import RowMachine

_COLUMNS = (
    "command",
    "from",
    "when",
    "to",
    "unless refused by",
    "charge",
    "next billing date",
    "term",
    "deadline",
    "by itself",
    "note",
)


def markdown(definition: Definition) -> str:
    """One line a row; assumed effects say so in the last column."""
    lines = [_line(_COLUMNS), _line("---" for _ in _COLUMNS)]
    return "\n".join([*lines, *(_line(_cells(row)) for row in definition.rows)]) + "\n"


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Transition[Any]) -> list[str]:
    return [
        row.on.title,
        ", ".join(state.name for state in row.source),
        _when(row),
        _to(row),
        ", ".join(guard.code for guard in row.guards),
        " + ".join(_name(rule) for rule in row.charge if rule is not nothing),
        "" if row.billing_date is unchanged else _name(row.billing_date),
        "" if row.commitment is same else _name(row.commitment),
        "" if row.until is None else _name(row.until),
        "" if row.due is None else _name(row.due),
        "" if row.assumed is None else f"assumed: {row.assumed}",
    ]


def _when(row: Transition[Any]) -> str:
    parts = [cause.name.replace("_", " ") for cause in row.cause]
    parts += [f"date {row.date}"] if row.date else []
    parts += [f"term {row.term}"] if row.term else []
    parts += [str(row.case).lower().replace("_", " ")] if row.case is not None else []
    return ", ".join(parts)


def _to(row: Transition[Any]) -> str:
    target = row.target.title if isinstance(row.target, Target) else row.target.name
    cause = f" ({row.adds.name.replace('_', ' ')})" if row.adds else ""
    declined = f"; declined: {row.declined.name}" if row.declined else ""
    return f"{target}{cause}{declined}"


def _name(rule: Any) -> str:
    return str(getattr(rule, "__name__", type(rule).__name__)).replace("_", " ")


def edges(machine: RowMachine) -> list[tuple[str, str, list[str]]]:
    """Source, target and triggers of the machine, each pair once."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for name, event in machine.events.items():
        for source, candidates in event.transitions.items():
            for candidate in candidates:
                found.setdefault((source, str(candidate.dest)), {})[name.replace("_", " ")] = None
    return [(source, target, list(names)) for (source, target), names in found.items()]


def mermaid(machine: RowMachine) -> str:
    """`stateDiagram-v2`, as `transitions` draws it."""
    from subscription_lifecycle.machine.dispatch import graph

    return graph(machine)


def dot(machine: RowMachine) -> str:
    """A Graphviz digraph of the machine's states and triggers."""
    lines = ["digraph lifecycle {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    lines += [f'  "{name}";' for name in machine.states]
    lines += [f'  "{source}" -> "{target}" [label="{", ".join(names)}"];' for source, target, names in edges(machine)]
    return "\n".join([*lines, "}"]) + "\n"
