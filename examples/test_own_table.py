"""The proof of `own_table.py`: every promise of a store, crashes, repeats and two at once, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from examples.own_table import ALICE, PLAN, STATUSES, SUPPORT, OwnStore, brought_in, metadata, subscriptions
from sqlalchemy import Engine, create_engine, delete, event, insert, make_url, select
from tests import postgresql

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    STANDARD,
    Command,
    ConcurrentChange,
    Delete,
    LifecycleError,
    PaymentMethod,
    Reactivate,
    Subscriptions,
)
from subscription_lifecycle.model.entry import fold
from subscription_lifecycle.ports import ClaimTaken
from subscription_lifecycle.testing import FakeClock, FakeGateway, check_store
from subscription_lifecycle.testing.faults import (
    MortalSubscriptions,
    Process,
    crash_at_every_effect,
    interleave,
    run_every_effect_twice,
)
from subscription_lifecycle.testing.lives import recorded_lives

postgresql_server, postgresql_url = postgresql.postgresql_server, postgresql.postgresql_url

CARD = PaymentMethod.card("tok_visa", country="NL")
OTHER = PaymentMethod.card("tok_amex", country="NL")
EXPIRED_ON, RUNNING_ON = "2024-02-03T09:00Z", "2024-01-10T09:00Z"

Make = Callable[[], OwnStore]
Act = Callable[[Subscriptions], Any]


def forget_power_cuts(connection: Any, _: Any) -> None:
    """Nobody cuts the power of a test, and waiting for the disk is most of its time."""
    connection.execute("PRAGMA synchronous = OFF")


def begin_when_told(connection: Any, _: Any) -> None:
    connection.isolation_level = None


def begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")


@pytest.fixture(params=["sqlite", "sqlite, strict transactions", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """The driver's own way with SQLite, transactions as SQLAlchemy would have them, and PostgreSQL."""
    if request.param == "postgresql":
        url = make_url(request.getfixturevalue("postgresql_url"))
        made = create_engine(url.set(drivername="postgresql+psycopg"), pool_size=10)
    else:
        made = create_engine(f"sqlite:///{tmp_path / 'host.sqlite'}")
        event.listen(made, "connect", forget_power_cuts)
        if request.param != "sqlite":
            event.listen(made, "connect", begin_when_told)
            event.listen(made, "begin", begin)
    metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def make(engine: Engine) -> Make:
    """An empty store each time, one at a time."""

    def made() -> OwnStore:
        with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        return OwnStore(engine)

    return made


@pytest.mark.slow
def test_it_keeps_every_promise_of_a_store(make: Make) -> None:
    check_store(make)


def test_the_hosts_columns_are_in_step_after_every_write(make: Make) -> None:
    store, recorded = make(), recorded_lives()
    for write in recorded.writes:
        store.write(write)
        with store.engine.connect() as connection:
            row = connection.execute(select(subscriptions).where(subscriptions.c.id == write.subscription.id)).one()
        now = write.subscription
        assert (row.version, row.status, row.plan) == (now.version, STATUSES[now.state], now.plan.id)
        assert row.renews_on in (now.next_billing_date, None)


def test_every_state_has_a_word_of_the_host() -> None:
    assert {condition.state for condition in STANDARD.conditions} <= set(STATUSES)


def test_no_write_is_left_out(make: Make) -> None:
    [first, second, third, *_] = recorded_lives().of("by_card")
    store = make()
    store.write(first)
    with pytest.raises(ConcurrentChange):
        store.write(third)
    store.write(second)
    store.write(third)
    assert fold(store.history("by_card")) == third.subscription


def test_a_row_of_last_year_comes_in_alive(make: Make) -> None:
    store = make()
    row = {"id": "s", "customer": "contoso", "status": "lapsed", "plan": "business", "sales_contact": "Mia"}
    with store.engine.begin() as connection:
        connection.execute(insert(subscriptions).values(row | {"renews_on": date(2024, 1, 31)}))
        old = connection.execute(select(subscriptions)).one()
    assert store.load("s", None) is None, "it is nobody yet"
    subs = Subscriptions(store, FakeGateway(), clock=FakeClock(EXPIRED_ON))
    subs.adopt(brought_in(old), by=SUPPORT, idempotency_key="import")
    subs.adopt(brought_in(old), by=SUPPORT, idempotency_key="import")
    assert len(subs.history("s")) == 1
    with store.engine.connect() as connection:
        assert connection.execute(select(subscriptions.c.sales_contact)).scalars().all() == ["Mia"]


# -- one dies


def world(make: Make, at: str, kind: Any = MortalSubscriptions) -> Callable[[], Any]:
    """A subscription that began on 1 January with recurring billing off, seen at another instant."""

    def made() -> Any:
        clock = FakeClock("2024-01-01T09:00Z")
        subs = kind(make(), FakeGateway(clock), clock=clock)
        subs.start(
            "s", customer="contoso", plan=PLAN, payment_method=CARD, recurring_billing=False, by=ALICE,
            idempotency_key="start",
        )  # fmt: skip
        clock.set(at)
        return subs

    return made


