"""The SQL store: durable settings really in force, lives equal to those in memory, threads, mirrors."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscription_lifecycle import (
    MONTHLY,
    Actor,
    Applied,
    AwaitingPayment,
    ConcurrentChange,
    InvalidValue,
    LifecycleError,
    MemoryStore,
    Money,
    PaymentDeclined,
    PaymentInProgress,
    PaymentMethod,
    Plan,
    Role,
    Subscription,
    Subscriptions,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore, make_durable
from subscription_lifecycle.model.entry import fold
from subscription_lifecycle.model.payment import Captured, Declined
from subscription_lifecycle.ports import Store
from subscription_lifecycle.standard.states import ACTIVE, DELETED
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway
from subscription_lifecycle.testing.lives import ALICE, BASIC, CARD, SUPPORT, live, recorded_lives


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "subscriptions.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SQLStore]:
    store = SQLStore(f"sqlite:///{path}")
    yield store
    store.close()


# -- settings


def pragma(store: SQLStore, name: str) -> Any:
    """As it stands on a connection that the store itself uses."""
    with store._transactions.reading() as cursor:
        return cursor.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_commit_survives_a_power_cut(store: SQLStore) -> None:
    assert pragma(store, "journal_mode") == "wal"
    assert pragma(store, "synchronous") == 2
    assert pragma(store, "busy_timeout") == 30_000


def test_every_connection_of_the_pool_is_durable(store: SQLStore) -> None:
    connections = [store.engine.raw_connection() for _ in range(4)]
    found = [connection.cursor().execute("PRAGMA synchronous").fetchone() for connection in connections]
    for connection in connections:
        connection.close()
    assert found == [(2,)] * 4


def test_a_transaction_that_writes_takes_the_lock_at_once(store: SQLStore, path: Path) -> None:
    """Else two that read first could both find, on writing, that somebody else has written."""
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    with store._transactions.writing(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    with store._transactions.sharing(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    with store._transactions.reading() as cursor:
        cursor.execute("SELECT count(*) FROM lifecycle_entries").fetchone()
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    other.close()


def test_reading_waits_for_no_writer(store: SQLStore) -> None:
    live(store)
    with store._transactions.writing() as cursor:
        cursor.execute("UPDATE lifecycle_subscriptions SET version = 99")
        loaded = store.load("by_card", None)
        assert loaded is not None
        assert loaded.subscription.version != 99


def test_what_is_raised_undoes_the_transaction(store: SQLStore) -> None:
    live(store)

    def fails() -> None:
        with store._transactions.writing() as cursor:
            cursor.execute("DELETE FROM lifecycle_entries")
            raise ConcurrentChange("by_card")

    with pytest.raises(ConcurrentChange):
        fails()
    assert store.history("by_card")


def test_an_engine_of_ones_own_can_be_made_durable(path: Path) -> None:
    engine = make_durable(sa.create_engine(f"sqlite:///{path}"))
    store = SQLStore(engine)
    store.migrate()
    assert (pragma(store, "journal_mode"), pragma(store, "synchronous")) == ("wal", 2)
    store.close()
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_an_engine_of_ones_own_is_left_alone(path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{path}")
    store = SQLStore(engine)
    assert sa.inspect(engine).get_table_names() == []
    store.migrate()
    assert pragma(store, "journal_mode") == "delete"
    same_life(store, MemoryStore(), ["start", "cancel", "reactivate"])
    engine.dispose()


@pytest.mark.parametrize("wrong", ["subscriptions.db", "", "nonsense://x", 5])
def test_what_is_no_database_is_refused(wrong: Any) -> None:
    with pytest.raises((InvalidValue, sa.exc.NoSuchModuleError)):
        SQLStore(wrong)


def test_the_tables_may_stand_in_a_schema(path: Path, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{path}")
    other = tmp_path / "other.sqlite"
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute(f"ATTACH '{other}' AS billing"))
    store = SQLStore(engine, schema="billing")
    store.migrate()
    store.migrate()
    same_life(store, MemoryStore(), ["start", "cancel", "reactivate"])
    assert sa.inspect(engine).get_table_names() == []
    assert "lifecycle_entries" in sa.inspect(engine).get_table_names(schema="billing")
    engine.dispose()


# -- the same lives as in memory


CARDS = [CARD, PaymentMethod.bank_account("tok", country="NL"), PaymentMethod.invoice(country="NL")]


def step(subs: Subscriptions, gateway: FakeGateway, clock: FakeClock, what: str, key: str) -> Any:
    method = CARDS[len(what) % len(CARDS)]
    by: dict[str, Any] = {"by": SUPPORT, "idempotency_key": key}
    match what:
        case "start":
            return subs.start("s", customer="contoso", plan=BASIC, payment_method=CARD, **by)
        case "start by invoice":
            return subs.start("s", customer="contoso", plan=BASIC, payment_method=CARDS[2], **by)
        case "start a trial":
            plan = Plan("t", Money(1000, "EUR"), MONTHLY, trial=MONTHLY)
            return subs.start("s", customer="contoso", plan=plan, payment_method=CARD, metadata={"a": ["é"]}, **by)
        case "cancel":
            return subs.cancel("s", when="now", refund="prorated", **by)
        case "cancel later":
            return subs.cancel("s", when=clock().date() + timedelta(days=5), **by)
        case "reactivate":
            return subs.reactivate("s", payment_method=CARD, **by)
        case "reactivate by debit":
            return subs.reactivate("s", payment_method=CARDS[1], **by)
        case "method":
            return subs.change_payment_method("s", payment_method=method, **by)
        case "off" | "on":
            return subs.set_recurring_billing("s", on=what == "on", **by)
        case "block":
            return subs.disable("s", reason="abuse \U0001f600", **by)
        case "lift":
            return subs.enable("s", **by)
        case "pay":
            return subs.pay_arrears("s", payment_method=CARD, **by)
        case "forgive":
            return subs.forgive_arrears("s", **by)
        case "correct":
            return subs.correct("s", credit=Money(77, "EUR"), metadata={"b": None}, **by)
        case "delete":
            return subs.delete("s", **by)
        case "sweep":
            report = subs.sweep()
            return attrs.evolve(report, failed=[(id, repr(error)) for id, error in report.failed])
        case "a day" | "a month":
            clock.advance(days=1 if what == "a day" else 31, minutes=7)
        case "declined":
            gateway.decline_next()
        case "lost":
            gateway.time_out_next(charged=True)
        case "waits":
            gateway.require_action_next()
        case "comes" | "fails":
            return _report(subs, gateway, clock, what)
        case "lines":
            return sorted(map(str, subs.take_invoice_lines(customer="contoso", invoice=f"in {key[:1]}")))
    return None


def _report(subs: Subscriptions, gateway: FakeGateway, clock: FakeClock, what: str) -> Any:
    if not gateway.requests:
        return None
    reference = gateway.requests[-1].reference
    outcome = Captured(f"ch_{reference}", clock()) if what == "comes" else Declined("no", gateway_id=f"ch_{reference}")
    if reference not in gateway._amounts:
        return None
    gateway.report(reference, outcome)
    return subs.report_payment(reference, outcome)


STEPS = [
    *("start", "start by invoice", "start a trial", "cancel", "cancel later", "reactivate", "reactivate by debit"),
    *("method", "off", "on", "block", "lift", "pay", "forgive", "correct", "delete", "sweep", "a day", "a month"),
    *("declined", "lost", "waits", "comes", "fails", "lines"),
]


def outcome(subs: Subscriptions, gateway: FakeGateway, clock: FakeClock, what: str, key: str) -> Any:
    try:
        return step(subs, gateway, clock, what, key)
    except LifecycleError as error:
        return type(error), str(error), error.money


def same_life(one: Store, other: Store, steps: list[str]) -> None:
    """What is answered, raised, stored and left to do is the same, step by step."""
    worlds = []
    for store in (one, other):
        clock = FakeClock("2024-01-31T09:00Z")
        gateway = FakeGateway(clock)
        worlds.append((Subscriptions(store, gateway, clock=clock), gateway, clock))
    for number, what in enumerate(steps):
        # Every third command repeats the key before: the same command again, or another under its key.
        key = f"key {number - number % 3 // 2}"
        found, expected = [outcome(*world, what, key) for world in worlds]
        assert found == expected, what
        if isinstance(found, (Applied, AwaitingPayment)):
            assert [found.subscription.state.access, found.subscription.state.final] == [
                expected.subscription.state.access,
                expected.subscription.state.final,
            ]
        left, right = [list(world[0].store.history("s")) for world in worlds]
        assert left == right, what
        assert one.load("s", key) == other.load("s", key)
        assert list(one.due(clock() + timedelta(days=400), 10)) == list(other.due(clock() + timedelta(days=400), 10))
    if left:
        stored = one.load("s", None)
        assert stored is not None
        assert fold(left) == stored.subscription
    (_, first, _), (_, second, _) = worlds
    assert first.captures == second.captures
    assert first.refunds == second.refunds


lives = st.lists(st.sampled_from(STEPS), min_size=5, max_size=25)


@pytest.mark.slow
@given(first=st.sampled_from(STEPS[:3]), lost=st.booleans(), rest=lives)
def test_random_lives_on_a_file_are_those_in_memory(
    tmp_path_factory: pytest.TempPathFactory, first: str, lost: bool, rest: list[str]
) -> None:
    store = SQLStore(tmp_path_factory.mktemp("life") / "life.sqlite")
    try:
        same_life(store, MemoryStore(), [*(["lost"] if lost else []), first, *rest])
    finally:
        store.close()


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.sampled_from(STEPS[:3]), lost=st.booleans(), rest=lives)
def test_random_lives_on_postgresql_are_those_in_memory(
    postgresql_url: str, first: str, lost: bool, rest: list[str]
) -> None:
    store = SQLStore(postgresql_url)
    try:
        with store.engine.begin() as connection:
            for table in sa.inspect(connection).get_table_names():
                if table != "lifecycle_alembic_version":
                    connection.execute(sa.text(f"DELETE FROM {table}"))
        same_life(store, MemoryStore(), [*(["lost"] if lost else []), first, *rest])
    finally:
        store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(request: pytest.FixtureRequest, path: Path) -> str:
    url: str = f"sqlite:///{path}" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    return url


def test_lives_with_every_state_survive_reopening(anywhere: str) -> None:
    memory = MemoryStore()
    live(memory)
    store = SQLStore(anywhere)
    live(store)
    store.close()
    again = SQLStore(anywhere)
    for id in recorded_lives().ids:
        assert list(again.history(id)) == list(memory.history(id))
        for key in ("start", "cancel", "adopt", None):
            assert again.load(id, key) == memory.load(id, key)
    again.close()


def test_a_payment_left_open_is_finished_after_reopening(anywhere: str) -> None:
    """The pinned decision is read back: a first payment that is declined then ends in DELETED and raises."""
    clock = FakeClock()
    gateway = FakeGateway(clock)
    gateway.require_action_next()
    first = SQLStore(anywhere)
    waiting = Subscriptions(first, gateway, clock=clock).start(
        "s", customer="contoso", plan=BASIC, payment_method=CARD, by=ALICE, idempotency_key="start"
    )
    assert isinstance(waiting, AwaitingPayment)
    first.close()
    second = SQLStore(anywhere)
    subs = Subscriptions(second, gateway, clock=clock)
    gateway.report(waiting.payment.reference, Declined("refused"))
    with pytest.raises(PaymentDeclined):
        subs.start("s", customer="contoso", plan=BASIC, payment_method=CARD, by=ALICE, idempotency_key="start")
    found = subs.get("s")
    assert found.state is DELETED
    second.close()


def test_what_the_engine_answers_knows_its_states(anywhere: str) -> None:
    """Not only their names: a snapshot out of a pinned decision has the access its state gives."""
    clock = FakeClock()
    gateway = FakeGateway(clock)
    store = SQLStore(anywhere)
    subs = Subscriptions(store, gateway, clock=clock)
    gateway.require_action_next()
    waiting = subs.start("s", customer="c", plan=BASIC, payment_method=CARD, by=SUPPORT, idempotency_key="start")
    assert waiting.payment is not None
    applied = subs.report_payment(waiting.payment.reference, Captured("ch", clock()))
    assert applied.subscription.state is ACTIVE
    again = subs.start("s", customer="c", plan=BASIC, payment_method=CARD, by=SUPPORT, idempotency_key="start")
    assert again.subscription.state is ACTIVE
    store.close()


# -- threads


@pytest.mark.parametrize("where", ["file", "memory", "postgresql"])
def test_many_threads_share_a_store(where: str, path: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgresql_url") if where == "postgresql" else "sqlite://"
    store = SQLStore(path if where == "file" else url)
    clock = FakeClock()
    gateway = FakeGateway(clock)
    subs = Subscriptions(store, gateway, clock=clock)
    subs.start("shared", customer="c", plan=BASIC, payment_method=CARD, by=SUPPORT, idempotency_key="start")
    errors: list[BaseException] = []
    conflicts = []

    def work(number: int) -> None:
        try:
            own = f"own {number}"
            subs.start(own, customer="c", plan=BASIC, payment_method=CARD, by=SUPPORT, idempotency_key="start")
            for turn in range(5):
                try:
                    subs.set_recurring_billing(
                        "shared", on=turn % 2 == 0, by=SUPPORT, idempotency_key=f"{number} {turn}"
                    )
                except (ConcurrentChange, PaymentInProgress):
                    conflicts.append(number)
                subs.set_recurring_billing(own, on=turn % 2 == 0, by=SUPPORT, idempotency_key=f"turn {turn}")
                assert subs.get(own).version == 3 + turn
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [entry.version for entry in store.history("shared")] == list(range(1, 2 + 30 - len(conflicts) + 1))
    assert len(gateway.captures) == 7
    store.close()


def test_many_open_a_fresh_file_at_once(path: Path) -> None:
    stores: list[SQLStore] = []
    errors: list[Exception] = []
    barrier = threading.Barrier(6)

    def open_it() -> None:
        barrier.wait()
        try:
            stores.append(SQLStore(path))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for store in stores:
        assert store.load("nobody", None) is None
        store.close()


# -- the mirror


STATUS = sa.table("status", sa.column("id"), sa.column("says"))


class Mirror:
    """Copies the state into the host's table; told to, it misbehaves."""

    def __init__(self) -> None:
        self.act: Any = lambda connection: None

    def __call__(self, connection: sa.Connection, subscription: Subscription) -> None:
        connection.execute(STATUS.delete().where(STATUS.c.id == subscription.id))
        connection.execute(STATUS.insert().values(id=subscription.id, says=subscription.state.published))
        self.act(connection)


