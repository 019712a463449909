"""The promises of the optional capabilities, each tried where the store has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.ports import (
    InvoiceStore,
    LeasingStore,
    ListingStore,
    Parked,
    ParkingStore,
    RememberingStore,
    SearchableStore,
    Store,
)
from subscription_lifecycle.testing.bulk_conformance import BULK
from subscription_lifecycle.testing.lives import Recorded
from subscription_lifecycle.testing.promises import (
    MANY,
    Make,
    by_id,
    check,
    filled,
    lines_written,
    quietly,
    repeat_all,
    same,
)

EARLY = datetime(2000, 1, 1, tzinfo=UTC)
LATE = datetime(2100, 1, 1, tzinfo=UTC)
RACES = 3
SWEEPERS = 3


def _search_pages_by_id(make: Make, recorded: Recorded) -> None:
    store = filled(make, recorded)
    assert isinstance(store, SearchableStore)
    last = {write.subscription.id: write.subscription for write in recorded.writes}
    everything = [last[id] for id in sorted(last)]
    same(list(store.search(None, None, None, MANY)), everything, "search answers all subscriptions by id.")
    for customer in {found.customer for found in everything}:
        theirs = [found for found in everything if found.customer == customer]
        same(list(store.search(customer, None, None, MANY)), theirs, "search answers those of a customer.")
    check(list(store.search("nobody", None, None, MANY)) == [], "search answers nothing for an unknown customer.")
    for state in {found.state for found in everything}:
        there = [found for found in everything if found.state == state]
        same(list(store.search(None, (state,), None, MANY)), there, "search answers those in a state.")
    states = list({found.state for found in everything})[:2]
    either = [found for found in everything if found.state in states]
    same(list(store.search(None, states, None, MANY)), either, "search answers those in any of the states.")
    check(list(store.search(None, (), None, MANY)) == [], "search answers nothing when no state will do.")
    paged, after = list[Any](), None
    while page := list(store.search(None, None, after, 2)):
        check(len(page) <= 2, "search answers no more than the limit.")
        paged += page
        after = page[-1].id
    same(paged, everything, "Pages of a search, each after the last id, are the whole.")


def _payments_are_found_by_when_they_were_written(make: Make, recorded: Recorded) -> None:
    store = filled(make, recorded)
    assert isinstance(store, ListingStore)
    told = [entry for write in recorded.writes for entry in write.entries if entry.payment is not None]
    check(list(store.payers(LATE)) == [], "payers answers nothing where no payment was written of since then.")
    moment = timedelta(microseconds=1)
    for since in sorted({EARLY, *(entry.recorded_at + late for entry in told for late in (moment * 0, moment))}):
        expected = sorted({entry.subscription for entry in told if entry.recorded_at >= since})
        found = list(store.payers(since))
        same(found, expected, "payers answers ids with an entry about a payment written since then, by id, each once.")


def _invoice_lines_are_taken_once(make: Make, recorded: Recorded) -> None:
    store = make()
    assert isinstance(store, InvoiceStore)
    late = [write for write in recorded.of("by_invoice") if lines_written([write])][-1]
    position = recorded.writes.index(late)
    customer, lines, early = (
        late.subscription.customer,
        lines_written(recorded.writes),
        lines_written(recorded.writes[:position]),
    )
    theirs = [line for line in lines if line.customer == customer]
    others = {line.customer for line in lines} - {customer}
    assert len(theirs) > 2 < len(lines) - len(others), "the recorded lives have customers with several lines"
    for write in recorded.writes[:position]:
        store.write(write)
    first = [attrs.evolve(line, invoice="in_1") for line in theirs if line in early]
    check(list(store.invoice_lines("in_1")) == [], "An invoice that took nothing has no lines.")
    for _ in range(2):
        taken = list(store.take_invoice_lines(customer, "in_1"))
        same(by_id(taken), by_id(first), "An invoice takes every open line of its customer; again: the same lines.")
    for write in recorded.writes[position:]:
        store.write(write)
    repeat_all(store, recorded)
    taken = list(store.take_invoice_lines(customer, "in_1"))
    same(by_id(taken), by_id(first), "An invoice that was taken takes no line that came later.")
    second = [attrs.evolve(line, invoice="in_2") for line in theirs if line not in early]
    taken = list(store.take_invoice_lines(customer, "in_2"))
    same(by_id(taken), by_id(second), "The next invoice takes what came later, and no line twice.")
    same(by_id(list(store.invoice_lines("in_1"))), by_id(first), "invoice_lines answers the lines of an invoice.")
    check(list(store.take_invoice_lines(customer, "in_3")) == [], "Each line is in exactly one invoice.")
    for other in others:
        expected = [attrs.evolve(line, invoice=f"of {other}") for line in lines if line.customer == other]
        taken = list(store.take_invoice_lines(other, f"of {other}"))
        same(by_id(taken), by_id(expected), "An invoice takes no line of another customer.")


# -- leases


def _what_is_leased_is_dealt_out_once(make: Make, recorded: Recorded) -> None:
    store = filled(make, recorded)
    assert isinstance(store, LeasingStore)
    due = list(store.due(LATE, MANY))
    assert len(due) > 3, "the recorded lives have several that are due"
    hour, moment = timedelta(hours=1), timedelta(microseconds=1)
    check(list(store.lease(EARLY, MANY, LATE)) == [], "lease answers nothing that is not due.")
    first = list(store.lease(LATE, 2, LATE + hour))
    check(first == due[:2], "lease answers what is due, the earliest first, and no more than the limit.")
    check(list(store.due(LATE, MANY)) == due, "due does not mind leases.")
    second = list(store.lease(LATE, MANY, LATE + hour / 2))
    check(second == due[2:], "lease passes over what another lease holds, and the limit counts what is free.")
    check(list(store.lease(LATE, MANY, LATE + hour)) == [], "lease answers nothing when everything is leased.")
    again = list(store.lease(LATE + hour / 2, MANY, LATE + 2 * hour))
    check(again == due[2:], "A lease ends at its own instant, by itself.")
    soon = list(store.lease(LATE + hour - moment, MANY, LATE + hour))
    check(soon == [], "A lease holds until the microsecond before it ends.")
    last = list(store.lease(LATE + hour, MANY, LATE + 2 * hour))
    check(last == due[:2], "A lease ends at its own instant, by itself.")


def _a_write_leaves_a_lease_alone(make: Make, recorded: Recorded) -> None:
    store = make()
    assert isinstance(store, LeasingStore)
    writes = recorded.of("by_card")
    store.write(attrs.evolve(writes[0], due_at=EARLY))
    expires = LATE + timedelta(hours=1)
    check(list(store.lease(LATE, MANY, expires)) == ["by_card"], "lease answers what is due.")
    for write in writes[1:]:
        store.write(attrs.evolve(write, due_at=EARLY))
        check(list(store.lease(LATE, MANY, expires)) == [], "A write leaves a lease alone.")
        quietly(store, write)
    check(list(store.lease(expires, MANY, expires)) == ["by_card"], "A write leaves a lease alone.")


def _several_sweepers_share_what_is_due(make: Make, recorded: Recorded) -> None:
    for _ in range(RACES):
        store = filled(make, recorded)
        assert isinstance(store, LeasingStore)
        due, dealt = list(store.due(LATE, MANY)), list[str]()
        errors: list[Exception] = []
        barrier = threading.Barrier(SWEEPERS)

        def sweep(
            store: LeasingStore = store, barrier: Any = barrier, dealt: Any = dealt, errors: Any = errors
        ) -> None:
            barrier.wait()
            try:
                while leased := store.lease(LATE, 1, LATE + timedelta(hours=1)):
                    dealt += leased
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=sweep) for _ in range(SWEEPERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(errors == [], f"Sweepers that ask at once are not in each other's way: {errors!r}.")
        check(len(dealt) == len(set(dealt)), "Two who ask at once never get the same id.")
        rest = list(store.lease(LATE, MANY, LATE + timedelta(hours=1)))
        check(sorted(dealt + rest) == sorted(due), "What is due is leased by somebody.")


# -- parking


def _what_cannot_be_delivered_is_set_aside(make: Make, recorded: Recorded) -> None:
    store = filled(make, recorded)
    assert isinstance(store, ParkingStore)
    waiting = list(store.undelivered(MANY))
    entry, other = waiting[3], waiting[4]
    check(_aside(store) == [], "Nothing is parked in a new store.")
    counts = [store.failed(entry, f"error {number} é") for number in (1, 2)]
    check(counts == [1, 2], "failed answers how often the delivery of this entry failed.")
    check(store.failed(other, "another") == 1, "failed counts each entry by itself.")
    same(list(store.undelivered(MANY)), waiting, "What failed and is not parked is still offered.")
    check(_aside(store) == [], "What failed is not parked by itself.")
    without = [one for one in waiting if one != entry]
    expected = [Parked("entry", entry.subscription, entry.version, "error 2 é")]
    for _ in range(2):
        store.park(entry)
        same(list(store.undelivered(MANY)), without, "undelivered does not offer what is parked, and offers the rest.")
        same(_aside(store), expected, "parked lists the entry with its last error; parking twice does nothing.")
    repeat_all(store, recorded)
    same(list(store.undelivered(MANY)), without, "A repeated write does not offer again what is parked.")
    check(entry in store.history(entry.subscription), "What is parked stays in the history.")
    store.unpark(entry.subscription, entry.version + 1_000)
    store.unpark(other.subscription, other.version)
    same(_aside(store), expected, "unpark leaves alone what is not parked, and the rest.")
    check(store.failed(other, "another") == 2, "unpark leaves alone what is not parked, and the rest.")
    store.unpark(entry.subscription, entry.version)
    _offered_again(store, entry, waiting)
    for one in waiting[:-1]:
        store.park(one)
    for one in waiting[:-1]:
        store.unpark(one.subscription, one.version)
    _offered_again(store, waiting[5], waiting)
    store.delivered([waiting[0]])
    store.park(waiting[0])
    check(_aside(store) == [], "What was delivered is not parked.")


def _aside(store: ParkingStore) -> list[Parked]:
    """The entries among what is parked: a store with a mirror may have missed some, too."""
    return [parked for parked in store.parked() if parked.what == "entry"]


def _offered_again(store: Store, entry: Entry, waiting: Sequence[Entry]) -> None:
    assert isinstance(store, ParkingStore)
    check(_aside(store) == [], "unpark takes it off the list.")
    offered = list(store.undelivered(MANY))
    same(by_id(offered), by_id(waiting), "unpark offers the entry again, once.")
    theirs = [one.version for one in offered if one.subscription == entry.subscription]
    check(theirs == sorted(theirs), "What is unparked comes before what is newer of its subscription.")
    check(store.failed(entry, "afresh") == 1, "unpark forgets the failures.")


def _parked_is_in_order(make: Make, recorded: Recorded) -> None:
    store = filled(make, recorded)
    assert isinstance(store, ParkingStore)
    waiting = list(store.undelivered(MANY))
    for entry in waiting[::-1]:
        store.failed(entry, entry.id)
        store.park(entry)
    expected = sorted((entry.subscription, entry.version) for entry in waiting)
    found = [(parked.subscription, parked.version) for parked in _aside(store)]
    check(found == expected, "parked is by subscription and version.")


# -- names of payments


def _the_first_name_stays(make: Make, recorded: Recorded) -> None:
    store = make()
    assert isinstance(store, RememberingStore)
    check(store.recall("pay_1") is None, "recall answers None for a reference never named.")
    check(store.remember("pay_1", "pi_1") == "pi_1", "remember answers the name that stays.")
    check(store.recall("pay_1") == "pi_1", "recall answers the name that was given.")
    check(store.remember("pay_1", "pi_2") == "pi_1", "The first name given to a reference stays.")
    check(store.recall("pay_1") == "pi_1", "The first name given to a reference stays.")
    check(store.remember("pay_2", "pi_1") == "pi_1", "Each reference has its own name.")
    check(store.recall("pay_3") is None, "Each reference has its own name.")
    for write in recorded.writes:
        store.write(write)
    check(store.recall("pay_1") == "pi_1", "A name is kept, whatever is written.")
    _one_name_of_two_stays(make())


def _one_name_of_two_stays(store: Any) -> None:
    for race in range(RACES):
        answers = list[str]()
        barrier = threading.Barrier(2)

        def give(name: str, race: int = race, barrier: Any = barrier, answers: Any = answers) -> None:
            barrier.wait()
            answers.append(store.remember(f"pay {race}", name))

        threads = [threading.Thread(target=give, args=(name,)) for name in ("one", "another")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept = store.recall(f"pay {race}")
        check(answers == [kept, kept], "Two who name a payment at once are both told the name that stays.")


CAPABILITIES: Sequence[tuple[type, Sequence[Callable[[Make, Recorded], None]]]] = (
    (SearchableStore, (_search_pages_by_id,)),
    (ListingStore, (_payments_are_found_by_when_they_were_written,)),
    (InvoiceStore, (_invoice_lines_are_taken_once,)),
    (
        LeasingStore,
        (_what_is_leased_is_dealt_out_once, _a_write_leaves_a_lease_alone, _several_sweepers_share_what_is_due),
    ),
    (ParkingStore, (_what_cannot_be_delivered_is_set_aside, _parked_is_in_order)),
    (RememberingStore, (_the_first_name_stays,)),
    *BULK,
)
"""Each capability, and what tries it."""
