"""A mirror that hangs or kills: the fact stands, is parked, and nobody waits for ever or dies again."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from subscription_lifecycle import ACTIVE, ConcurrentChange, InvalidValue, Subscription, Subscriptions
from subscription_lifecycle.adapters.sqlalchemy import Mirror, SQLStore
from subscription_lifecycle.model.payment import Captured
from subscription_lifecycle.ports import Parked
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway
from subscription_lifecycle.testing.lives import BASIC, CARD, SUPPORT, recorded_lives

STATUS = sa.table("status", sa.column("id"), sa.column("says"))
LIMIT = 0.2
BY: dict[str, Any] = {"by": SUPPORT}


def copies(connection: sa.Connection, subscription: Subscription) -> None:
    connection.execute(STATUS.delete().where(STATUS.c.id == subscription.id))
    connection.execute(STATUS.insert().values(id=subscription.id, says=subscription.state.published))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database with a table of the host."""
    made: str = (
        f"sqlite:///{tmp_path / 'store.sqlite'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgresql_url")
    )
    store = SQLStore(made)
    with store.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE status (id TEXT PRIMARY KEY, says TEXT)"))
    store.close()
    return made


def says(store: SQLStore) -> dict[str, str]:
    with store.engine.connect() as connection:
        return dict(map(tuple, connection.execute(sa.select(STATUS.c.id, STATUS.c.says))))


def subscriptions(store: SQLStore) -> Subscriptions:
    clock = FakeClock()
    return Subscriptions(store, FakeGateway(clock), clock=clock)


def start(subs: Subscriptions, id: str = "s") -> Any:
    return subs.start(id, customer="c", plan=BASIC, payment_method=CARD, idempotency_key=f"start {id}", **BY)


# -- hanging


ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
ENDLESS = f"{ROWS} SELECT count(*) FROM n"


