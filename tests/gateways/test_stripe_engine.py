"""Whole subscriptions on Stripe: started, declined, authenticated, cut off anywhere, refunded; charged once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.gateways.stripe_payloads import charge, dispute, event, intent, page, refund
from tests.gateways.stripe_server import SECRET, Fault, StripeServer, signed

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DELETED,
    MONTHLY,
    Actor,
    Applied,
    AwaitingPayment,
    MemoryStore,
    Money,
    PaymentDeclined,
    PaymentMethod,
    Plan,
    Role,
    Subscriptions,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.adapters.stripe import StripeGateway
from subscription_lifecycle.ports import ChargedBack
from subscription_lifecycle.testing import FakeClock
from subscription_lifecycle.testing.faults import Died, MortalSubscriptions, Process, crash_at_every_effect, interleave

ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
VISA = PaymentMethod.card("pm_card_visa", country="US")
DECLINED = "4000000000000341"
AUTHENTICATION = "4000002760003184"
EURO = Money.of("20.00", "EUR")
PLAN = Plan("basic", EURO, MONTHLY)
CREATE = "POST /v1/payment_intents$"
CONFIRM = "POST /v1/payment_intents/.*/confirm"
REFUND = "POST /v1/refunds"


@attrs.frozen
class World:
    """Subscriptions, their clock, and the Stripe that they are charged through."""

    server: StripeServer
    clock: FakeClock
    store: Any
    gateway: StripeGateway
    subs: MortalSubscriptions

    @classmethod
    def of(cls, server: StripeServer, store: Any) -> World:
        # Localstripe dates its charges by the real time.
        clock = FakeClock(datetime.now(UTC))
        gateway = StripeGateway(server.client(), names=store)
        return cls(server, clock, store, gateway, MortalSubscriptions(store, gateway, clock=clock))

    def start(self, number: str | None = None, key: str = "start") -> Applied | AwaitingPayment:
        return start(self.subs, VISA if number is None else self.card(number), key)

    def card(self, number: str) -> PaymentMethod:
        return PaymentMethod.card(self.server.card(number), country="US")

    def moved(self) -> tuple[list[int], list[int]]:
        """What was charged and what was refunded, in Stripe's books."""
        return [each["amount"] for each in self.server.charged()], [each["amount"] for each in self.server.refunded()]


def start(subs: Subscriptions, method: PaymentMethod = VISA, key: str = "start") -> Applied | AwaitingPayment:
    return subs.start("s", customer="contoso", plan=PLAN, payment_method=method, by=ALICE, idempotency_key=key)


def cancel(subs: Subscriptions) -> Applied | AwaitingPayment:
    return subs.cancel("s", when="now", refund="prorated", by=ALICE, idempotency_key="leave")


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, server: StripeServer, tmp_path: Path) -> Iterator[World]:
    store = MemoryStore() if request.param == "memory" else SQLStore(f"sqlite:///{tmp_path / 's.sqlite'}")
    yield World.of(server, store)
    if isinstance(store, SQLStore):
        store.close()


def reference(world: World) -> str:
    found = [entry.payment.reference for entry in world.subs.history("s") if entry.payment is not None]
    return found[-1]


def told(world: World, kind: str, about: dict[str, Any]) -> Applied | AwaitingPayment:
    """A webhook arrives."""
    found = world.gateway.read_event(*signed(event(kind, about)), SECRET)
    assert found is not None
    return world.subs.report_payment(*found)


def intent_of(world: World) -> dict[str, Any]:
    """The intent as an event shows it."""
    found = world.server.object(f"/v1/payment_intents/{world.store.recall(reference(world))}")
    return found | {"latest_charge": (found["latest_charge"] or {}).get("id")}


# -- as it goes


