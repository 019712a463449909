"""Real processes that are killed, race, and lose their database: no money is lost, doubled or kept.

The gateway is a process of its own with a ledger on disk; workers are processes that are killed with SIGKILL, at random
moments and at every effect. Afterwards a fresh process sweeps, and the ledger is held against what is on record.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests import postgresql
from tests.kills.acts import ACTS
from tests.kills.audit import Audit, Books, audited
from tests.kills.gateway import Running, running
from tests.kills.ledger import Ledger
from tests.kills.processes import ENVIRONMENT, ROOT

from subscription_lifecycle import Subscriptions
from subscription_lifecycle.adapters.sqlalchemy import SQLStore

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with our tables."""
    if request.param == "sqlite":
        found = f"sqlite:///{tmp_path / 'subscriptions.sqlite'}"
    else:
        found = request.getfixturevalue("postgresql_url")
    SQLStore(found).close()
    return found


def began(mode: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kills.workers", mode, json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=ENVIRONMENT,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> Any:
    said, complaints = process.communicate()
    assert process.returncode == 0, complaints
    return json.loads(said.splitlines()[-1])


def audit(url: str, gateway: Running, done: Any = None) -> Audit:
    store = SQLStore(url)
    try:
        found = audited(store, Books.read(gateway.ledger))
        ledger = Ledger(str(gateway.ledger), seed=0, faults=False, forgets=False, slow=0)
        with closing(ledger._database):
            compared = Subscriptions(store, ledger).reconcile(datetime(2000, 1, 1, tzinfo=UTC))
    finally:
        store.close()
    print(*filter(None, [done]), found, sep="\n")
    assert not found.problems, "\n".join(found.problems[:3])
    assert compared.ok, str(compared)
    return found


def killed_at_random(url: str, folder: Path, kills: int, seed: int) -> tuple[dict[str, Any], Audit]:
    with running(folder, seed=seed) as gateway:
        done = ended(began("live", url=url, socket=gateway.socket, kills=kills, seed=seed))
    assert done["kills"] >= kills
    assert not done["unknown payment"], "a gateway was asked for money before that was on record"
    return done, audit(url, gateway, done)


def test_killed_at_random_moments(url: str, tmp_path: Path) -> None:
    _, found = killed_at_random(url, tmp_path, 15, seed=1)
    assert found.captures


@pytest.mark.long
def test_killed_at_random_moments_hundreds_of_times(url: str, tmp_path: Path) -> None:
    done, found = killed_at_random(url, tmp_path, 500, seed=2)
    assert min(found.captures, found.refunds) > 10
    assert {"Save", "Capture"} <= done["killed in"].keys()


def killed_at_each_effect(url: str, folder: Path, acts: list[str]) -> None:
    with running(folder, faults=False, forgets=True) as gateway:
        done = ended(began("exact", url=url, socket=gateway.socket, names=acts))
    audit(url, gateway, done)
    assert min(done["killed in"].values()) >= 8


def test_killed_before_and_after_each_effect(url: str, tmp_path: Path) -> None:
    killed_at_each_effect(url, tmp_path, ["cancel", "reactivate"])


@pytest.mark.long
def test_killed_before_and_after_each_effect_of_everything(url: str, tmp_path: Path) -> None:
    killed_at_each_effect(url, tmp_path, list(ACTS))


@pytest.fixture
def slow_gateway(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, faults=False, slow=0.02) as gateway:
        yield gateway


def test_eight_processes_with_a_key_each_charge_once(url: str, slow_gateway: Running) -> None:
    answers = ended(began("race", url=url, socket=slow_gateway.socket, keys=[f"click {n}" for n in range(8)]))
    print(*(answer["told"] for answer in answers), sep="\n")
    assert sorted(answer["told"][-1] for answer in answers) == ["applied"] + ["not_possible"] * 7
    assert audit(url, slow_gateway).captures == 2


def test_eight_processes_with_one_key_get_one_answer(url: str, slow_gateway: Running) -> None:
    answers = ended(began("race", url=url, socket=slow_gateway.socket, keys=["click"] * 8))
    print(*(answer["told"] for answer in answers), sep="\n")
    assert {answer["told"][-1] for answer in answers} == {"applied"}
    assert len({str(answer["answer"]) for answer in answers}) == 1
    assert audit(url, slow_gateway).captures == 2


@pytest.mark.parametrize("mode", ["fast", pytest.param("immediate", marks=pytest.mark.long)])
def test_a_database_that_restarts_under_load(mode: str, tmp_path: Path) -> None:
    with postgresql.server(durable=True) as server, running(tmp_path, seed=3) as gateway:
        url = server.create()
        SQLStore(url).close()
        workers = began("busy", url=url, socket=gateway.socket, seed=3)
        assert workers.stdin is not None
        assert workers.stdout is not None
        for _ in range(2):
            assert workers.stdout.readline() == "working\n", ended(workers)
            server.restart(mode)
            workers.stdin.write("again\n")
            workers.stdin.flush()
        assert workers.stdout.readline() == "working\n", ended(workers)
        done = ended(workers)
        assert done["disconnected"]
        assert audit(url, gateway, done).captures
