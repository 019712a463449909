"""Two processes at once: every order of their effects ends with one capture a period, and nothing that is not known."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from subscription_lifecycle import (
    MONTHLY,
    Actor,
    Applied,
    Cancel,
    Command,
    ConcurrentChange,
    Delete,
    Disable,
    LifecycleError,
    MemoryStore,
    Money,
    PayArrears,
    PaymentMethod,
    Plan,
    Reactivate,
    RetryPayment,
    Role,
    SetRecurringBilling,
    Subscriptions,
    SweepReport,
)
from subscription_lifecycle.engine.writing import reference_of
from subscription_lifecycle.model.entry import fold
from subscription_lifecycle.ports import Captured, Processing
from subscription_lifecycle.testing import FakeClock, FakeGateway
from subscription_lifecycle.testing.faults import Process, interleave

ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
SUPPORT = Actor("sam", Role.SUPPORT)
CARD = PaymentMethod.card("tok_1", country="NL")
OTHER_CARD = PaymentMethod.card("tok_2", country="NL")
PLAN = Plan("basic", Money.of("20.00", "EUR"), MONTHLY)

Setup = Callable[[Subscriptions], Any]
Act = Callable[[Process], None]


class NoVoid(FakeGateway):
    """A gateway that cannot stop a payment."""

    void = None  # type: ignore[assignment]


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
        start = {"customer": "contoso", "plan": PLAN, "payment_method": CARD, "by": ALICE, "idempotency_key": "start"}
        subs.start("s", recurring_billing=on, **start)
        now.set(at)
        setup(subs)
        return subs

    return make


def does(command: Command, key: str, by: Actor = ALICE) -> Act:
    return lambda process: process.execute("s", command, by=by, idempotency_key=key)


def sweeps(process: Process) -> None:
    process.recover()


def hears(outcome: Any) -> Act:
    """The gateway's own report of the payment asked for under the key "a"."""
    return lambda process: process.report_payment(reference_of("s", "a"), outcome)


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
    captured = [capture.reference for capture in subs.gateway.captures]
    known = {entry.payment.reference for entry in entries if entry.payment and entry.payment.status == "captured"}
    assert len(set(captured)) == len(captured)
    assert set(captured) <= known | ({stored.attempt.reference} if stored.attempt else set()), "money nobody knows of"
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


EXPIRED, RENEWAL, RUNNING = "2024-02-03T09:00Z", "2024-02-01T09:00Z", "2024-01-20T00:00Z"
ended = begun(EXPIRED, swept, on=False)
lost = told("time_out_next", charged=False)
back = does(Reactivate(CARD), "a")
blocks = does(Disable(), "block", SUPPORT)
leaves = does(Cancel("now", "prorated"), "leave")
captured = hears(Captured("ch", FakeClock(EXPIRED)()))

PAIRS: dict[str, tuple[Callable[[], Subscriptions], Act, Act]] = {
    "reactivate twice": (ended, back, does(Reactivate(OTHER_CARD), "b")),
    "reactivate under one key": (ended, back, back),
    "reactivate by two cards under one key": (ended, back, does(Reactivate(OTHER_CARD), "a")),
    "reactivate and delete": (ended, back, does(Delete(), "delete")),
    "reactivate and block": (ended, back, blocks),
    "reactivate and block, an answer lost": (begun(EXPIRED, lost, on=False), back, blocks),
    "reactivate and block, nothing to stop it": (begun(EXPIRED, lost, on=False, gateway=NoVoid), back, blocks),
    "reactivate and sweep": (ended, back, sweeps),
    "reactivate and cancel": (begun(RUNNING, cancelled), back, does(Cancel("now"), "leave")),
    "reactivate and a report": (begun(EXPIRED, told("require_action_next"), on=False), back, hears(Processing("p"))),
    "repeat and a report": (begun(EXPIRED, open_payment, on=False), back, captured),
    "sweep and a report": (begun(EXPIRED, open_payment, on=False), sweeps, captured),
    "block and a report": (begun(EXPIRED, open_payment, on=False), blocks, captured),
    "cancel with a refund and sweep": (begun(RUNNING), leaves, sweeps),
    "cancel with a refund twice": (begun(RUNNING), leaves, does(Cancel("now", "prorated"), "again")),
    "cancel with a refund and reactivate": (begun(RUNNING), leaves, back),
    "retry and pay": (begun(RENEWAL, owing), does(RetryPayment(), "retry"), does(PayArrears(OTHER_CARD), "pay")),
}
RENEWALS: dict[str, tuple[Setup, Act]] = {
    "cancel": (lambda subs: None, does(Cancel("now"), "leave")),
    "switch off": (lambda subs: None, does(SetRecurringBilling(False), "off")),
    "sweep": (lambda subs: None, sweeps),
    "sweep, declined": (lambda subs: subs.gateway.decline_next(), sweeps),
}


@pytest.mark.parametrize("clock", [FakeClock, Ticking], ids=["one instant", "ticking"])
@pytest.mark.parametrize("pair", PAIRS)
def test_two_processes(pair: str, clock: Any) -> None:
    make, first, second = PAIRS[pair]

    def world() -> Subscriptions:
        subs = make()
        return Subscriptions(subs.store, subs.gateway, clock=clock(subs.clock()))

    assert interleave(world, first, second, check) >= 3


@pytest.mark.parametrize("clock", [FakeClock, Ticking], ids=["one instant", "ticking"])
@pytest.mark.parametrize("other", RENEWALS)
def test_a_renewal_that_is_due_and_another_process(other: str, clock: Any) -> None:
    setup, act = RENEWALS[other]
    assert interleave(begun(RENEWAL, setup, clock=clock), sweeps, act, check) >= 20
