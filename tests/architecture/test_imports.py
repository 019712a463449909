"""Imports go down only: the contracts of pyproject.toml, and what the front door may pull in."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OPTIONAL = ["alembic", "cattrs", "hypothesis", "orjson", "psycopg", "rich", "sqlalchemy", "stripe", "typer"]


@pytest.mark.slow
def test_the_import_contracts_are_kept() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()"]
    lint = subprocess.run([*command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_the_front_door_imports_no_optional_package() -> None:
    program = f"import sys, subscription_lifecycle; print([name for name in {OPTIONAL} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"
