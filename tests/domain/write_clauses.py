"""The table of clauses and their tests: `python -m tests.domain.write_clauses` writes it into docs/clauses.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "clauses.md"
BEGIN, END = "<!-- clauses: begin -->", "<!-- clauses: end -->"
CLAUSES = tuple(f"S{number}" for number in range(1, 30)) + tuple(f"P{number}" for number in range(1, 9))
NAMED = re.compile(r"test_((?:[sp]\d+_)+)")


def clause_tests() -> Iterator[tuple[str, str, str]]:
    """Clause, test, and what the test's docstring says of it; a name begins with its clauses."""
    for path in sorted(HERE.glob("test_clauses*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            named = NAMED.match(node.name) if isinstance(node, ast.FunctionDef) else None
            if named and isinstance(node, ast.FunctionDef):
                said = " ".join((ast.get_docstring(node) or "").split())
                for clause in named[1].rstrip("_").split("_"):
                    yield f"{clause[0].upper()}{int(clause[1:])}", f"{path.name}::{node.name}", said


def table() -> str:
    """One line a clause: what the first of its tests says it is, and all the tests that hold us to it."""
    found: dict[str, list[tuple[str, str]]] = {clause: [] for clause in CLAUSES}
    for clause, test, said in clause_tests():
        found[clause].append((test, said))
    lines = ["| clause | what it says | tests |", "| --- | --- | --- |"]
    for clause, held in found.items():
        said = held[0][1] if held else ""
        names = "<br>".join(f"`{name}`" for name, _ in held)
        lines.append(f"| {clause} | {said} | {names} |")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """The page with the table as it is now between its markers."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