def test_started_renewed_and_refunded(world: World) -> None:
    assert isinstance(world.start(), Applied)
    assert world.subs.get("s").state == ACTIVE
    world.clock.advance(days=32)
    world.subs.sweep()
    assert world.moved() == ([2000, 2000], [])
    assert [request.parameters.get("off_session") for request in world.server.asked(CONFIRM)] == [None, "true"]
    cancel(world.subs)
    assert world.subs.get("s").state == CANCELLED
    assert len(world.moved()[1]) == 1


def test_declined_and_started_with_another_card(world: World) -> None:
    with pytest.raises(PaymentDeclined) as declined:
        world.start(DECLINED)
    assert (declined.value.decline, declined.value.retryable) == ("card_declined", True)
    with pytest.raises(PaymentDeclined):
        start(world.subs, world.subs.history("s")[0].payment.method, "start")  # type: ignore[union-attr]
    assert len(world.server.asked(CONFIRM)) == 1
    world.subs.sweep()
    assert world.moved() == ([], [])


@pytest.mark.parametrize("how", ["sweep", "webhook", "asked again"])
def test_strong_authentication(world: World, how: str) -> None:
    method = world.card(AUTHENTICATION)
    waiting = start(world.subs, method)
    assert isinstance(waiting, AwaitingPayment)
    assert waiting.why == "customer_action"
    assert waiting.next_action is not None
    assert waiting.payment.gateway_id is not None
    json.dumps(dict(waiting.next_action))
    world.server.authenticate(waiting.payment.gateway_id, waiting.next_action["client_secret"])
    if how == "sweep":
        world.clock.advance(hours=1)
        world.subs.sweep()
    elif how == "webhook":
        told(world, "payment_intent.succeeded", intent_of(world))
    else:
        assert isinstance(start(world.subs, method), Applied)
    assert world.subs.get("s").state == ACTIVE
    assert world.moved() == ([2000], [])


def test_authentication_that_failed_is_a_decline(world: World) -> None:
    waiting = world.start(AUTHENTICATION)
    assert isinstance(waiting, AwaitingPayment)
    assert waiting.next_action is not None
    assert waiting.payment.gateway_id is not None
    world.server.authenticate(waiting.payment.gateway_id, waiting.next_action["client_secret"], success=False)
    told(world, "payment_intent.payment_failed", intent_of(world))
    assert world.subs.get("s").state != ACTIVE
    assert world.subs.history("s")[-1].payment.code == "payment_intent_authentication_failure"  # type: ignore[union-attr]
    assert world.moved() == ([], [])


# -- cut off


@pytest.mark.parametrize("hours", [1, 25], ids=["the same day", "when the keys are forgotten"])
@pytest.mark.parametrize("call", [CREATE, CONFIRM], ids=["create", "confirm"])
@pytest.mark.parametrize("fault", ["never arrives", "answer lost", "error", "error after", "rate limit"])
def test_a_lost_answer_is_found_again_and_charged_once(world: World, fault: Fault, call: str, hours: int) -> None:
    world.server.plant(call, fault)
    waiting = world.start()
    assert isinstance(waiting, AwaitingPayment)
    assert waiting.why == "unknown"
    world.clock.advance(hours=1)
    world.server.advance(hours=hours)
    world.subs.sweep()
    assert world.subs.get("s").state == ACTIVE
    assert isinstance(world.start(), Applied)
    assert world.moved() == ([2000], [])


@pytest.mark.parametrize("fault", ["never arrives", "answer lost"])
def test_what_is_found_too_late_is_kept_if_it_was_charged_and_given_up_if_not(world: World, fault: Fault) -> None:
    world.server.plant(CONFIRM, fault)
    world.start()
    for clock in (world.clock, world.server):
        clock.advance(hours=25)
    world.subs.sweep()
    charged = fault == "answer lost"
    assert world.subs.get("s").state == (ACTIVE if charged else DELETED)
    world.subs.sweep()
    assert world.moved() == ([2000] if charged else [], [])


