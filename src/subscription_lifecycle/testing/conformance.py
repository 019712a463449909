"""`check_store`: every promise of the Store port, tried on a store of yours. No test framework is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import attrs

from subscription_lifecycle.adapters.memory import MemoryStore
from subscription_lifecycle.errors import ConcurrentChange
from subscription_lifecycle.model.entry import Entry, fold
from subscription_lifecycle.ports import ClaimTaken, Store, Write
from subscription_lifecycle.testing.capability_conformance import CAPABILITIES
from subscription_lifecycle.testing.lives import Recorded, recorded_lives
from subscription_lifecycle.testing.promises import ALWAYS, MANY, Make, by_id, check, filled, quietly, repeat_all, same

__all__ = ["check_store"]

RACES = 10


def check_store(make: Make) -> None:
    """Try every promise of `Store` and `Write`, and of the optional capabilities that the store has.

    `make` answers an empty store each time. Raises AssertionError with the sentence that does not hold. Everything that
    is stored was written by the engine itself, in lives that meet every state and every kind of payment.
    """
    recorded, store = recorded_lives(), make()
    checks = list(_CHECKS)
    checks += [try_it for capability, tries in CAPABILITIES if isinstance(store, capability) for try_it in tries]
    for try_it in checks:
        try:
            try_it(make, recorded)
        except AssertionError:
            raise
        except Exception as error:
            promise = try_it.__name__.strip("_").replace("_", " ")
            raise AssertionError(f"While trying that {promise}, the store raised {error!r}.") from error


# -- what is written is there


def _what_is_written_is_read(make: Make, recorded: Recorded) -> None:
    """After each write: snapshot, attempt and answers as written, and nothing of others."""
    store, expected = make(), MemoryStore()
    check(store.load("nobody", None) is None, "load of an unknown id answers None.")
    check(not store.history("nobody"), "The history of an unknown id is empty.")
    for write in recorded.writes:
        id = write.subscription.id
        store.write(write)
        expected.write(write)
        for key in (None, "a key never used", *(answer.key for answer in write.answers)):
            same(store.load(id, key), expected.load(id, key), f"load({id!r}, {key!r}) answers what was written.")
    for key, id in recorded.keys:
        same(
            store.load(id, key), expected.load(id, key), f"The answer under {key!r} stays, whatever was written later."
        )


def _histories_are_whole(make: Make, recorded: Recorded) -> None:
    store = filled(make, recorded)
    for id in recorded.ids:
        written = [entry for write in recorded.of(id) for entry in write.entries]
        history = list(store.history(id))
        check([entry.version for entry in history] == [entry.version for entry in written], "history is by version.")
        same(history, written, f"The history of {id} is what was written.")
        stored = store.load(id, None)
        check(stored is not None and fold(history) == stored.subscription, "Entries fold to the stored snapshot.")


def _answers_are_replaced(make: Make, recorded: Recorded) -> None:
    """An answer that was open is replaced by how it ended; one key of two subscriptions is two keys."""
    store = make()
    statuses: list[str] = []
    for write in recorded.of("waits"):
        store.write(write)
        if (stored := store.load("waits", "start")) is not None and stored.answer is not None:
            statuses.append(stored.answer.status)
    check(statuses[0] == "open", "An answer can be open.")
    check(statuses[-1] == "applied", "The answer of a key is replaced by the last one written.")
    store.write(recorded.of("by_card")[0])
    stored = store.load("waits", "start")
    answer = None if stored is None else stored.answer
    check(answer is not None and answer.status == "applied", "A key belongs to one subscription.")


def _attempts_are_set_and_cleared(make: Make, recorded: Recorded) -> None:
    store = make()
    seen: set[bool] = set()
    for write in recorded.of("waits"):
        store.write(write)
        stored = store.load("waits", None)
        check(stored is not None and stored.attempt == write.attempt, "The open attempt is what the last write says.")
        seen.add(write.attempt is None)
    assert seen == {True, False}, "the recorded life opens and closes an attempt"


# -- one of several writers wins


def _a_stale_write_changes_nothing(make: Make, recorded: Recorded) -> None:
    for id in recorded.ids:
        store, writes = make(), recorded.of(id)
        for number, write in enumerate(writes):
            store.write(write)
            before = _everything(store, recorded, id)
            for stale in (writes[0], writes[number]):
                _refuses(store, attrs.evolve(stale, id="somebody else"), "A write that expects another version")
            skipping = attrs.evolve(write, id="from the future", expected=write.subscription.version + 1)
            _refuses(store, skipping, "A write that expects a version never reached")
            same(
                _everything(store, recorded, id), before, "A write that raises ConcurrentChange leaves nothing behind."
            )
        _one_left_out(make(), recorded, id)
    _refuses(make(), attrs.evolve(recorded.writes[0], expected=1), "A write that expects a version of nothing")


def _one_left_out(store: Store, recorded: Recorded, id: str) -> None:
    """What comes after it repeats no version of an entry: only comparing versions tells that it does not fit."""
    writes = recorded.of(id)
    for number, write in enumerate(writes[:-2]):
        store.write(write)
        before = _everything(store, recorded, id)
        _refuses(store, writes[number + 2], "A write whose predecessor was left out")
        same(_everything(store, recorded, id), before, "A write that raises ConcurrentChange leaves nothing behind.")


def _a_repeated_write_does_nothing(make: Make, recorded: Recorded) -> None:
    for id in recorded.ids:
        store, writes = make(), recorded.of(id)
        for number, write in enumerate(writes):
            store.write(write)
            before = _everything(store, recorded, id)
            for earlier in writes[: number + 1]:
                quietly(store, earlier)
            current = attrs.evolve(write, expected=write.subscription.version)
            quietly(store, current, "A write's id alone says that it was written.")
            same(_everything(store, recorded, id), before, "A repeated write does nothing, whatever came after.")


def _one_of_two_threads_wins(make: Make, recorded: Recorded) -> None:
    for _ in range(RACES):
        for writes in (recorded.of("by_card")[:1], recorded.of("by_card")[:2]):
            store = make()
            for write in writes[:-1]:
                store.write(write)
            _race(store, writes[-1])


def _race(store: Store, write: Write) -> None:
    answer = write.answers[0]
    rivals = [
        attrs.evolve(write, id=name, answers=(attrs.evolve(answer, key=name),)) for name in ("one writer", "another")
    ]
    barrier, results = threading.Barrier(len(rivals)), dict[str, Exception | None]()

    def run(rival: Write) -> None:
        barrier.wait()
        results[rival.id] = None
        try:
            store.write(rival)
        except Exception as error:
            results[rival.id] = error

    threads = [threading.Thread(target=run, args=(rival,)) for rival in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won, lost = [name for name in results if results[name] is None], list(filter(None, results.values()))
    check(len(won) == 1, f"Of two threads writing one version exactly one wins, not {len(won)}: {lost}.")
    check(isinstance(lost[0], ConcurrentChange), f"The other one gets ConcurrentChange, not {lost[0]!r}.")
    id = write.subscription.id
    kept = [name for name in results if (stored := store.load(id, name)) is not None and stored.answer is not None]
    check(kept == won, "What is stored is the winner's, and nothing of the loser's.")
    versions = [entry.version for entry in store.history(id)]
    check(versions == sorted(set(versions)), "Each version has one entry.")


def _claims_are_exclusive(make: Make, recorded: Recorded) -> None:
    """Held by another subscription: ClaimTaken, nothing written. By the same one: taken already."""
    store = make()
    [first, *later] = recorded.of("trial")
    assert first.claims, "the recorded trial takes a claim"
    store.write(first)
    for write in later:
        store.write(attrs.evolve(write, claims=first.claims))
    rival = attrs.evolve(recorded.of("by_invoice")[0], claims=("a free claim", *first.claims))
    before = _everything(store, recorded, *recorded.ids)
    try:
        store.write(rival)
    except ClaimTaken:
        pass
    else:
        raise AssertionError("A claim that another subscription holds raises ClaimTaken.")
    same(_everything(store, recorded, *recorded.ids), before, "A write that raises ClaimTaken leaves nothing behind.")
    check(store.load("by_invoice", None) is None, "A write that raises ClaimTaken leaves nothing behind.")
    store.write(attrs.evolve(recorded.of("by_card")[0], claims=("a free claim",)))
    store.write(attrs.evolve(rival, claims=()))
    check(store.load("by_invoice", None) is not None, "A write that was refused can be made without the claim.")


# -- finding


def _payments_are_found_for_ever(make: Make, recorded: Recorded) -> None:
    store = make()
    asked = dict[str, str]()
    for write in recorded.writes:
        store.write(write)
        payments = [entry.payment for entry in write.entries if entry.payment is not None]
        asked |= {payment.reference: write.subscription.id for payment in payments}
        for reference, id in asked.items():
            check(store.find(reference) == id, "find answers whose payment it is, also when its attempt is closed.")
    check(store.find("pay_never_asked_for") is None, "find answers None for a reference never asked for.")


def _due_is_in_order(make: Make, recorded: Recorded) -> None:
    store = filled(make, recorded)
    last = {write.subscription.id: write.due_at for write in recorded.writes}
    planned = sorted((due, id) for id, due in last.items() if due is not None)
    assert len(planned) > 2, "the recorded lives have several due dates"
    assert None in last.values(), "the recorded lives have one that is never due again"
    ids = [id for _, id in planned]
    check(list(store.due(ALWAYS, MANY)) == ids, "due answers ids by due date, and not those that are never due.")
    check(list(store.due(ALWAYS, 2)) == ids[:2], "due answers no more than the limit, the earliest.")
    for due, _ in planned:
        upto = [id for instant, id in planned if instant <= due]
        check(list(store.due(due, MANY)) == upto, "due answers what is due at the instant itself.")
        before = [id for instant, id in planned if instant < due]
        earlier = due - timedelta(microseconds=1)
        check(list(store.due(earlier, MANY)) == before, "due answers nothing that is due a microsecond later.")


# -- the outbox


def _the_outbox_is_in_order(make: Make, recorded: Recorded) -> None:
    """Everything, by version within a subscription, until it is marked; what one write wrote comes with it."""
    store = make()
    check(list(store.undelivered(MANY)) == [], "A new store's outbox is empty.")
    store = filled(make, recorded)
    written = [entry for write in recorded.writes for entry in write.entries]
    waiting = list(store.undelivered(MANY))
    same(by_id(waiting), by_id(written), "Every entry waits in the outbox.")
    check(_in_order(waiting), "The outbox is by version within a subscription.")
    check(list(store.undelivered(3)) == waiting[:3], "undelivered answers no more than the limit, the first.")
    first, rest = waiting[:3], waiting[3:]
    store.delivered([])
    for _ in range(2):
        store.delivered(first)
        same(list(store.undelivered(MANY)), rest, "What is marked delivered is gone; marking twice does nothing.")
    repeat_all(store, recorded)
    same(list(store.undelivered(MANY)), rest, "A repeated write does not deliver anything again.")
    store.delivered(rest[::-1])
    check(list(store.undelivered(MANY)) == [], "The outbox is empty when all is delivered.")
    for id in recorded.ids:
        expected = [entry for entry in written if entry.subscription == id]
        same(list(store.history(id)), expected, "What is delivered stays in the history.")


_CHECKS: Sequence[Callable[[Make, Recorded], None]] = (
    _what_is_written_is_read,
    _histories_are_whole,
    _answers_are_replaced,
    _attempts_are_set_and_cleared,
    _a_stale_write_changes_nothing,
    _a_repeated_write_does_nothing,
    _one_of_two_threads_wins,
    _claims_are_exclusive,
    _payments_are_found_for_ever,
    _due_is_in_order,
    _the_outbox_is_in_order,
)


# -- saying it


def _refuses(store: Store, write: Write, what: str) -> None:
    try:
        store.write(write)
    except ConcurrentChange:
        return
    raise AssertionError(f"{what} raises ConcurrentChange.")


def _everything(store: Store, recorded: Recorded, *ids: str) -> list[Any]:
    """All that can be asked about some subscriptions and about none, so that two moments can be compared."""
    found: list[Any] = [list(store.due(ALWAYS, MANY)), list(store.undelivered(MANY))]
    for id in ids:
        found += [store.load(id, None), list(store.history(id))]
        if found[-1]:
            found += [store.load(id, key) for key, owner in recorded.keys if owner == id]
    return found


def _in_order(entries: Sequence[Entry]) -> bool:
    versions = dict[str, int]()
    for entry in entries:
        if entry.version <= versions.get(entry.subscription, 0):
            return False
        versions[entry.subscription] = entry.version
    return True