def reactivate(subs: Subscriptions) -> Any:
    return subs.reactivate("s", payment_method=CARD, by=ALICE, idempotency_key="back")


def cancel(subs: Subscriptions) -> Any:
    return subs.cancel("s", when="now", refund="prorated", by=ALICE, idempotency_key="leave")


ACTS = pytest.mark.parametrize(
    ("act", "at", "state", "captures", "refunds"),
    [(reactivate, EXPIRED_ON, ACTIVE, 2, 0), (cancel, RUNNING_ON, CANCELLED, 1, 1)],
    ids=["a charge", "a refund"],
)


@ACTS
def test_dying_at_every_effect(make: Make, act: Act, at: str, state: Any, captures: int, refunds: int) -> None:
    def check(subs: Subscriptions) -> None:
        act(subs)
        assert (subs.get("s").state, len(subs.gateway.captures), len(subs.gateway.refunds)) == (
            state,
            captures,
            refunds,
        )
        in_step(subs.store)

    assert crash_at_every_effect(world(make, at), act, check) >= 8


@ACTS
def test_running_every_effect_twice(make: Make, act: Act, at: str, state: Any, captures: int, refunds: int) -> None:
    def check(subs: Subscriptions) -> None:
        assert (subs.get("s").state, len(subs.gateway.captures), len(subs.gateway.refunds)) == (
            state,
            captures,
            refunds,
        )
        in_step(subs.store)

    assert run_every_effect_twice(world(make, at, Subscriptions), act, check) >= 8


def in_step(store: OwnStore) -> None:
    stored, history = store.load("s", None), store.history("s")
    assert stored is not None
    assert fold(history) == stored.subscription
    with store.engine.connect() as connection:
        [status] = connection.scalars(select(subscriptions.c.status))
    assert status == STATUSES[stored.subscription.state]


# -- two at once


def does(command: Command, key: str) -> Callable[[Process], None]:
    return lambda process: process.execute("s", command, by=ALICE, idempotency_key=key)


@pytest.mark.parametrize(
    "second",
    [does(Reactivate(OTHER), "b"), does(Reactivate(CARD), "a"), does(Delete(), "b"), Process.recover],
    ids=["reactivate", "the same", "delete", "sweep"],
)
def test_every_order_of_two_processes(make: Make, second: Callable[[Process], None]) -> None:
    def check(subs: Subscriptions, *both: Process) -> None:
        assert all(process.error is None or isinstance(process.error, LifecycleError) for process in both)
        assert not subs.recover().failed
        in_step(subs.store)
        taken, entries = [capture.reference for capture in subs.gateway.captures], subs.history("s")
        assert len(taken) == len(set(taken)) <= 2
        known = {entry.payment.reference for entry in entries if entry.payment and entry.payment.status == "captured"}
        assert set(taken) == known, "money nobody knows of"

    assert interleave(world(make, EXPIRED_ON), does(Reactivate(CARD), "a"), second, check) > 5


def at_once(*acts: Callable[[], Any]) -> list[Exception | None]:
    """Each in a thread of its own, begun together; what each raised."""
    barrier, raised = threading.Barrier(len(acts)), dict[int, Exception | None]()

    def run(number: int) -> None:
        barrier.wait()
        raised[number] = None
        try:
            acts[number]()
        except Exception as error:
            raised[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [raised[number] for number in range(len(acts))]


def test_of_many_writers_one_wins(make: Make) -> None:
    subs = world(make, EXPIRED_ON, Subscriptions)()

    def click(number: int) -> Callable[[], Any]:
        return lambda: subs.reactivate("s", payment_method=CARD, by=ALICE, idempotency_key=f"click-{number}")

    raised = at_once(*map(click, range(6)))
    assert raised.count(None) == 1, raised
    assert all(error is None or isinstance(error, LifecycleError) for error in raised), raised
    assert len(subs.gateway.captures) == 2, "one for the start, one for the reactivation"
    in_step(subs.store)


def test_the_same_write_many_times_at_once_is_one(make: Make) -> None:
    [first, later, *_] = recorded_lives().of("by_card")
    for _ in range(10):
        store = make()
        for write in (first, later):
            assert at_once(*[partial(store.write, write)] * 4) == [None] * 4
        assert [entry.version for entry in store.history("by_card")] == list(range(1, later.subscription.version + 1))


def test_of_two_claims_at_once_one_is_taken(make: Make) -> None:
    recorded = recorded_lives()
    rivals = [attrs.evolve(recorded.of(id)[0], claims=("one trial",)) for id in ("by_card", "by_invoice")]
    for _ in range(10):
        store = make()
        raised = at_once(*[partial(store.write, write) for write in rivals])
        [lost] = [number for number, error in enumerate(raised) if isinstance(error, ClaimTaken)]
        assert raised.count(None) == 1, raised
        assert store.load(rivals[lost].subscription.id, None) is None