class Hangs:
    """Until the test lets go of it, if it can be."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.let_go, self.gone = threading.Event(), threading.Event()
        self.raised: Exception | None = None

    def __call__(self, connection: sa.Connection, subscription: Subscription) -> None:
        copies(connection, subscription)
        try:
            if self.how == "in python":
                # A statement that is not read to its end keeps SQLite's locks, even when its connection is closed.
                reading = connection.execute(sa.text(f"{ROWS} SELECT i FROM n LIMIT 1000"))
                reading.fetchone()
                self.let_go.wait()
                # Whatever it does now comes too late.
                connection.execute(STATUS.update().values(says="stale"))
                connection.commit()
            elif self.how == "in sql":
                connection.execute(sa.text(ENDLESS))
        except Exception as error:
            self.raised = error
            raise
        finally:
            self.gone.set()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["in python", "in sql"])
def test_a_mirror_that_hangs_is_given_up(url: str, how: str) -> None:
    mirror = Hangs(how)
    store = SQLStore(url, mirror=mirror, mirror_seconds=LIMIT)
    write = recorded_lives().of("by_invoice")[0]
    store.write(write)
    id = write.subscription.id
    assert store.history(id) == write.entries
    expected = Parked("mirror", id, write.subscription.version, f"it had not ended after {LIMIT:g} seconds")
    assert store.parked() == (expected,)
    assert says(store) == {}
    # Its locks are free while it hangs on.
    with store.engine.begin() as connection:
        connection.execute(STATUS.insert().values(id=id, says="free"))
    mirror.let_go.set()
    assert mirror.gone.wait(60)
    assert mirror.raised is not None
    assert says(store) == {id: "free"}
    store.write(write)
    with pytest.raises(ConcurrentChange):
        store.write(attrs.evolve(write, id="another"))
    store.close()


STUBBORN = """
DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$
"""


@pytest.mark.slow
def test_a_mirror_that_cannot_be_cancelled_is_ended(postgresql_url: str) -> None:
    ended = threading.Event()

    def ignores_it(connection: sa.Connection, subscription: Subscription) -> None:
        try:
            connection.execute(sa.text(STUBBORN))
        finally:
            ended.set()

    store = SQLStore(postgresql_url, mirror=ignores_it, mirror_seconds=LIMIT)
    write = recorded_lives().of("by_invoice")[0]
    store.write(write)
    assert ended.wait(60)
    assert store.history(write.subscription.id) == write.entries
    assert [parked.what for parked in store.parked()] == ["mirror"]
    store.close()


@pytest.mark.slow
def test_a_mirror_that_waits_for_us_is_given_up(url: str) -> None:
    """On a connection of its own it waits for the row that our transaction holds."""
    ended = threading.Event()

    def waits(connection: sa.Connection, subscription: Subscription) -> None:
        try:
            with store.engine.begin() as other:
                other.execute(sa.text("UPDATE lifecycle_subscriptions SET version = version"))
        finally:
            ended.set()

    store = SQLStore(url)
    [first, *_] = recorded_lives().of("by_invoice")
    store.write(first)
    mirrored = SQLStore(url, mirror=waits, mirror_seconds=LIMIT)
    for write in recorded_lives().of("by_invoice")[1:2]:
        mirrored.write(write)
    assert ended.wait(60)
    assert [parked.what for parked in store.parked()] == ["mirror"]
    mirrored.close()
    store.close()


def test_a_mirror_that_ends_in_time_follows(url: str) -> None:
    where: list[str] = []
    tenant: ContextVar[str] = ContextVar("tenant")

    def looks(connection: sa.Connection, subscription: Subscription) -> None:
        where.append(tenant.get())
        copies(connection, subscription)

    store = SQLStore(url, mirror=looks)
    tenant.set("in the caller's context")
    start(subscriptions(store))
    assert where == ["in the caller's context"] * 2
    assert says(store) == {"s": "Active"}
    assert store.parked() == ()
    store.close()


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), KeyboardInterrupt()], ids=repr)
def test_a_mirror_that_leaves_is_parked(url: str, error: BaseException) -> None:
    def leaves(connection: sa.Connection, subscription: Subscription) -> None:
        raise error

    store = SQLStore(url, mirror=leaves)
    start(subscriptions(store))
    assert [type(error).__name__ in parked.error for parked in store.parked()] == [True]
    store.close()


def test_in_memory_there_is_no_limit() -> None:
    """The connection is the whole database: giving it up would give up everything."""
    threads: list[threading.Thread] = []
    store = SQLStore("sqlite://", mirror=lambda *_: threads.append(threading.current_thread()), mirror_seconds=0.001)
    start(subscriptions(store))
    assert set(threads) == {threading.current_thread()}
    store.close()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", None, True])
def test_a_limit_is_a_number_of_seconds(seconds: Any) -> None:
    with pytest.raises(InvalidValue, match="mirror_seconds"):
        SQLStore("sqlite://", mirror_seconds=seconds)


# -- killing


KILLER = """
import os, signal, sys
from tests.stores.test_mirror import *

url, how, victim = sys.argv[1:]

def kills(connection, subscription):
    copies(connection, subscription)
    if subscription.state.name == victim:
        os._exit(9) if how == "exit" else os.kill(os.getpid(), signal.SIGKILL)

store = SQLStore(url, mirror=kills)
gateway = LedgerOnDisk()
subs = Subscriptions(store, gateway, clock=FakeClock())
if store.load("s", None) is None:
    start(subs)
else:
    print("recovers", flush=True)
    print(subs.sweep().failed, flush=True)
