"""The parts of the documentation that are made from the code. Rewrite them with `python -m tests.docs.generated`.

Each stands between `<!-- generated: name -->` and `<!-- end -->`.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from subscription_lifecycle import STANDARD, Cause, Guard, Period, Policy, Reactivate, State, Transition
from subscription_lifecycle.machine.transition import Target
from subscription_lifecycle.standard import may_support

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/table.md", "docs/policies.md", "docs/reference.md")
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

DOORS = (
    "subscription_lifecycle",
    "subscription_lifecycle.standard",
    "subscription_lifecycle.policies",
    "subscription_lifecycle.ports",
    "subscription_lifecycle.documents",
    "subscription_lifecycle.testing",
    "subscription_lifecycle.adapters.sqlalchemy",
    "subscription_lifecycle.adapters.stripe",
)


def table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [tuple(heading)]
    cells += [("---",) * len(cells[0]), *(tuple(row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def words(rule: Any) -> str:
    return str(rule.__name__).replace("_", " ")


# -- README


def reactivation() -> str:
    """One line for each way back, and one for everything else."""
    rows = [row for row in STANDARD.rows if row.on is Reactivate]
    lines = [
        (
            ", ".join(map(str, row.source)) + "".join(f" ({cause})" for cause in row.cause),
            "; ".join(filter(None, (row.date and f"date {row.date}", row.term and f"term {row.term}"))),
            (row.target.title if isinstance(row.target, Target) else str(row.target)) + _by_whom(row),
            words(row.billing_date),
            words(row.commitment),
            " + ".join(words(rule) for rule in row.charge),
            row.assumed or "",
        )
        for row in rows
    ]
    heading = ("from", "when", "to", "next billing date", "term", "charge", "assumed, where the article is silent")
    return table(heading, [*lines, ("any other", "", "refused: the remedy names what is possible", "", "", "", "")])


def _by_whom(row: Transition[Any]) -> str:
    return "; support only" if may_support in row.guards else ""


# -- table.md


def rows() -> str:
    return STANDARD.to_markdown()


def guards() -> str:
    found = {guard.code: guard for row in STANDARD.rows for guard in row.guards}
    return table(
        ("code", "says", "remedy"), ((code, guard.message, guard.remedy) for code, guard in sorted(found.items()))
    )


def rules() -> str:
    """Every rule that the table names, with the first line of what it says of itself."""
    columns: dict[str, Callable[[Transition[Any]], Iterable[Any]]] = {
        "charge": lambda row: row.charge,
        "next billing date": lambda row: (row.billing_date,),
        "term": lambda row: (row.commitment,),
        "deadline": lambda row: filter(None, (row.until, row.declined_until)),
        "by itself": lambda row: filter(None, (row.due,)),
    }
    found = {
        (column, words(rule)): first_line(rule)
        for column, read in columns.items()
        for row in STANDARD.rows
        for rule in read(row)
    }
    return table(("column", "rule", "meaning"), ((*key, meaning) for key, meaning in found.items()))


def diagram() -> str:
    return f"```mermaid\n{STANDARD.to_mermaid().strip()}\n```\n"


# -- policies.md


def policies() -> str:
    def line(name: str, policy: Policy) -> tuple[str, ...]:
        counts = (policy.expired_days, policy.disabled_days, policy.cancelled_days, policy.retry_days)
        return (f"`{name}`", *map(str, counts), policy.assumed or "")

    heading = ("policy", "EXPIRED", "DISABLED", "CANCELLED", "retries", "assumed")
    return table(heading, (line(name, policy) for name, policy in STANDARD.policies.items()))


# -- reference.md


def reference() -> str:
    return "\n".join(_door(door) for door in DOORS)


def _door(door: str) -> str:
    module = importlib.import_module(door)
    names = sorted(module.__all__, key=lambda name: (name.casefold(), name))
    lines = [f"- `{name}`: {describe(getattr(module, name), name)}" for name in names]
    return "\n".join([f"## `{door}`", "", first_line(module), "", *lines, ""])


def describe(value: Any, name: str) -> str:
    """Its first line; of a constant the words beneath it in the source, or what kind of thing it is."""
    if inspect.ismodule(value) or inspect.isclass(value) or inspect.isroutine(value):
        return first_line(value)
    if isinstance(value, Guard):
        return f"Refuses with `{value.code}`: {value.message}"
    if name in notes():
        return notes()[name]
    match value:
        case State():
            return f"The state {value}: access {value.access}."
        case Cause():
            return f"The cause {value}."
        case Period():
            return f"A period of {value}."
        case Policy():
            return "A policy."
        case int() | str():
            return f"`{value!r}`."
        case _:
            return "A type."


@functools.cache
def notes() -> Mapping[str, str]:
    """By the name of a constant: the first line of the text that follows its definition."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        body = ast.parse(path.read_text("utf-8")).body
        for one, following in itertools.pairwise(body):
            if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
                name = one.targets[0].id
            elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                name = one.target.id
            else:
                continue
            match following:
                case ast.Expr(value=ast.Constant(value=str() as text)):
                    found[name] = inspect.cleandoc(text).partition("\n\n")[0].replace("\n", " ")
    return found


def first_line(value: Any) -> str:
    text = inspect.getdoc(value)
    assert text, f"{value} has no docstring"
    return text.partition("\n\n")[0].replace("\n", " ")


# -- all of them

PARTS: dict[str, Callable[[], str]] = {
    made.__name__: made for made in (reactivation, rows, guards, rules, diagram, policies, reference)
}


def rewritten(text: str) -> str:
    return BLOCK.sub(lambda block: f"{block[1]}{PARTS[block[2]]()}{block[3]}", text)


def main() -> None:
    for page in PAGES:
        path = ROOT / page
        path.write_text(rewritten(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
