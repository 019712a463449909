"""PostgreSQL: the order of text, isolation levels, writers in several processes, and connections that are lost."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
import sqlalchemy as sa
from tests.postgresql import Server, server

from subscription_lifecycle import ConcurrentChange, InvalidValue, Subscription
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.model.entry import fold
from subscription_lifecycle.ports import ClaimTaken, Write
from subscription_lifecycle.testing.lives import live, recorded_lives

ALL = 1_000
RECORDED = recorded_lives()


def engine_of(url: str, **options: Any) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), **options)


@pytest.fixture
def store(postgresql_url: str) -> Iterator[SQLStore]:
    store = SQLStore(postgresql_url)
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLStore]:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}" if request.param == "sqlite" else None
    store = SQLStore(url or request.getfixturevalue("postgresql_url"))
    yield store
    store.close()


def named(id: str, customer: str = "contoso") -> Write:
    """A first write of a subscription of that name."""
    [write, *_] = RECORDED.of("by_invoice")
    lines = tuple(attrs.evolve(line, id=f"line of {id}", customer=customer) for line in write.entries[-1].invoice_lines)
    entries = [attrs.evolve(entry, subscription=id) for entry in write.entries]
    return attrs.evolve(
        write,
        id=f"write of {id}",
        subscription=write.subscription.changed({"id": id, "customer": customer}),
        entries=(*entries[:-1], attrs.evolve(entries[-1], invoice_lines=lines)),
    )


# -- which driver


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_url_goes_through_psycopg(postgresql_url: str, scheme: str) -> None:
    store = SQLStore(postgresql_url.replace("postgresql", scheme, 1))
    assert store.engine.dialect.driver == "psycopg"
    store.close()


@pytest.mark.parametrize("driver", ["psycopg2", "pg8000", "asyncpg"])
def test_another_driver_is_refused(driver: str) -> None:
    class Engine(sa.Engine):
        """Of a driver that need not be installed."""

    dialect = sa.make_url(f"postgresql+{driver}://").get_dialect()()
    engine = Engine(sa.pool.NullPool(lambda: None), dialect, sa.make_url("postgresql://"))  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidValue, match=f"postgresql through {driver} is not supported"):
        SQLStore(engine)


# -- text


NAMES = ["Z", "a", "B", "b", "é", "e", "z", "_", "10", "9", "-a", "\U0001f600", "\uffee", "ß", "ss"]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["sqlite", "english"])
def test_names_are_in_the_order_of_their_bytes(tmp_path: Path, where: str) -> None:
    """In every database, in pages too; on a server for which a comes before B."""
    with contextlib.ExitStack() as stack:
        if where == "english":
            url = stack.enter_context(server(english=True)).create()
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT 'a' < 'B'").fetchone() == (True,)
        else:
            url = f"sqlite:///{tmp_path / 'store.sqlite'}"
        store = SQLStore(url)
        stack.callback(store.close)
        for name in NAMES:
            store.write(named(name))
        found, after = list[str](), None
        while page := store.search(None, None, after, 2):
            found += [subscription.id for subscription in page]
            after = found[-1]
        assert found == sorted(NAMES)
        assert [entry.subscription for entry in store.undelivered(ALL)] == sorted(NAMES)
        due_at = RECORDED.writes[0].subscription.recorded_at
        assert due_at is not None
        for name in NAMES:
            [_, second, *_] = RECORDED.of("by_card")
            write = named(name)
            after_it = write.subscription.changed({"version": write.subscription.version + 1})
            later = attrs.evolve(second, expected=write.subscription.version, subscription=after_it, entries=())
            store.write(attrs.evolve(later, attempt=None, answers=(), claims=(), due_at=due_at, id=f"due {name}"))
        assert list(store.due(due_at, ALL)) == sorted(NAMES)
        assert list(store.lease(due_at, ALL, due_at)) == sorted(NAMES)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "\udcff"])
def test_text_that_cannot_be_kept_is_refused_alike(either: SQLStore, text: str) -> None:
    entry = named("s").entries[0]
    for attempt in (
        lambda: either.write(attrs.evolve(named("s"), id=text)),
        lambda: either.write(attrs.evolve(named("s"), claims=(text,))),
        lambda: either.load(text, None),
        lambda: either.load("s", text),
        lambda: either.history(text),
        lambda: either.find(text),
        lambda: either.search(text, None, None, 1),
        lambda: either.search(None, None, text, 1),
        lambda: either.take_invoice_lines("contoso", text),
        lambda: either.take_invoice_lines(text, "in_1"),
        lambda: either.invoice_lines(text),
        lambda: either.remember(text, "pi_1"),
        lambda: either.remember("pay_1", text),
        lambda: either.recall(text),
        lambda: either.unpark(text, 1),
    ):
        with pytest.raises(InvalidValue):
            attempt()
    assert either.load("s", None) is None
    # What went wrong is told, however it is spelt.
    either.write(named("s"))
    assert either.failed(entry, text) == 1
    either.park(entry)
    [parked] = either.parked()
    assert parked.error


def test_the_longest_names_are_kept(either: SQLStore) -> None:
    """255 characters of four bytes each, and no two alike, fit the indexes."""
    id, customer = ("".join(chr(0x1F300 + (step * number) % 700) for number in range(255)) for step in (7, 11))
    write = attrs.evolve(named(id, customer), claims=(f"trial:{customer}:{id}",))
    either.write(attrs.evolve(write, id=f"step:1:2024-01-31T09:00:00+00:00:0123456789abcdef:{customer}"))
    [found] = either.search(customer, None, None, 1)
    assert found.id == id
    assert either.take_invoice_lines(customer, customer)


# -- isolation


LEVELS = ["AUTOCOMMIT", "READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


def overlooks(connection: sa.Connection, subscription: Subscription) -> None:
    connection.execute(sa.text("SELECT 1"))


@pytest.mark.parametrize("mirror", [None, overlooks], ids=["alone", "with a mirror"])
@pytest.mark.parametrize("how", ["driver", "engine"])
@pytest.mark.parametrize("level", LEVELS)
def test_the_hosts_isolation_level_changes_nothing(postgresql_url: str, level: str, how: str, mirror: Any) -> None:
    engine = engine_of(postgresql_url, **({"isolation_level": level} if how == "driver" else {}))
    if how == "engine":
        engine = engine.execution_options(isolation_level=level)
    store = SQLStore(engine, mirror=mirror)
    store.migrate()
    first = attrs.evolve(named("s"), claims=("a claim",))
    store.write(first)
    before = everything(store)
    for broken, error in (
        (attrs.evolve(named("other"), claims=("free", "a claim")), ClaimTaken),
        (attrs.evolve(first, id="stale"), ConcurrentChange),
        (attrs.evolve(first, id="an entry that is there", expected=first.subscription.version), ConcurrentChange),
    ):
        with pytest.raises(error):
            store.write(broken)
        assert everything(store) == before
    results = race(lambda name: store.write(attrs.evolve(named("new"), id=name)), 4)
    assert [type(result) for result in results if result] == [ConcurrentChange] * 3
    with engine.connect() as connection:
        if level == "AUTOCOMMIT":
            assert connection.connection.driver_connection.autocommit  # type: ignore[union-attr]
        else:
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == level.lower()
    engine.dispose()


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "READ COMMITTED"])
def test_a_pool_that_does_not_clean_up_is_left_clean(postgresql_url: str, level: str) -> None:
    engine = engine_of(postgresql_url, isolation_level=level, pool_reset_on_return=None, pool_size=1, max_overflow=0)
    store = SQLStore(engine)
    store.migrate()
    store.write(named("s"))
    with pytest.raises(ConcurrentChange):
        store.write(attrs.evolve(named("s"), id="stale"))
    assert store.history("s")
    connection = engine.raw_connection()
    assert connection.driver_connection.info.transaction_status.name == "IDLE"  # type: ignore[union-attr]
    connection.close()
    engine.dispose()


def everything(store: SQLStore) -> list[Any]:
    tables = ("subscriptions", "entries", "keys", "claims", "invoice_lines")
    with store.engine.connect() as connection:
        return [connection.exec_driver_sql(f"SELECT * FROM lifecycle_{name} ORDER BY 1, 2").all() for name in tables]


def race(act: Callable[[str], None], number: int) -> list[Exception | None]:
    results: list[Exception | None] = []
    barrier = threading.Barrier(number)

    def run(name: str) -> None:
        barrier.wait()
        try:
            act(name)
        except Exception as error:
            results.append(error)
        else:
            results.append(None)

    threads = [threading.Thread(target=run, args=(f"writer {one}",)) for one in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# -- several writers


def test_writers_of_one_subscription(store: SQLStore) -> None:
    """Each version is one writer's: compared and set, with others in between, in every possible order."""
    store.write(named("s"))

    def act(name: str) -> None:
        for number in range(10):
            stored = store.load("s", None)
            assert stored is not None
            before = stored.subscription
            after = before.changed({"version": before.version + 1, "metadata": {"by": name}})
            [entry] = named("s").entries[-1:]
            entry = attrs.evolve(entry, version=after.version, invoice_lines=())
            write = attrs.evolve(
                named("s"), id=f"{name} {number}", expected=before.version, subscription=after, entries=(entry,)
            )
            with contextlib.suppress(ConcurrentChange):
                store.write(write)
                wins.append(after.version)

    wins: list[int] = []
    assert race(act, 4) == [None] * 4
    versions = [entry.version for entry in store.history("s")]
    assert sorted(wins) == versions[len(named("s").entries) :]
    assert versions == list(range(1, len(versions) + 1))