@pytest.fixture(params=["ours", "the host's", "ours on postgresql", "the host's on postgresql", "autocommit"])
def mirrored(request: pytest.FixtureRequest, path: Path) -> Iterator[tuple[SQLStore, Mirror, Subscriptions]]:
    on_file = request.param in ("ours", "the host's")
    url: str = f"sqlite:///{path}" if on_file else request.getfixturevalue("postgresql_url")
    options = {"isolation_level": "AUTOCOMMIT"} if request.param == "autocommit" else {}
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), **options)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE status (id TEXT PRIMARY KEY, says TEXT)"))
    mirror = Mirror()
    store = SQLStore(url if "ours" in request.param else engine, mirror=mirror)
    store.migrate()
    clock = FakeClock()
    yield store, mirror, Subscriptions(store, FakeGateway(clock), clock=clock)
    store.close()
    engine.dispose()


def says(store: SQLStore) -> list[Any]:
    with store.engine.connect() as connection:
        return list(connection.execute(sa.select(STATUS.c.says)).scalars())


def begin(subs: Subscriptions) -> None:
    subs.start("s", customer="c", plan=BASIC, payment_method=CARD, by=SUPPORT, idempotency_key="start")


def fail(connection: sa.Connection) -> None:
    raise RuntimeError("the mirror is down \udcff")