store.close()
"""


class LedgerOnDisk(FakeGateway):
    """A provider that lives on while our process dies: it captured what it was asked for."""

    def find(self, reference: str, /) -> Any:
        return Captured(f"ch_{reference}", self._clock())


@pytest.mark.slow
@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_mirror_that_kills_leaves_the_fact_standing(url: str, how: str) -> None:
    """The money was captured when it killed. Who recovers is killed once more at most, with the fact on record."""

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", KILLER, url, how, ACTIVE.name],
            capture_output=True, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    died = 9 if how == "exit" else -signal.SIGKILL
    first = run()
    assert (first.returncode, first.stderr) == (died, "")
    store = SQLStore(url)
    stored = store.load("s", None)
    assert stored is not None
    assert stored.attempt is not None, "it died before the fact"
    recovering = run()
    assert (recovering.returncode, recovering.stdout) == (died, "recovers\n")
    stored = store.load("s", None)
    assert stored is not None
    assert stored.attempt is None
    assert stored.subscription.state.name == ACTIVE.name
    assert [entry.event for entry in store.history("s")] == ["attempted", "applied"]
    [parked] = store.parked()
    version = stored.subscription.version
    assert (parked.what, parked.subscription, parked.version) == ("mirror", "s", version)
    assert parked.error == "it was begun and has not ended"
    again = run()
    assert (again.returncode, again.stdout, again.stderr) == (0, "recovers\n()\n", "")
    assert store.history("s")[-1].version == version
    store.close()


def left_open(url: str) -> tuple[FakeGateway, str]:
    """A payment that another store object reserved, and that has been captured since."""
    store, clock = SQLStore(url), FakeClock()
    gateway = FakeGateway(clock)
    gateway.require_action_next()
    waiting = start(Subscriptions(store, gateway, clock=clock))
    store.close()
    gateway.report(waiting.payment.reference, Captured("ch", clock()))
    return gateway, waiting.payment.reference


def recovered(url: str, mirror: Mirror) -> SQLStore:
    gateway, reference = left_open(url)
    store = SQLStore(url, mirror=mirror, mirror_seconds=LIMIT)
    subs = Subscriptions(store, gateway, clock=FakeClock())
    assert subs.report_payment(reference, Captured("ch", gateway.captures[0].at)).subscription.state is ACTIVE  # type: ignore[attr-defined]
    return store


def test_what_is_recovered_is_mirrored_after_the_fact(url: str) -> None:
    seen: list[Any] = []

    def looks(connection: sa.Connection, subscription: Subscription) -> None:
        seen.append((store_beside.load("s", None).attempt, [parked.what for parked in store_beside.parked()]))  # type: ignore[union-attr]
        copies(connection, subscription)

    store_beside = SQLStore(url)
    store = recovered(url, looks)
    assert seen == [(None, ["mirror"])]
    assert store.parked() == ()
    assert says(store) == {"s": "Active"}
    store.close()
    store_beside.close()


def fails(connection: sa.Connection, subscription: Subscription) -> None:
    raise RuntimeError("the mirror is down")


def breaks_out(connection: sa.Connection, subscription: Subscription) -> None:
    connection.rollback()


def hangs(connection: sa.Connection, subscription: Subscription) -> None:
    connection.execute(sa.text(ENDLESS))


@pytest.mark.parametrize(
    ("mirror", "error"),
    [
        (fails, "RuntimeError: the mirror is down"),
        (breaks_out, "it ended a transaction that was not its own"),
        pytest.param(hangs, f"it had not ended after {LIMIT:g} seconds", marks=pytest.mark.slow),
    ],
)
def test_what_is_recovered_and_not_mirrored_is_parked(url: str, mirror: Mirror, error: str) -> None:
    store = recovered(url, mirror)
    assert [(parked.version, parked.error) for parked in store.parked()] == [(3, error)]
    store.close()


def test_a_later_write_is_not_overwritten_by_an_earlier_mirror(url: str) -> None:
    """Between the fact and its mirror somebody else wrote, and mirrored that."""
    gateway, _ = left_open(url)
    beside = SQLStore(url, mirror=copies)
    store = SQLStore(url, mirror=copies)
    after_the_fact = store._transactions.sharing

    def sharing() -> Any:
        subscriptions(beside).cancel("s", when="now", idempotency_key="cancel", **BY)
        return after_the_fact()

    store._transactions.sharing = sharing  # type: ignore[method-assign]
    Subscriptions(store, gateway, clock=FakeClock()).sweep()
    assert says(store) == {"s": "Disabled"}
    assert store.parked() == ()
    store.close()
    beside.close()


def test_what_a_store_asked_for_itself_is_one_transaction(url: str) -> None:
    """The status of the host and the fact are seen together, or not at all."""
    seen: list[int] = []

    def looks(connection: sa.Connection, subscription: Subscription) -> None:
        stored = beside.load("s", None)
        seen.append(0 if stored is None else stored.subscription.version)
        copies(connection, subscription)

    beside = SQLStore(url)
    store = SQLStore(url, mirror=looks)
    start(subscriptions(store))
    assert seen == [0, 1]
    store.close()
    beside.close()
