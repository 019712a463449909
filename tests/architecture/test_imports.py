"""Imports go down only: the contracts of pyproject.toml, and what the front door may pull in."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import subscription_lifecycle

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "subscription_lifecycle"

OPTIONAL = ["alembic", "cattrs", "hypothesis", "orjson", "psycopg", "rich", "sqlalchemy", "stripe", "typer"]


@pytest.mark.slow
def test_the_import_contracts_are_kept() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()"]
    lint = subprocess.run([*command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout + lint.stderr


def printed(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_front_door_imports_no_optional_package() -> None:
    everything = "import sys; from subscription_lifecycle import *"
    assert printed(f"{everything}; print([name for name in {OPTIONAL} if name in sys.modules])").strip() == "[]"


def test_the_front_door_imports_what_is_asked_for() -> None:
    loaded = printed("import sys; from subscription_lifecycle import Money; print(*sorted(sys.modules))").split()
    ours = [name for name in loaded if name.startswith("subscription_lifecycle.")]
    assert "subscription_lifecycle.model.money" in ours
    assert not [
        name for name in ours if name.startswith(("subscription_lifecycle.engine", "subscription_lifecycle.machine"))
    ]


def test_type_checkers_see_the_front_door_as_it_is() -> None:
    stub = ast.parse((SOURCE / "__init__.pyi").read_text("utf-8"))
    imported = {
        name.name: f"{found.module}" for found in stub.body if isinstance(found, ast.ImportFrom) for name in found.names
    }
    homes = {
        name: f"subscription_lifecycle.{home}"
        for home, names in vars(subscription_lifecycle)["_HOMES"].items()
        for name in names.split()
    }
    assert imported == homes
    [listed] = [ast.literal_eval(found.value) for found in stub.body if isinstance(found, ast.Assign)]
    assert sorted(listed) == subscription_lifecycle.__all__ == sorted(homes)
    assert ast.get_docstring(stub) == inspect.getdoc(subscription_lifecycle)
    assert set(subscription_lifecycle.__all__) <= set(dir(subscription_lifecycle))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = subscription_lifecycle.Nonsense  # type: ignore[attr-defined]


@pytest.mark.slow
def test_every_module_can_be_the_first_that_is_imported() -> None:
    """In a process that forgets between two imports what is ours."""
    program = f"""
import importlib, pathlib, sys
import hypothesis, sqlalchemy, stripe, typer
for path in sorted(pathlib.Path({str(SOURCE)!r}).rglob("*.py")):
    if "migrations" in path.parts or path.stem == "__main__":
        continue
    for name in [name for name in sys.modules if name.startswith("subscription_lifecycle")]:
        del sys.modules[name]
    parts = path.relative_to({str(SOURCE.parent)!r}).with_suffix("").parts
    importlib.import_module(".".join(part for part in parts if part != "__init__"))
    print(path.stem)
"""
    assert len(printed(program).split()) > 100


@pytest.mark.parametrize("first", ["hypothesis", "subscription_lifecycle.testing.strategies"])
def test_hypothesis_knows_our_types_whatever_is_imported_first(first: str) -> None:
    program = f"""
import {first}
from hypothesis import strategies
from subscription_lifecycle import Money
print(strategies.from_type(Money))
"""
    assert "KWD" in printed(program), "one of the currencies that ours is made of"