def test_one_of_several_creates(store: SQLStore) -> None:
    for turn in range(10):
        results = race(lambda name, turn=turn: store.write(attrs.evolve(named(f"s{turn}"), id=name)), 4)  # type: ignore[misc]
        assert sorted(type(result).__name__ for result in results) == ["ConcurrentChange"] * 3 + ["NoneType"]


def test_one_write_made_by_several_is_made_once(store: SQLStore) -> None:
    for turn in range(10):
        assert race(lambda name, turn=turn: store.write(named(f"s{turn}")), 4) == [None] * 4  # type: ignore[misc]
        assert len(store.history(f"s{turn}")) == len(named("s").entries)


def test_one_of_several_takes_the_claim(store: SQLStore) -> None:
    for turn in range(10):
        results = race(
            lambda name, turn=turn: store.write(attrs.evolve(named(f"{name} {turn}"), claims=(str(turn),))), 4
        )  # type: ignore[misc]
        assert sorted(type(result).__name__ for result in results) == ["ClaimTaken"] * 3 + ["NoneType"]
    assert len(store.search(None, None, None, ALL)) == 10


def test_a_line_that_comes_later_waits_for_another_invoice(store: SQLStore) -> None:
    """Also where two processes take for the same invoice, and the line comes between them."""
    store.write(named("early"))
    late = threading.Event()
    taken: list[Any] = []

    def take() -> None:
        taken.append(store.take_invoice_lines("contoso", "in_1"))

    with store._transactions.writing() as cursor:
        # The first taker, about to commit; the second one has begun; then the line comes.
        store._sql.only_one_takes.run(cursor, customer="contoso", invoice="in_1")  # type: ignore[union-attr]
        store._sql.take_lines.run(cursor, of_customer="contoso", new_invoice="in_1")
        second = threading.Thread(target=take)
        second.start()
        wait_for_a_lock(store)
        store.write(named("late"))
        late.set()
    second.join()
    assert [line.id for line in taken[0]] == ["line of early"]
    assert [line.id for line in store.take_invoice_lines("contoso", "in_2")] == ["line of late"]


