"""A store that is shared by forked processes: each has connections of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/subscriptions.db"
    else:
        yield request.getfixturevalue("postgresql_url")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/subscriptions.db"


def found(what: str, url: str) -> Any:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "tests.stores.forked", what, url],
        env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_each_worker_writes_into_its_own_subscription(url: str) -> None:
    """Two on one connection read each other's answers, and write what they read into the wrong subscription."""
    assert found("workers", url) == {"failed": [], "foreign": {"one": [], "two": [], "parent": []}}


def test_what_a_worker_writes_outlives_the_process_that_forked_it(url: str) -> None:
    """SQLite deletes its log when the last connection closes: it must know of those in other processes."""
    assert found("kept_by_the_parent", url) == {"failed": None, "keys": ["start", "start", "child"]}


def test_a_worker_of_a_worker_has_connections_of_its_own(url: str) -> None:
    parent, worker, worker_of_it, again = found("generations", url)["backends"]
    assert len({parent, worker, worker_of_it}) == 3
    assert url.startswith("sqlite") or parent == again


def test_an_engine_of_a_host_is_refused_while_it_holds_connections_of_another_process(url: str) -> None:
    told = found("of_a_host", url)
    refusal = told.pop("left")
    assert refusal.startswith("InvalidValue: engine_or_url: its connections were opened by the process")
    assert "engine.dispose(close=False)" in refusal
    assert set(told.values()) == {"sub"}


def test_every_way_to_the_database_is_refused(postgresql_url: str) -> None:
    told = found("searched", postgresql_url)
    assert len(told) == 6
    assert set(told.values()) == {True}


def test_a_file_that_was_in_use_while_the_process_forked_is_refused(sqlite_url: str) -> None:
    """The locks of SQLite are not inherited, and what it knows of them is: it would write as if it were alone."""
    told = found("in_use", sqlite_url)
    assert told.pop("child").startswith("InvalidValue: engine_or_url: its connections were opened by the process")
    assert told == {"parent": "sub", "child later": "sub"}


def test_a_connection_to_postgresql_that_was_in_use_stays_with_its_process(postgresql_url: str) -> None:
    assert found("in_use", postgresql_url) == {"child": "sub", "parent": "sub", "child later": "sub"}


def test_a_database_in_memory_is_copied() -> None:
    assert found("in_memory", "sqlite://") == {"child": "sub", "parent": "sub"}