def fail_in_sql(connection: sa.Connection) -> None:
    connection.execute(sa.text("SELECT * FROM nowhere"))


def roll_back(connection: sa.Connection) -> None:
    connection.rollback()


def commit(connection: sa.Connection) -> None:
    connection.commit()


def roll_back_and_fail(connection: sa.Connection) -> None:
    connection.rollback()
    raise RuntimeError("the mirror is down")


def roll_back_behind_its_back(connection: sa.Connection) -> None:
    connection.exec_driver_sql("ROLLBACK")


def test_the_mirror_follows(mirrored: tuple[SQLStore, Mirror, Subscriptions]) -> None:
    store, _, subs = mirrored
    begin(subs)
    assert says(store) == ["Active"]
    subs.cancel("s", when="now", by=SUPPORT, idempotency_key="cancel")
    assert says(store) == ["Disabled"]
    assert store.parked() == ()


@pytest.mark.parametrize("act", [fail, fail_in_sql, roll_back, commit, roll_back_and_fail, roll_back_behind_its_back])
def test_a_mirror_that_fails_undoes_no_fact(mirrored: tuple[SQLStore, Mirror, Subscriptions], act: Any) -> None:
    store, mirror, subs = mirrored
    begin(subs)
    mirror.act = act
    subs.cancel("s", when="now", by=SUPPORT, idempotency_key="cancel")
    assert subs.get("s").version == 3
    assert [entry.version for entry in store.history("s")] == [1, 2, 3]
    [parked] = store.parked()
    assert (parked.subscription, parked.version) == ("s", 3)
    assert parked.error
    if act is not commit:
        assert says(store) == ["Active"]
    mirror.act = lambda connection: None
    subs.reactivate("s", payment_method=CARD, by=SUPPORT, idempotency_key="reactivate")
    assert says(store) == ["Active"]
    assert store.parked() == ()


