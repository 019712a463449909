"""Two processes at once: every order of their effects ends with one capture a period, and nothing that is not known."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from tests.engine.books import adds_up
from tests.engine.cast import ALICE, CARD, OTHER_CARD, SUPPORT, NoVoid, start

from subscription_lifecycle import (
    DISABLED,
    Actor,
    Applied,
    Cancel,
    Command,
    ConcurrentChange,
    Delete,
    Disable,
    LifecycleError,
    MemoryStore,
    Pause,
    PayArrears,
    Reactivate,
    Resume,
    RetryPayment,
    SetRecurringBilling,
    Subscriptions,
    SweepReport,
)
from subscription_lifecycle.engine.writing import reference_of
from subscription_lifecycle.model.entry import fold
from subscription_lifecycle.ports import Captured, ChargebackReversed, ChargedBack, Declined, Processing
from subscription_lifecycle.testing import FakeClock, FakeGateway
from subscription_lifecycle.testing.faults import Process, interleave

Setup = Callable[[Subscriptions], Any]
Act = Callable[[Process], None]
World = Callable[[], Subscriptions]


class Ticking(FakeClock):
    """No two looks at it are the same."""

    def __call__(self) -> Any:
        return self.advance(seconds=0.001)


def begun(
    at: str, setup: Setup = lambda subs: None, *, on: bool = True, gateway: Any = FakeGateway, clock: Any = FakeClock
) -> Callable[[], Subscriptions]:
    """A subscription that began on 1 January, seen at another instant."""

    def make() -> Subscriptions:
        now = clock("2024-01-01T00:00Z")
        subs = Subscriptions(MemoryStore(), gateway(now), clock=now)
        start(subs, recurring_billing=on)
        now.set(at)
        setup(subs)
        return subs

    return make


def does(command: Command, key: str, by: Actor = ALICE) -> Act:
    return lambda process: process.execute("s", command, by=by, idempotency_key=key)


def sweeps(process: Process) -> None:
    process.recover()


def hears(outcome: Any, key: str = "a") -> Act:
    """The gateway's own report of the payment asked for under a key; it says the same when it is asked."""

    def act(process: Process) -> None:
        gateway, reference = process.subs.gateway, reference_of("s", key)
        if not isinstance(outcome, Processing):
            gateway.report(reference, outcome)
        process.report_payment(reference, outcome)

    return act


def check(subs: Subscriptions, *both: Process) -> None:
    for process in both:
        assert process.error is None or isinstance(process.error, LifecycleError)
        if isinstance(process.answer, SweepReport):
            assert all(isinstance(error, ConcurrentChange) for _, error in process.answer.failed)
        if isinstance(process.answer, Applied):
            entries = subs.history("s")
            assert all(entry in entries for entry in process.answer.entries), "an answer that is not on record"
    for _ in range(2):
        assert not subs.recover().failed
    stored, entries = subs.store.load("s", None), subs.history("s")
    assert stored is not None
    assert fold(entries) == stored.subscription
    told = [entry.payment for entry in entries if entry.payment]
    captured = [capture.reference for capture in subs.gateway.captures]
    known = {payment.reference for payment in told if payment.status == "captured" or payment.code == "charged_back"}
    disputes = {
        outcome.gateway_id
        for outcome in subs.gateway.ledger.values()
        if isinstance(outcome, ChargedBack | ChargebackReversed)
    }
    heard = {payment.gateway_id for payment in told if payment.code in ("charged_back", "chargeback_reversed")}
    assert disputes <= heard or any(process.error for process in both), "a dispute nobody knows of"
    assert len(set(captured)) == len(captured)
    assert set(captured) <= known | ({stored.attempt.reference} if stored.attempt else set()), "money nobody knows of"
    adds_up(subs)
    billed = sorted(entry.billed for entry in entries if entry.billed and entry.event == "applied")
    assert all(one.end <= other.start for one, other in itertools.pairwise(billed)), "billed twice"


def swept(subs: Subscriptions) -> None:
    subs.recover()


def open_payment(subs: Subscriptions) -> None:
    """A reactivation that the customer has authorised, as only the gateway knows."""
    subs.recover()
    subs.gateway.require_action_next()
    subs.reactivate("s", payment_method=CARD, by=ALICE, idempotency_key="a")
    subs.gateway.report(reference_of("s", "a"), Captured("ch", subs.clock()))


def waiting(subs: Subscriptions) -> None:
    """A reactivation that the customer must authorise first."""
    subs.recover()
    subs.gateway.require_action_next()
    subs.reactivate("s", payment_method=CARD, by=ALICE, idempotency_key="a")


