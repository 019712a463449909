"""The project speaks of itself alone: no path of a machine, no ticket, no tale of how it was written."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ELSEWHERE = re.compile(
    r"(?<![\w.])/(?:work|root|home/\w+)\b"  # a folder of one machine
    r"|/tmp/venv"
    r"|\bissues? #?\d"  # a ticket nobody else can open
    r"|\b(?:this|that|last|next|previous|earlier|later|another|working) session\b"
    r"|\blanguage models?\b",
    re.IGNORECASE,
)
NEIGHBOUR = re.compile(r"\.\./shared\b")  # a folder beside the checkout: named once, in .ci/run


def text_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and path != Path(__file__) and b"\0" not in path.read_bytes()]


def test_the_project_speaks_of_itself_alone() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in text_files()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if ELSEWHERE.search(line) or (NEIGHBOUR.search(line) and path != ROOT / ".ci" / "run")
    ]
    assert found == []