def wait_for_a_lock(store: SQLStore) -> None:
    """Until somebody waits for another's transaction."""
    for _ in range(10_000):
        with store.engine.connect() as connection:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            if connection.exec_driver_sql(waiting).scalar():
                return
    raise AssertionError("nobody waits")


def test_a_lease_waits_for_nobody(store: SQLStore) -> None:
    live(store)
    until = RECORDED.writes[-1].subscription.recorded_at
    assert until is not None
    due = list(store.due(until, ALL))
    with store._transactions.writing() as cursor:
        store._sql.hold.run(cursor, id=due[0], current=store.load(due[0], None).subscription.version)  # type: ignore[union-attr]
        assert list(store.lease(until, ALL, until)) == due[1:]


WRITER = """
import sys
from tests.stores.test_postgresql import *
store, name = SQLStore(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
won = 0
for turn in range(20):
    try:
        store.write(attrs.evolve(named(f"s{turn}"), id=name, claims=(f"claim {turn}",)))
        won += 1
    except ConcurrentChange:
        pass
store.close()
print(won)
"""


@pytest.mark.slow
def test_processes_that_write_the_same(store: SQLStore, postgresql_url: str) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, postgresql_url, f"process {number}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )
        for number in range(3)
    ]  # fmt: skip
    told = [writer.communicate("go\n")[0] for writer in writers]
    assert sum(int(line) for line in told) == 20
    for turn in range(20):
        stored = store.load(f"s{turn}", None)
        assert stored is not None
        assert fold(store.history(f"s{turn}")) == fold(named(f"s{turn}").entries)


