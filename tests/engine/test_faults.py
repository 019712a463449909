"""Processes that die, effects performed twice, answers that come late and twice: one capture, no refund lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.engine.books import adds_up
from tests.engine.cast import ALICE, CARD, SUPPORT, start

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    PAST_DUE,
    AwaitingPayment,
    LifecycleError,
    MemoryStore,
    PaymentDeclined,
    Reactivate,
    State,
    Subscriptions,
)
from subscription_lifecycle.engine.effects import Capture, Save
from subscription_lifecycle.engine.writing import reference_of
from subscription_lifecycle.ports import Captured, CaptureRequest, Declined, PaymentOutcome, Processing
from subscription_lifecycle.testing import FakeClock, FakeGateway
from subscription_lifecycle.testing.faults import (
    Died,
    MortalSubscriptions,
    Process,
    crash_at_every_effect,
    interleave,
    run_every_effect_twice,
)

BACK = reference_of("s", "back")


def world(at: str, *, on: bool = False, gateway: type[FakeGateway] = FakeGateway) -> Callable[[], MortalSubscriptions]:
    """A subscription that began on 1 January, seen at another instant."""

    def make() -> MortalSubscriptions:
        clock = FakeClock()
        subs = MortalSubscriptions(MemoryStore(), gateway(clock), clock=clock)
        start(subs, recurring_billing=on)
        clock.set(at)
        return subs

    return make


def reactivate(subs: Subscriptions) -> Any:
    return subs.reactivate("s", payment_method=CARD, by=ALICE, idempotency_key="back")


def cancel(subs: Subscriptions) -> Any:
    return subs.cancel("s", when="now", refund="prorated", by=ALICE, idempotency_key="leave")


def cancel_in_vain(subs: Subscriptions) -> Any:
    """The gateway takes no refund on, until tomorrow."""
    subs.gateway.refuse_refunds()
    cancel(subs)
    subs.gateway.refuse_refunds(None)


def tomorrow(subs: Subscriptions) -> Any:
    subs.gateway.refuse_refunds(None)
    subs.clock.advance(days=1)  # type: ignore[attr-defined]
    subs.sweep()
    return cancel(subs)


def renew(subs: Subscriptions) -> Any:
    return subs.sweep()


def fall_behind(subs: Subscriptions) -> Any:
    if not subs.gateway.ledger.get(reference_of("s", "renew:s:2024-02-01")):
        subs.gateway.forget()
        subs.gateway.decline_next()
    return subs.sweep()


def come_and_hear(subs: Subscriptions) -> Any:
    """The bank takes its time, and its word comes twice."""
    subs.gateway.process_next()
    reactivate(subs)
    subs.gateway.report(BACK, Captured("ch", subs.clock()))
    for _ in range(2):
        subs.report_payment(BACK, Captured("ch", subs.clock()))


ACTS: dict[str, tuple[Callable[[Subscriptions], Any], Callable[[], MortalSubscriptions], State, int, int]] = {
    "a charge": (reactivate, world("2024-02-03T09:00Z"), ACTIVE, 2, 0),
    "a refund": (cancel, world("2024-01-10T09:00Z"), CANCELLED, 1, 1),
    "a refund, refused": (cancel_in_vain, world("2024-01-10T09:00Z"), CANCELLED, 1, 1),
    "a renewal": (renew, world("2024-02-01T09:00Z", on=True), ACTIVE, 2, 0),
    "a renewal, declined": (fall_behind, world("2024-02-01T09:00Z", on=True), PAST_DUE, 1, 0),
    "a report": (come_and_hear, world("2024-02-03T09:00Z"), ACTIVE, 2, 0),
}


def checks(act: str) -> Callable[[Subscriptions], None]:
    """As the act must end, also when it is asked for once more."""
    again, _, state, captures, refunds = ACTS[act]

    def check(subs: Subscriptions) -> None:
        # What the sweep found is all there is, also if nobody repeats the command.
        adds_up(subs)
        if act != "a report":
            (tomorrow if act == "a refund, refused" else again)(subs)
        assert subs.get("s").state == state
        assert len(subs.gateway.captures) == captures
        assert len(subs.gateway.refunds) == refunds
        assert not subs.get("s").refunds
        adds_up(subs)

    return check


@pytest.mark.parametrize("act", [act for act in ACTS if act != "a report"])
def test_dying_at_every_effect(act: str) -> None:
    assert crash_at_every_effect(ACTS[act][1], ACTS[act][0], checks(act)) >= 8


class Forgets(FakeGateway):
    """Asked again for a payment it takes the money again: who asks must look it up first."""

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        self.ledger.pop(request.reference, None)
        return super().capture(request)


def test_dying_at_every_effect_before_a_gateway_that_forgets_keys() -> None:
    forgetful = world("2024-02-03T09:00Z", gateway=Forgets)
    assert crash_at_every_effect(forgetful, reactivate, checks("a charge")) >= 8


@pytest.mark.parametrize("act", ACTS)
def test_every_effect_twice(act: str) -> None:
    assert run_every_effect_twice(ACTS[act][1], ACTS[act][0], checks(act)) >= 10


# -- the kit itself


def test_what_a_gateway_takes_twice_is_seen() -> None:
    def check(subs: Subscriptions) -> None:
        assert len(subs.gateway.captures) == 2

    with pytest.raises(AssertionError):
        run_every_effect_twice(world("2024-02-03T09:00Z", gateway=Forgets), reactivate, check)


def test_twice_means_each_in_turn_and_all_with_the_first_answer_and_the_second() -> None:
    performed: list[list[Any]] = []

    class Watched(MortalSubscriptions):
        def perform(self, effect: Any) -> Any:
            performed[-1].append(effect)
            return super().perform(effect)

    def make() -> MortalSubscriptions:
        made = world("2024-02-03T09:00Z")()
        performed.append([])
        return Watched(made.store, made.gateway, clock=made.clock)

    worlds = run_every_effect_twice(make, reactivate, lambda subs: None)
    # The last world of each round repeats everything; the one before it found no effect left to repeat.
    assert worlds == 2 * (len(performed) // 2 - 1)
    captures = [sum(isinstance(effect, Capture) for effect in effects) for effects in performed]
    saves = [sum(isinstance(effect, Save) for effect in effects) for effects in performed]
    assert (captures.count(2), saves.count(3), saves.count(4)) == (4, 4, 2)


# -- a gateway that answers late, and twice


class Late(FakeGateway):
    """What happens `meanwhile` happens before the gateway answers: before the money moved, or after."""

    meanwhile: Callable[[], Any] | None = None
    moved = True

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        found = super().capture(request) if self.moved else None
        if self.meanwhile is not None and request.reference == BACK:
            act, self.meanwhile = self.meanwhile, None
            try:
                act()
            except LifecycleError:
                # Whoever else acts is told so; what counts is the money.
                pass
        return found or super().capture(request)


def webhook(subs: Subscriptions) -> None:
    """It overtakes the answer, and comes twice."""
    for _ in range(2):
        subs.report_payment(BACK, subs.gateway.ledger.get(BACK) or Processing("ch"))


def given_up(subs: Subscriptions) -> None:
    subs.clock.advance(days=40)  # type: ignore[attr-defined]
    subs.sweep()


def given_up_and_told(subs: Subscriptions) -> None:
    given_up(subs)
    webhook(subs)


def declined_by_mistake(subs: Subscriptions) -> None:
    subs.report_payment(BACK, Declined("do_not_honor"))


def repeated(subs: Subscriptions) -> None:
    for _ in range(2):
        reactivate(subs)


def blocked(subs: Subscriptions) -> None:
    subs.disable("s", reason="abuse", by=SUPPORT, idempotency_key="block")


def deleted(subs: Subscriptions) -> None:
    given_up(subs)
    subs.clock.advance(days=100)  # type: ignore[attr-defined]
    subs.sweep()


MEANWHILE = (webhook, given_up, given_up_and_told, declined_by_mistake, repeated, blocked, deleted)


class LateAndUnstoppable(Late):
    void = None  # type: ignore[assignment]


def late(
    meanwhile: Callable[[Subscriptions], Any], moved: bool, gateway: type[Late] = Late
) -> Callable[[], MortalSubscriptions]:
    """What happens before the gateway answers is done by another process."""

    def make() -> MortalSubscriptions:
        subs = world("2024-02-03T09:00Z", gateway=gateway)()
        subs.sweep()
        other = Subscriptions(subs.store, subs.gateway, clock=subs.clock)
        subs.gateway.meanwhile, subs.gateway.moved = lambda: meanwhile(other), moved
        return subs

    return make


def try_to_reactivate(subs: Subscriptions) -> None:
    try:
        reactivate(subs)
    except LifecycleError:
        # Given up, pre-empted, deleted: told so. The money is what the check looks at.
        pass


def all_is_known(subs: Subscriptions) -> None:
    """Whatever the gateway has is reported once more, as gateways do; then nothing is open and all adds up."""
    for reference, outcome in subs.gateway.ledger.items():
        if isinstance(outcome, Captured):
            subs.report_payment(reference, outcome)
    subs.sweep()
    assert subs.store.load("s", None).attempt is None  # type: ignore[union-attr]
    assert not subs.get("s").refunds
    adds_up(subs)


@pytest.mark.parametrize("gateway", [Late, LateAndUnstoppable], ids=["stops", "cannot stop"])
@pytest.mark.parametrize("moved", [True, False], ids=["moved", "not moved yet"])
@pytest.mark.parametrize("meanwhile", MEANWHILE, ids=lambda act: act.__name__.replace("_", " "))
def test_an_answer_that_comes_late(meanwhile: Callable[[Subscriptions], Any], moved: bool, gateway: type[Late]) -> None:
    make = late(meanwhile, moved, gateway)
    subs = make()
    try_to_reactivate(subs)
    # Who is told to the end needs no webhook.
    subs.sweep()
    adds_up(subs)
    assert run_every_effect_twice(make, try_to_reactivate, all_is_known) >= 10
    assert crash_at_every_effect(make, try_to_reactivate, all_is_known) >= 8


def test_a_webhook_overtakes_the_answer_in_every_order() -> None:
    """The gateway is slow on both ways: what it says of the payment arrives at any moment, twice."""

    def make() -> Subscriptions:
        made = world("2024-02-03T09:00Z")()
        made.sweep()
        return Subscriptions(made.store, made.gateway, clock=made.clock)

    def answers(process: Process) -> None:
        process.execute("s", Reactivate(CARD), by=ALICE, idempotency_key="back")

    def tells(process: Process) -> None:
        process.report_payment(BACK, Captured("ch", process.subs.clock()))

    def check(subs: Subscriptions, first: Process, second: Process) -> None:
        assert first.error is None
        subs.gateway.capture(subs.gateway.requests[-1])
        all_is_known(subs)
        assert subs.get("s").state == ACTIVE
        assert len(subs.gateway.captures) == 2

    assert interleave(make, answers, tells, check) >= 3


def test_a_decline_that_comes_late_is_no_news() -> None:
    subs = world("2024-02-03T09:00Z")()
    subs.gateway.process_next()
    assert isinstance(reactivate(subs), AwaitingPayment)
    subs.gateway.report(BACK, Declined("do_not_honor"))
    for _ in range(2):
        subs.report_payment(BACK, Declined("do_not_honor"))
    with pytest.raises(PaymentDeclined):
        reactivate(subs)
    assert len(subs.gateway.captures) == 1
    adds_up(subs)


def test_a_process_that_died_did_not_raise_what_anybody_catches() -> None:
    subs = world("2024-02-03T09:00Z")()
    subs.die_at(3)
    with pytest.raises(Died):
        reactivate(subs)
    assert not issubclass(Died, Exception)
