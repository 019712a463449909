"""mypy --strict and pyright accept the library, its examples and the right uses, and reject every wrong one."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
WRONG_USES = Path(__file__).with_name("wrong_uses.py")
MARK = "# E: wrong"


class Complaint(NamedTuple):
    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.text}"


def mypy(paths: list[str]) -> list[Complaint]:
    command = [sys.executable, "-m", "mypy", "--output=json", *paths]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return [
        Complaint(ROOT / each["file"], each["line"], each["message"])
        for each in map(json.loads, run.stdout.splitlines())
        if each["severity"] == "error"
    ]


def pyright(paths: list[str]) -> list[Complaint]:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *paths]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return [
        Complaint(Path(each["file"]), each["range"]["start"]["line"] + 1, each["message"])
        for each in json.loads(run.stdout)["generalDiagnostics"]
        if each["severity"] == "error"
    ]


CHECKERS = {"mypy": mypy, "pyright": pyright}


ONE_RUN_EACH = [pytest.param(name, marks=pytest.mark.slow) for name in CHECKERS]


@pytest.fixture(scope="module", params=ONE_RUN_EACH)
def complaints(request: pytest.FixtureRequest) -> list[Complaint]:
    files: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]["files"]
    return CHECKERS[request.param]([*files, str(WRONG_USES.relative_to(ROOT))])


def test_the_library_its_examples_and_the_right_uses_are_clean(complaints: list[Complaint]) -> None:
    unexpected = [str(each) for each in complaints if each.path != WRONG_USES]
    assert not unexpected, "\n".join(unexpected)


def test_every_wrong_use_is_rejected_and_nothing_else(complaints: list[Complaint]) -> None:
    lines = WRONG_USES.read_text("utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, start=1) if line.endswith(MARK)}
    assert wrong
    rejected = {each.line: str(each) for each in complaints if each.path == WRONG_USES}
    accepted = [f"wrong, yet accepted: {lines[number - 1]}" for number in sorted(wrong - rejected.keys())]
    refused = [f"right, yet rejected: {rejected[number]}" for number in sorted(rejected.keys() - wrong)]
    assert not accepted + refused, "\n".join(accepted + refused)