# -- a connection that is lost


class Cut:
    """Ends the server's side of a connection before its n-th statement, or before its commit."""

    def __init__(self, store: SQLStore, at: int) -> None:
        self._store, self._left = store, at
        self.done = False

    def __enter__(self) -> Cut:
        self._given = psycopg.Cursor.execute
        self._committed = psycopg.Connection.commit
        cut = self

        def execute(cursor: Any, *arguments: Any, **options: Any) -> Any:
            cut.before(cursor.connection)
            return cut._given(cursor, *arguments, **options)

        def commit(connection: Any) -> None:
            cut.before(connection)
            cut._committed(connection)

        psycopg.Cursor.execute = execute  # type: ignore[method-assign]
        psycopg.Connection.commit = commit  # type: ignore[method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        psycopg.Cursor.execute = self._given  # type: ignore[method-assign]
        psycopg.Connection.commit = self._committed  # type: ignore[method-assign]

    def before(self, connection: Any) -> None:
        self._left -= 1
        if self._left == 0:
            pid, url = connection.info.backend_pid, self._store.engine.url.set(drivername="postgresql")
            with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as other:
                self._given(other.cursor(), "SELECT pg_terminate_backend(%s, 5000)", (pid,))
            self.done = True


@pytest.mark.slow
@pytest.mark.parametrize("mirror", [None, overlooks], ids=["alone", "with a mirror"])
def test_a_connection_cut_at_every_statement_of_a_write(
    postgresql_server: Server, postgresql_url: str, mirror: Any
) -> None:
    """It happened or it did not; the caller hears of it, the next call works, and the same write again is harmless."""
    store = SQLStore(postgresql_url, mirror=mirror)
    cuts = 0
    for at in range(1, 40):
        write = attrs.evolve(named(f"s{at}"), claims=(f"claim {at}",))
        with Cut(store, at) as cut:
            try:
                store.write(write)
            except sa.exc.DBAPIError:
                raised = True
            except psycopg.OperationalError:
                raised = True
            else:
                raised = False
        if not cut.done:
            break
        cuts += 1
        stored = store.load(f"s{at}", None)
        assert raised or stored is not None
        assert stored is None or len(store.history(f"s{at}")) == len(write.entries)
        store.write(write)
        store.write(write)
        assert store.history(f"s{at}") == write.entries
    assert cuts >= 6
    store.close()