def told(what: str, **arguments: Any) -> Setup:
    def setup(subs: Subscriptions) -> None:
        subs.recover()
        getattr(subs.gateway, what)(**arguments)

    return setup


def owing(subs: Subscriptions) -> None:
    subs.gateway.decline_next()
    subs.recover()
    subs.clock.advance(days=3)  # type: ignore[attr-defined]


def cancelled(subs: Subscriptions) -> None:
    subs.cancel("s", when="now", refund="prorated", by=ALICE, idempotency_key="left")


def paused(subs: Subscriptions) -> None:
    subs.pause("s", by=ALICE, idempotency_key="paused")


def disabled(subs: Subscriptions) -> None:
    """Expired on 1 February, disabled thirty days later."""
    swept(subs)
    assert subs.get("s").state == DISABLED


def declined_next(subs: Subscriptions) -> None:
    subs.gateway.decline_next()


EXPIRED, LAPSED, RENEWAL, RUNNING = "2024-02-03T09:00Z", "2024-03-10T09:00Z", "2024-02-01T09:00Z", "2024-01-20T00:00Z"
ended = begun(EXPIRED, swept, on=False)
lost = told("time_out_next", charged=False)
taken = told("time_out_next", charged=True)
back, again = does(Reactivate(CARD), "a"), does(Reactivate(OTHER_CARD), "b")
blocks = does(Disable(), "block", SUPPORT)
deletes = does(Delete(), "delete", ALICE)
leaves = does(Cancel("now", "prorated"), "leave")
off = does(SetRecurringBilling(False), "off")
pauses, resumes = does(Pause(), "pause"), does(Resume(), "resume")
retries, pays = does(RetryPayment(), "retry"), does(PayArrears(OTHER_CARD), "pay")
captured = hears(Captured("ch", FakeClock(EXPIRED)()))
declined = hears(Declined("do_not_honor"))
charged_back = hears(ChargedBack("ch"), "start")
disputed, undone = hears(ChargedBack("dp"), "a"), hears(ChargebackReversed("dp"), "a")

WORLDS: dict[str, tuple[World, dict[str, Act]]] = {
    "expired": (
        ended,
        {
            "reactivate": back,
            "reactivate by another card": again,
            "chargeback": disputed,
            "delete": deletes,
            "block": blocks,
            "sweep": sweeps,
        },
    ),
    "disabled": (
        begun(LAPSED, disabled, on=False),
        {"reactivate": back, "reactivate by another card": again, "delete": deletes, "block": blocks, "sweep": sweeps},
    ),
    "paused": (
        begun(RUNNING, paused),
        {
            "resume": resumes,
            "pause for longer": does(Pause(until=date(2024, 3, 1)), "longer"),
            "cancel": leaves,
            "block": blocks,
            "delete": deletes,
            "sweep": sweeps,
            "chargeback": charged_back,
        },
    ),
    "cancelled": (
        begun(RUNNING, cancelled),
        {
            "reactivate": back,
            "reactivate by another card": again,
            "cancel": leaves,
            "delete": deletes,
            "block": blocks,
            "sweep": sweeps,
            "chargeback": charged_back,
        },
    ),
    "open payment": (
        begun(EXPIRED, open_payment, on=False),
        {
            "repeat": back,
            "reactivate by another card": again,
            "captured": captured,
            "chargeback": disputed,
            "chargeback undone": undone,
            "delete": deletes,
            "block": blocks,
            "sweep": sweeps,
        },
    ),
    "waiting": (
        begun(EXPIRED, waiting, on=False),
        {
            "repeat": back,
            "processing": hears(Processing("ch")),
            "declined": declined,
            "delete": deletes,
            "block": blocks,
            "sweep": sweeps,
        },
    ),
    "answer lost": (
        begun(EXPIRED, lost, on=False),
        {"reactivate": back, "reactivate by another card": again, "block": blocks, "sweep": sweeps},
    ),
    "answer lost, charged": (
        begun(EXPIRED, taken, on=False),
        {"reactivate": back, "reactivate by another card": again, "block": blocks, "sweep": sweeps},
    ),
    "nothing to stop it": (begun(EXPIRED, lost, on=False, gateway=NoVoid), {"reactivate": back, "block": blocks}),
    "running": (
        begun(RUNNING),
        {
            "pause": pauses,
            "cancel": leaves,
            "cancel again": does(Cancel("now", "prorated"), "again"),
            "delete": deletes,
            "block": blocks,
            "switch off": off,
            "chargeback": charged_back,
            "sweep": sweeps,
        },
    ),
    "in arrears": (
        begun(RENEWAL, owing),
        {
            "retry": retries,
            "pay": pays,
            "cancel": leaves,
            "block": blocks,
            "switch off": off,
            "chargeback": charged_back,
            "sweep": sweeps,
        },
    ),
    "a renewal is due": (
        begun(RENEWAL),
        {"cancel": leaves, "block": blocks, "switch off": off, "chargeback": charged_back, "sweep": sweeps},
    ),
    "a renewal is due, declined": (
        begun(RENEWAL, declined_next),
        {"cancel": leaves, "switch off": off, "pay": pays, "sweep": sweeps},
    ),
}
PAIRS: dict[str, tuple[World, Act, Act]] = {
    f"{name}: {one} and {other}": (make, acts[one], acts[other])
    for name, (make, acts) in WORLDS.items()
    for one, other in itertools.combinations_with_replacement(acts, 2)
} | {
    "expired: reactivate by two cards under one key": (ended, back, does(Reactivate(OTHER_CARD), "a")),
    "waiting: reactivate and a report": (
        begun(EXPIRED, told("require_action_next"), on=False),
        back,
        hears(Processing("p")),
    ),
    "cancelled: reactivate and cancel at once": (begun(RUNNING, cancelled), back, does(Cancel("now"), "leave")),
}
"""Each with each, and each with itself: by other people, or once more under its key."""