def test_a_write_that_loses_is_not_mirrored(mirrored: tuple[SQLStore, Mirror, Subscriptions]) -> None:
    store, mirror, subs = mirrored
    begin(subs)
    seen: list[None] = []
    mirror.act = lambda connection: seen.append(None)
    write = recorded_lives().of("by_card")[0]
    store.write(write)
    store.write(write)
    with pytest.raises(ConcurrentChange):
        store.write(attrs.evolve(write, id="another"))
    assert seen == [None]


def test_actors_of_another_customer_leave_no_trace(store: SQLStore) -> None:
    clock = FakeClock()
    subs = Subscriptions(store, FakeGateway(clock), clock=clock)
    begin(subs)
    mallory = Actor("mallory", Role.BILLING_ADMIN, customer="other")
    with pytest.raises(LifecycleError):
        subs.cancel("s", when="now", by=mallory, idempotency_key="cancel")
    assert len(store.history("s")) == 2


@pytest.mark.parametrize("seats", [{"seats": ["a"]}, {}])
def test_what_a_host_changes_in_what_it_was_given_changes_nothing_that_is_stored(
    store: SQLStore, seats: dict[str, list[str]]
) -> None:
    """What was just written is not read again, unless something in it is the host's own."""
    clock = FakeClock("2026-01-15T09:00Z")
    subs = Subscriptions(store, FakeGateway(clock), clock=clock, facts=lambda _, __: seats)
    by: dict[str, Any] = {"by": ALICE, "idempotency_key": "k"}
    done = subs.start("s", customer="contoso", plan=BASIC, payment_method=CARD, metadata={"tags": ["a"]}, **by)
    for subscription in (done.subscription, subs.get("s")):
        subscription.metadata["tags"].append("b")
    found = done.entries
    for _ in range(2):
        for entry in found:
            entry.facts.get("seats", []).append("b")
            for value in entry.changes.get("metadata", ()):
                if value:
                    value["tags"].append("b")
        found = (*store.undelivered(10), *store.history("s"))
        assert [entry.facts for entry in found] == [seats] * 4
        assert [entry.changes["metadata"].after for entry in found if entry.version == 1] == [{"tags": ["a"]}] * 2
    assert subs.get("s").metadata == {"tags": ["a"]}
    assert fold(store.history("s")) == store.load("s", None).subscription  # type: ignore[union-attr]
