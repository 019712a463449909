"""A file over 400 lines or a function over 70 is a reason to look again, and no room is called utils."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "subscription_lifecycle"

LONGEST_FILE = 400
LONGEST_FUNCTION = 70
JUSTIFIED = {
    "ports.py": "all that a host may write, on one page",
    "standard/commands.py": "all that can be asked of a standard subscription, one class each",
}
"""File, or file:function, and why it may be longer."""

ROOMS_WITHOUT_A_PURPOSE = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(SOURCE)): len(path.read_text("utf-8").splitlines()) for path in SOURCE.rglob("*.py")
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE and name not in JUSTIFIED} == {}


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{path.relative_to(SOURCE)}:{node.name}": node.end_lineno - node.lineno + 1
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_FUNCTION and name not in JUSTIFIED} == {}


def test_every_file_is_named_after_its_purpose() -> None:
    assert [path for path in SOURCE.rglob("*") if path.stem.strip("_") in ROOMS_WITHOUT_A_PURPOSE] == []