@pytest.mark.parametrize("fault", ["never arrives", "answer lost", "error", "error after", "rate limit"])
def test_a_refund_is_made_once(world: World, fault: Fault) -> None:
    world.start()
    world.server.plant(REFUND, fault)
    cancel(world.subs)
    for _ in range(2):
        world.clock.advance(hours=25)
        world.server.advance(hours=25)
        world.subs.sweep()
    assert not world.subs.get("s").refunds
    charged, refunded = world.moved()
    assert charged == [2000]
    assert len(refunded) == 1


@pytest.mark.slow
@pytest.mark.parametrize("hours", [0, 25], ids=["the same day", "when the keys are forgotten"])
@pytest.mark.parametrize("act", [start, cancel])
def test_dying_at_every_effect(server: StripeServer, act: Any, hours: int) -> None:
    worlds: list[World] = []

    def make() -> MortalSubscriptions:
        server.reset()
        worlds.append(World.of(server, MemoryStore()))
        if act is cancel:
            start(worlds[-1].subs)
        return worlds[-1].subs

    def check(subs: Subscriptions) -> None:
        for _ in range(2):
            server.advance(hours=hours)
            subs.sweep()
        act(subs)
        assert subs.get("s").state == (CANCELLED if act is cancel else ACTIVE)
        assert not subs.get("s").refunds
        charged, refunded = worlds[-1].moved()
        assert charged == [2000]
        assert len(refunded) == (act is cancel)

    assert crash_at_every_effect(make, act, check) >= 8


class DyingStore(MemoryStore):
    dies: str | None = None

    def remember(self, reference: str, gateway_id: str, /) -> str:
        dies, self.dies = self.dies, None
        if dies == "before":
            raise Died(reference)
        kept = super().remember(reference, gateway_id)
        if dies == "after":
            raise Died(reference)
        return kept


@pytest.mark.parametrize("hours", [1, 25])
@pytest.mark.parametrize("dies", ["before", "after"])
def test_dying_while_the_name_is_stored(server: StripeServer, dies: str, hours: int) -> None:
    store = DyingStore()
    store.dies = dies
    world = World.of(server, store)
    with pytest.raises(Died):
        world.start()
    assert world.moved() == ([], [])
    world.clock.advance(hours=1)
    server.advance(hours=hours)
    world.subs.sweep()
    assert world.subs.get("s").state == ACTIVE
    assert world.moved() == ([2000], [])


@pytest.mark.long
def test_two_sweepers_at_once_in_every_order(server: StripeServer) -> None:
    def make() -> Subscriptions:
        server.reset()
        world = World.of(server, MemoryStore())
        world.start()
        world.clock.advance(days=32)
        return world.subs

    def check(subs: Subscriptions, first: Process, second: Process) -> None:
        subs.sweep()
        assert [charge["amount"] for charge in server.charged()] == [2000, 2000]

    assert interleave(make, lambda process: process.recover(), lambda process: process.recover(), check) > 20


def test_a_payment_that_waits_is_stopped_by_the_customer_s_own_command(world: World) -> None:
    world.start()
    world.clock.advance(days=5)
    card = world.card(AUTHENTICATION)
    cancel(world.subs)
    waiting = world.subs.reactivate("s", payment_method=card, by=ALICE, idempotency_key="back")
    assert isinstance(waiting, AwaitingPayment)
    world.subs.delete("s", by=ALICE, idempotency_key="gone")
    assert world.subs.get("s").state == DELETED
    assert intent_of(world)["status"] == "canceled"


# -- webhooks


def test_a_webhook_that_comes_before_the_answer_and_twice(world: World) -> None:
    hold = world.server.hold(CONFIRM, answer=True)
    answers: list[Applied | AwaitingPayment] = []
    starting = threading.Thread(target=lambda: answers.append(world.start()))
    starting.start()
    assert hold.arrived.wait(20)
    for _ in range(2):
        told(world, "payment_intent.succeeded", intent_of(world))
        assert world.subs.get("s").state == ACTIVE
    hold.go.set()
    starting.join()
    assert isinstance(answers[0], Applied)
    told(world, "payment_intent.succeeded", intent_of(world))
    assert [entry.event for entry in world.subs.history("s") if entry.event == "applied"] == ["applied"]
    assert not world.subs.get("s").refunds
    assert world.moved() == ([2000], [])


