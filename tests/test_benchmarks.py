"""The benchmarks run and print their ratios. How fast anything is, is not tested: machines differ."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.parametrize(("script", "wanted"), [("decide", ["4.0", "1.5"]), ("imports", ["2.0"])])
def test_it_runs_and_prints_its_ratios(script: str, wanted: list[str]) -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / f"{script}.py"), "--quick"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert re.findall(r"\(wanted[a-z ]*: (\d\.\d) or (?:more|less)\)", run.stdout) == wanted
    assert re.findall(r"\d\.\d\d\b", run.stdout), run.stdout
