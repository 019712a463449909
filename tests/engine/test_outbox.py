"""The outbox: in order for each subscription, at least once, and one poison entry does not block the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.cast import ALICE, CARD, PLAN, start

from subscription_lifecycle import Entry, MemoryStore, Subscriptions
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.engine.sweep import MOST_DELIVERIES
from subscription_lifecycle.testing import FakeClock, FakeGateway
from subscription_lifecycle.testing.faults import Died, MortalSubscriptions

Store = MemoryStore | SQLStore
STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SQLStore(folder / "subscriptions.db"),
}


@pytest.mark.parametrize("kind", STORES)
def test_a_poison_entry_is_parked_and_the_rest_goes_on(kind: str, tmp_path: Path) -> None:
    store, heard = STORES[kind](tmp_path), list[str]()
    poison = {"one/1"}

    def listener(entry: Entry) -> None:
        if entry.id in poison:
            raise RuntimeError("cannot be told")
        heard.append(entry.id)

    clock = FakeClock()
    subs = Subscriptions(store, FakeGateway(clock), clock=clock, listeners=[listener])
    for id in ("one", "two"):
        subs.start(id, customer="contoso", plan=PLAN, payment_method=CARD, by=ALICE, idempotency_key=id)
    for _ in range(MOST_DELIVERIES):
        assert [id for id, _ in subs.sweep().failed] == ["one"]
        assert heard == ["two/1", "two/2"], "its own subscription waits, in order; the others do not"
    assert subs.sweep().failed == ()
    assert heard == ["two/1", "two/2", "one/2"]
    (parked,) = store.parked()
    assert (parked.what, parked.subscription, parked.version) == ("entry", "one", 1)
    assert "cannot be told" in parked.error
    poison.clear()
    store.unpark("one", 1)
    subs.sweep()
    assert heard == ["two/1", "two/2", "one/2", "one/1"]
    assert store.parked() in ((), [])
    store.close() if isinstance(store, SQLStore) else None


def test_who_dies_while_telling_is_followed_by_one_who_tells_it_again() -> None:
    """At any effect of the sweep: nothing is left out, and what is heard first is heard in order."""
    effect, heard = 0, list[int]()
    while True:
        heard.clear()
        clock = FakeClock()
        subs = MortalSubscriptions(
            MemoryStore(), FakeGateway(clock), clock=clock, listeners=[lambda entry: heard.append(entry.version)]
        )
        start(subs)
        subs.die_at(effect // 2, performed=bool(effect % 2))
        try:
            subs.sweep()
        except Died:
            subs.die_at(None)
            subs.sweep()
        else:
            break
        assert list(dict.fromkeys(heard)) == [1, 2]
        effect += 1
    assert effect >= 8
    assert heard == [1, 2]