@pytest.mark.slow
def test_the_events_that_localstripe_itself_signs_and_sends(server: StripeServer) -> None:
    world = World.of(server, MemoryStore())
    server.send_hooks()
    world.start()
    # Those of earlier tests may still be on their way.
    events = iter(lambda: server.hooks.get(timeout=20), None)
    found = next(told for told in (world.gateway.read_event(*each, SECRET) for each in events) if told is not None)
    assert found == (reference(world), world.gateway.find(reference(world)))
    version = world.subs.get("s").version
    world.subs.report_payment(*found)
    assert world.subs.get("s").version == version


def test_a_chargeback_and_its_end(world: World) -> None:
    world.start()
    id = world.store.recall(reference(world))
    metadata = {"reference": reference(world)}
    disputed = intent(id, "succeeded", metadata=metadata, latest_charge=charge(disputed=True))
    world.server.teach(f"GET /v1/payment_intents/{id}", 200, disputed)
    for kind in ("created", "funds_withdrawn"):
        told(world, f"charge.dispute.{kind}", dispute(id, "needs_response"))
    assert [debt.amount for debt in world.subs.get("s").arrears] == [EURO]
    for kind in ("closed", "funds_reinstated"):
        told(world, f"charge.dispute.{kind}", dispute(id, "won"))
    assert not world.subs.get("s").arrears
    assert world.subs.get("s").state == ACTIVE
    assert world.moved() == ([2000], [])


def test_a_second_dispute_of_a_payment_is_another(world: World) -> None:
    """Each is told by its own id, any number of times; the end of the first is not that of the second."""
    world.start()
    id = world.store.recall(reference(world))
    disputed = intent(id, "succeeded", metadata={"reference": reference(world)}, latest_charge=charge(disputed=True))
    world.server.teach(f"GET /v1/payment_intents/{id}", 200, disputed)
    first, second = {"id": "du_1"}, {"id": "du_2"}
    told(world, "charge.dispute.created", dispute(id, "needs_response", **first))
    told(world, "charge.dispute.closed", dispute(id, "won", **first))
    assert not world.subs.get("s").arrears
    for kind in ("created", "funds_withdrawn", "created"):
        told(world, f"charge.dispute.{kind}", dispute(id, "needs_response", **second))
    told(world, "charge.dispute.funds_reinstated", dispute(id, "won", **first))
    assert [debt.amount for debt in world.subs.get("s").arrears] == [EURO]
    world.server.teach("GET /v1/disputes", 200, page(dispute(id, "lost", **second), dispute(id, "won", **first)))
    assert world.gateway.find(reference(world)) == ChargedBack("du_2")
    told(world, "charge.dispute.closed", dispute(id, "lost", **second))
    assert [debt.amount for debt in world.subs.get("s").arrears] == [EURO]


def test_a_refund_that_failed_after_all_is_made_once_more(world: World) -> None:
    world.start()
    cancel(world.subs)
    made = world.server.refunded()[0]
    id = world.store.recall(reference(world))
    failed = refund(id, "failed", id=made["id"], amount=made["amount"], metadata={"reference": reference(world)})
    world.server.teach("GET /v1/refunds", 200, page(failed))
    for kind in ("refund.failed", "charge.refund.updated", "refund.failed"):
        told(world, kind, failed)
        world.subs.sweep()
    assert not world.subs.get("s").refunds
    first, second = world.server.refunded()
    assert first["amount"] == second["amount"]
    assert len({request.key for request in world.server.asked(REFUND)}) == 2