def orders(pair: str, clock: Any) -> int:
    make, first, second = PAIRS[pair]

    def world() -> Subscriptions:
        subs = make()
        return Subscriptions(subs.store, subs.gateway, clock=clock(subs.clock()))

    return interleave(world, first, second, check)


CLOCKS: dict[str, Any] = {"one instant": FakeClock, "ticking": Ticking}
# Of these there are thousands of orders.
AT_LENGTH = {
    f"{world}: {one} and {other}"
    for world in ("a renewal is due", "a renewal is due, declined")
    for one, other in itertools.combinations_with_replacement(("cancel", "block", "switch off"), 2)
}
RUNS = [
    pytest.param(
        pair,
        clock,
        id=f"{pair}, {name}",
        marks=[pytest.mark.long]
        if pair in AT_LENGTH or (pair, name) == ("a renewal is due: cancel and sweep", "ticking")
        else [],
    )
    for pair in PAIRS
    for name, clock in CLOCKS.items()
]


@pytest.mark.slow
@pytest.mark.parametrize(("pair", "clock"), RUNS)
def test_two_processes(pair: str, clock: Any, record_property: Callable[[str, object], None]) -> None:
    count = orders(pair, clock)
    record_property("orders", count)
    assert count >= 1


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_a_refund_and_a_chargeback_at_once_end_as_one_after_the_other(clock: Any) -> None:
    """Refunded and then charged back, all of it is owed; charged back first, nothing is left to refund."""
    make, leave, take = PAIRS["running: cancel and chargeback"]
    ends = set[tuple[bool, int, int]]()

    def seen(subs: Subscriptions, *both: Process) -> None:
        check(subs, *both)
        subscription = subs.get("s")
        assert not subscription.refunds
        back = sum(refund.amount.minor for refund in subs.gateway.refunds)
        heard = any(entry.payment and entry.payment.code == "charged_back" for entry in subs.history("s"))
        ends.add((heard, back, subscription.owed.minor))

    def world() -> Subscriptions:
        subs = make()
        return Subscriptions(subs.store, subs.gateway, clock=clock(subs.clock()))

    interleave(world, leave, take, seen)
    (back,) = {back for _, back, _ in ends if back}
    assert {end for end in ends if end[0]} == {(True, back, 2000), (True, 0, 2000)}


def test_pairs_really_cross() -> None:
    """A pair of which one refuses at once has few orders; what moves money has many."""
    for pair, least in {
        "expired: reactivate and reactivate by another card": 20,
        "waiting: repeat and declined": 5,
        "a renewal is due: sweep and sweep": 50,
        "running: cancel and cancel again": 3,
        "in arrears: retry and pay": 20,
    }.items():
        assert orders(pair, FakeClock) >= least, pair


def main() -> None:
    """How many orders of each pair were walked, at one instant and with clocks that tick."""
    total = [0, 0]
    for pair in PAIRS:
        counts = [orders(pair, clock) for clock in CLOCKS.values()]
        total = [before + count for before, count in zip(total, counts, strict=True)]
        print(f"| {pair} | {counts[0]} | {counts[1]} |")
    print(f"| {len(PAIRS)} pairs | {total[0]} | {total[1]} |")


if __name__ == "__main__":
    main()
