"""The clock is read in one function, `utc_now`; everything else is told the time. Rules wait for nobody."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "subscription_lifecycle"

AMBIENT = {f"{owner}.{name}" for owner in ("date", "datetime") for name in ("now", "today", "utcnow")}
AMBIENT |= {"time.time", "time.time_ns", "time.localtime", "time.gmtime"}

THE_CLOCK = "utc_now"


def ambient_time(tree: ast.AST) -> Iterator[int]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and node.name == THE_CLOCK:
            continue
        if isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).split(".")[-2:]) in AMBIENT:
            yield node.lineno
        yield from ambient_time(node)


def pure_files() -> Iterator[Path]:
    yield SOURCE / "errors.py"
    yield SOURCE / "engine" / "flow.py"
    for folder in ("model", "machine", "standard"):
        yield from (SOURCE / folder).rglob("*.py")


def test_the_clock_is_read_in_one_function() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line in ambient_time(ast.parse(path.read_text("utf-8")))
    ]
    assert found == []


def test_rules_wait_for_nobody_and_open_nothing() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sorted(pure_files())
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
        or (isinstance(node, ast.Name) and node.id in {"input", "open", "print"})
    ]
    assert found == []


def test_ambient_time_is_recognised() -> None:
    ambient = "datetime.now(UTC)\ndatetime.datetime.utcnow()\nf = date.today\n"
    allowed = "def utc_now(): return datetime.now(UTC)\ncontext.today\n"
    assert list(ambient_time(ast.parse(ambient + allowed))) == [1, 2, 3]
