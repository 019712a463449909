"""A process that forks while it holds a store: `python -m tests.stores.forked WHAT URL` prints what was found as JSON.

It is a process of its own, since whoever runs the tests has threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine

from subscription_lifecycle import MONTHLY, InvalidValue, Money, Plan, Subscriptions
from subscription_lifecycle.adapters.sqlalchemy import SQLStore, make_durable
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway
from subscription_lifecycle.testing.lives import CARD, SUPPORT

COMMANDS = 150
SECONDS = 30
"""Two who share a connection may wait for each other for ever."""
PLAN = Plan("monthly", Money(2000, "EUR"), MONTHLY)


def of(store: SQLStore) -> Subscriptions:
    return Subscriptions(store, FakeGateway(), clock=FakeClock("2026-01-31T09:00Z"))


def begun(url: str, *ids: str) -> None:
    """These subscriptions are there, and nobody is connected."""
    store = SQLStore(url)
    for id in ids:
        start(of(store), id)
    store.close()


def start(subs: Subscriptions, id: str) -> None:
    subs.start(id, customer="contoso", plan=PLAN, payment_method=CARD, by=SUPPORT, idempotency_key="start")


def child(act: Callable[[], Any]) -> Callable[[], Any]:
    """What a forked process finds, once it is waited for."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(SECONDS)
        with contextlib.suppress(BaseException):
            try:
                found = act()
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
            os.write(write, pickle.dumps(found))
        os._exit(0)
    os.close(write)

    def waited() -> Any:
        with os.fdopen(read, "rb") as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)
        return pickle.loads(said) if said else "nothing: it hung, or was killed"

    return waited


def commands(subs: Subscriptions, id: str, who: str) -> list[str]:
    """Many commands to one subscription; how each failed that did."""
    failed = []
    for number in range(COMMANDS):
        try:
            subs.set_recurring_billing(id, on=bool(number % 2), by=SUPPORT, idempotency_key=f"{who} {number}")
        except Exception as error:
            failed.append(f"{type(error).__name__}: {error}")
    return failed


def foreign(url: str, ids: list[str]) -> dict[str, list[str]]:
    """By subscription, the keys in its history of those who gave commands to another one, and what is missing."""
    subs = of(SQLStore(url))
    found = {}
    for id in ids:
        keys = {entry.key or "" for entry in subs.history(id)}
        found[id] = sorted(keys ^ {"start", *(f"{id} {number}" for number in range(COMMANDS))})
    return found


def workers(url: str) -> Any:
    """A store is made, as where a module is imported, and the process that made it works on beside two others."""
    ids = ["one", "two", "parent"]
    begun(url, *ids)
    store = SQLStore(url)
    of(store).get("parent")
    waiting = [child(lambda id=id: commands(of(store), id, id)) for id in ids[:2]]  # type: ignore[misc]
    failed = [*commands(of(store), "parent", "parent"), *(error for waited in waiting for error in waited())]
    store.close()
    return {"failed": failed, "foreign": foreign(url, ids)}


def kept_by_the_parent(url: str) -> Any:
    """The process that forked closes its connections, and what the other one writes is not lost with them."""
    begun(url, "sub")
    store = SQLStore(url)
    of(store).get("sub")
    read, write = os.pipe()

    def after_it_closed() -> Any:
        subs = of(store)
        subs.get("sub")
        os.read(read, 1)
        subs.set_recurring_billing("sub", on=False, by=SUPPORT, idempotency_key="child")

    waited = child(after_it_closed)
    of(store).get("sub")
    store.close()
    os.write(write, b"!")
    failed = waited()
    return {"failed": failed, "keys": [entry.key for entry in of(SQLStore(url)).history("sub")]}


def generations(url: str) -> Any:
    """A forked process forks again."""
    begun(url, "sub")
    store = SQLStore(url)

    def backend() -> str:
        with store.engine.connect() as connection:
            asked = "SELECT pg_backend_pid()" if store.engine.dialect.name == "postgresql" else f"SELECT {os.getpid()}"
            return str(connection.exec_driver_sql(asked).scalar())

    def read() -> list[str]:
        of(store).get("sub")
        return [backend()]

    return {"backends": [*read(), *child(lambda: [*read(), *child(read)()])(), *read()]}


def of_a_host(url: str) -> Any:
    """An engine of the host: left as it was, disposed of, not yet connected, and without a pool."""
    begun(url, "sub")

    def engine(**settings: Any) -> Engine:
        made = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1), **settings)
        return make_durable(made) if made.dialect.name == "sqlite" else made

    def asked(engine: Engine, store: SQLStore, *, dispose: bool = False) -> Any:
        if dispose:
            engine.dispose(close=False)
        return of(store).get("sub").id

    found = {}
    for how, connected, settings in (
        ("left", True, {}), ("disposed", True, {}), ("unused", False, {}), ("unpooled", True, {"poolclass": NullPool})
    ):  # fmt: skip
        host = engine(**settings)
        store = SQLStore(host)
        if connected:
            of(store).get("sub")
        found[how] = child(lambda: asked(host, store, dispose=how == "disposed"))()  # noqa: B023
        found[f"{how}, parent"] = asked(host, store)
    return found


def searched(url: str) -> Any:
    """Every way to the database is refused, not only the most used."""
    begun(url, "sub")
    host = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
    store = SQLStore(host)
    of(store).get("sub")
    ways: dict[str, Callable[[], Any]] = {
        "load": lambda: store.load("sub", None),
        "search": lambda: store.search(None, None, None, 1),
        "migrate": store.migrate,
        "delivered": lambda: store.delivered(store.undelivered(1)),
        "sweep": lambda: of(store).sweep(),
        "mirrored": lambda: start(of(SQLStore(host, mirror=lambda connection, subscription: None)), "other"),
    }

    def refused(act: Callable[[], Any]) -> bool:
        try:
            act()
        except InvalidValue as error:
            return "forked from" in str(error)
        return False

    return child(lambda: {name: refused(way) for name, way in ways.items()})()


def in_use(url: str) -> Any:
    """The process forks while a connection of the store is in use, as by another thread."""
    begun(url, "sub")
    store = SQLStore(url)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        found = child(lambda: of(store).get("sub").id)()
    return {"child": found, "parent": of(store).get("sub").id, "child later": child(lambda: of(store).get("sub").id)()}


def in_memory(url: str) -> Any:
    """What is in memory is copied."""
    store = SQLStore(url)
    start(of(store), "sub")
    found = child(lambda: of(store).get("sub").id)()
    return {"child": found, "parent": of(store).get("sub").id}


if __name__ == "__main__":
    what, where = sys.argv[1:]
    print(json.dumps(globals()[what](where)))