def test_a_connection_cut_at_every_statement_of_a_reading(store: SQLStore) -> None:
    live(store)
    readings: dict[str, Callable[[], Any]] = {
        "load": lambda: store.load("by_card", "start"),
        "history": lambda: store.history("by_card"),
        "search": lambda: store.search(None, None, None, 3),
        "undelivered": lambda: store.undelivered(3),
        "parked": store.parked,
    }
    for name, reading in readings.items():
        expected, cuts = reading(), 0
        for at in range(1, 10):
            with Cut(store, at) as cut, contextlib.suppress(sa.exc.DBAPIError, psycopg.OperationalError):
                reading()
            assert reading() == expected, name
            cuts += cut.done
            if not cut.done:
                break
        assert cuts, name


@pytest.mark.parametrize("mirror", [None, overlooks], ids=["alone", "with a mirror"])
def test_the_only_connection_of_a_pool_is_cut(postgresql_url: str, mirror: Any) -> None:
    """Nobody waits for the one that was lost to come back."""
    engine = engine_of(postgresql_url, pool_size=1, max_overflow=0, pool_timeout=600)
    store = SQLStore(engine, mirror=mirror)
    store.migrate()
    with Cut(store, 3) as cut, pytest.raises((psycopg.OperationalError, sa.exc.DBAPIError)):
        store.write(named("s"))
    assert cut.done
    store.write(named("s"))
    assert store.history("s") == named("s").entries
    engine.dispose()


@pytest.mark.slow
def test_a_server_that_restarts_under_load() -> None:
    """Every write that returned is there, whole; whoever was interrupted repeats it, and it is there once."""
    with server(durable=True) as started:
        store = SQLStore(started.create())
        stop, kept, errors = threading.Event(), list[str](), list[Exception]()
        progress: queue.Queue[str] = queue.Queue()

        def work(name: str) -> None:
            number = 0
            while not stop.is_set():
                id, number = f"{name} {number}", number + 1
                while True:
                    try:
                        store.write(named(id))
                        break
                    except (sa.exc.OperationalError, psycopg.OperationalError):
                        continue
                    except Exception as error:
                        errors.append(error)
                        return
                kept.append(id)
                progress.put(id)

        threads = [threading.Thread(target=work, args=(f"writer {number}",)) for number in range(3)]
        for thread in threads:
            thread.start()
        for mode in ("fast", "immediate", "fast", None):
            while not progress.empty():
                progress.get()
            for _ in range(10):
                progress.get(timeout=60)
            if mode:
                started.restart(mode)
        stop.set()
        for thread in threads:
            thread.join()
        assert errors == []
        assert {found.id for found in store.search(None, None, None, 100_000)} == set(kept)
        assert {id: len(store.history(id)) for id in kept} == {id: len(named(id).entries) for id in kept}
        store.close()


def idle(engine: sa.Engine, number: int) -> None:
    """That many connections wait in the pool."""
    with contextlib.ExitStack() as stack:
        for connection in [stack.enter_context(engine.connect()) for _ in range(number)]:
            connection.exec_driver_sql("SELECT 1")


@pytest.mark.slow
def test_a_restart_is_not_noticed_by_who_waited() -> None:
    """Connections that the server gave up while they were idle are not used; a host's engine loses them all at once."""
    with server() as started:
        url = started.create()
        store, engine = SQLStore(url), engine_of(url)
        theirs = SQLStore(engine)
        for mode in ("fast", "immediate"):
            idle(store.engine, 3)
            idle(engine, 3)
            started.restart(mode)
            store.write(named(mode))
            assert store.load(mode, None) is not None
            with pytest.raises(psycopg.OperationalError):
                theirs.load(mode, None)
            for _ in range(3):
                assert theirs.load(mode, None) is not None
        store.close()
        engine.dispose()


# -- what is kept of deliveries


def test_failures_are_forgotten_with_the_delivery(either: SQLStore) -> None:
    """What is delivered in the end leaves nothing behind; what is set aside stays."""
    either.write(named("s"))
    either.write(named("t"))
    for entry in either.undelivered(ALL):
        either.failed(entry, "down")
    [aside, *rest] = either.undelivered(ALL)
    either.park(aside)
    either.delivered([aside, *rest])
    with either.engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT subscription, version, parked FROM lifecycle_failures").all()
    assert [tuple(row) for row in kept] == [(aside.subscription, aside.version, True)]
