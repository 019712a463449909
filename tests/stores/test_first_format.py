"""A database written by the first format: this version and every later one must open it and read the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stores import values
from tests.stores.write_first_format import DATABASE, HIBERNATION, IN_WORDS, OWN, words

from subscription_lifecycle import ACTIVE, DELETED, STANDARD, Money, Subscriptions
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.documents import UnknownCommand
from subscription_lifecycle.model.entry import fold
from subscription_lifecycle.model.payment import Captured
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway
from subscription_lifecycle.testing.lives import CARD, SUPPORT

ALL = 1_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLStore]:
    copy = tmp_path / "first_format.sqlite"
    shutil.copy(DATABASE, copy)
    store = SQLStore(copy)
    yield store
    store.close()


def test_it_reads_as_it_was_written(store: SQLStore) -> None:
    assert list(words(store)) == IN_WORDS.read_text("utf-8").splitlines()


def test_snapshots_fold_from_their_entries(store: SQLStore) -> None:
    for subscription in store.search(None, None, None, ALL):
        history = store.history(subscription.id)
        assert [entry.version for entry in history] == list(range(1, subscription.version + 1))
        assert fold(history) == subscription


def test_it_has_everything_that_can_be_stored(store: SQLStore) -> None:
    found = store.search(None, None, None, ALL)
    stored = [store.load(subscription.id, None) for subscription in found]
    entries = [entry for subscription in found for entry in store.history(subscription.id)]
    # No row of the standard table leads to PAUSED yet.
    assert {subscription.state.name for subscription in found} == STANDARD.states.keys() - {"paused"}
    assert any(one is not None and one.attempt is not None for one in stored)
    assert any(subscription.arrears for subscription in found)
    assert any(subscription.credit for subscription in found)
    assert any(subscription.refunds for subscription in found)
    assert any(subscription.settlements for subscription in found)
    assert any(subscription.metadata for subscription in found)
    assert any(subscription.interrupted for subscription in found)
    assert any(entry.invoice_lines for entry in entries)
    assert {entry.event for entry in entries} >= {"applied", "attempted", "awaiting", "declined", "refunded"}
    assert {method.kind for one in found if (method := one.payment_method)} == {"card", "bank_account", "invoice"}
    assert store.invoice_lines("in_1")
    assert store.undelivered(ALL)


def test_a_users_own_command_is_read(store: SQLStore) -> None:
    [entry] = [entry for entry in store.history("by_card") if entry.row.startswith("hibernate")]
    assert entry.command == HIBERNATION
    assert entry.lifecycle == ("with hibernation", 1)
    answer = store.load("by_card", "hibernate")
    assert answer is not None
    assert answer.answer is not None
    assert answer.answer.command == HIBERNATION


def test_without_its_class_the_rest_is_read(store: SQLStore, monkeypatch: pytest.MonkeyPatch) -> None:
    values.forget_class("Hibernate", monkeypatch)
    history = store.history("by_card")
    [unknown] = [entry.command for entry in history if isinstance(entry.command, UnknownCommand)]
    assert unknown.name == "Hibernate"
    assert fold(history) == store.search(None, None, "by_bank", 1)[0]


def test_life_goes_on(store: SQLStore) -> None:
    """The open payment is finished, the refund is asked for again, what is due is done, keys are known."""
    clock = FakeClock("2024-05-10T00:00Z")
    gateway = FakeGateway(clock)
    subs = Subscriptions(store, gateway, lifecycle=OWN, clock=clock)
    again = subs.execute("by_card", HIBERNATION, by=SUPPORT, idempotency_key="hibernate")
    assert again.subscription.version == store.history("by_card")[-1].version
    stored = store.load("open", None)
    assert stored is not None
    assert stored.attempt is not None
    late = Captured("ch", clock())
    result = subs.report_payment(stored.attempt.reference, late)
    assert result.subscription.state is ACTIVE
    report = subs.sweep()
    assert report.examined > 5
    assert subs.get("declined").state is DELETED
    back = subs.reactivate("elsewhere", payment_method=CARD, by=SUPPORT, idempotency_key="back").subscription
    assert back.state is ACTIVE
    assert back.arrears == ()
    assert back.credit in (None, Money(0, "EUR"))
