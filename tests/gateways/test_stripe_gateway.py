"""The gateway for Stripe alone: one charge per reference through lost answers, crashes, races and forgotten keys."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import stripe
from tests.gateways.stripe_server import Fault, StripeServer

from subscription_lifecycle import InvalidValue, MemoryStore, Money, PaymentMethod
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.adapters.stripe import StripeGateway
from subscription_lifecycle.ports import (
    ActionRequired,
    Captured,
    CaptureRequest,
    Declined,
    PaymentOutcome,
)
from subscription_lifecycle.testing import check_gateway

VISA = PaymentMethod.card("pm_card_visa", country="US")
DECLINED = "4000000000000341"
AUTHENTICATION = "4000002760003184"
EURO = Money(2000, "EUR")
ASKED = CaptureRequest("pay_1", EURO, VISA, "contoso", "sub_1", True, "basic: start")
VOIDED = Declined("voided", retryable=False)
CREATE = "POST /v1/payment_intents$"
CONFIRM = "POST /v1/payment_intents/.*/confirm"
RETRIEVE = "GET /v1/payment_intents/pi_"
REFUND = "POST /v1/refunds"


@pytest.fixture
def names() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def gateway(server: StripeServer, names: MemoryStore) -> StripeGateway:
    return StripeGateway(server.client(), names=names)


def by_card(server: StripeServer, number: str) -> CaptureRequest:
    return attrs.evolve(ASKED, payment_method=PaymentMethod.card(server.card(number), country="US"))


def raised(act: Callable[[], object]) -> Exception | None:
    try:
        act()
    except Exception as error:
        return error
    return None


def until_answered(gateway: StripeGateway, request: CaptureRequest = ASKED) -> PaymentOutcome:
    """As the engine goes on: look it up, and ask again only where there is nothing."""
    for _ in range(6):
        try:
            return gateway.find(request.reference) or gateway.capture(request)
        except stripe.StripeError:
            continue
    raise AssertionError("no answer")


# -- every promise


def test_every_promise_of_a_gateway_is_kept(server: StripeServer) -> None:
    declined = PaymentMethod.card(server.card(DECLINED), country="US")
    check_gateway(lambda: StripeGateway(server.client(), names=MemoryStore()), method=VISA, declined=declined)


def test_every_promise_is_kept_with_names_in_a_database(server: StripeServer, tmp_path: Path) -> None:
    store = SQLStore(f"sqlite:///{tmp_path / 'names.sqlite'}")
    try:
        check_gateway(lambda: StripeGateway(server.client(), names=store), method=VISA)
    finally:
        store.close()


# -- the order


class Watched(MemoryStore):
    """Dies when it is told to, before or after a name is on record."""

    dies: str | None = None

    def remember(self, reference: str, gateway_id: str, /) -> str:
        if self.dies == "before":
            raise ConnectionError("the process ended here")
        kept = super().remember(reference, gateway_id)
        if self.dies == "after":
            raise ConnectionError("the process ended here")
        return kept


@pytest.mark.parametrize("dies", ["before", "after"])
@pytest.mark.parametrize("hours", [0, 25])
def test_a_process_that_dies_while_the_name_is_stored_has_charged_nothing(
    server: StripeServer, dies: str, hours: int
) -> None:
    names = Watched()
    gateway = StripeGateway(server.client(), names=names)
    names.dies = dies
    with pytest.raises(ConnectionError):
        gateway.capture(ASKED)
    assert server.asked(CREATE)
    assert not server.asked(CONFIRM)
    assert gateway.find("pay_1") is None
    names.dies = None
    server.advance(hours=hours)
    captured = gateway.capture(ASKED)
    assert isinstance(captured, Captured)
    assert captured.gateway_id == names.recall("pay_1")
    assert server.asked(CONFIRM)[0].path == f"/v1/payment_intents/{captured.gateway_id}/confirm"
    assert len(server.charged()) == 1


def test_of_two_intents_only_the_one_on_record_is_charged(server: StripeServer, names: MemoryStore) -> None:
    """Another process, of another day, stores its name while we create ours."""

    class Late(MemoryStore):
        def recall(self, reference: str, /) -> str | None:
            return None

        def remember(self, reference: str, gateway_id: str, /) -> str:
            return names.remember(reference, gateway_id)

    gateway = StripeGateway(server.client(), names=names)
    late = StripeGateway(server.client(), names=Late())
    first = gateway.capture(ASKED)
    server.advance(hours=25)
    assert late.capture(ASKED) == first
    assert len(server.asked(CREATE)) == 2
    assert len(server.charged()) == 1
    assert [line.gateway_id for line in gateway.payments(datetime(2020, 1, 1, tzinfo=UTC))] == [names.recall("pay_1")]


# -- lost answers


@pytest.mark.parametrize("hours", [0, 25])
@pytest.mark.parametrize("call", [CREATE, CONFIRM])
@pytest.mark.parametrize("fault", ["never arrives", "answer lost", "error", "error after", "rate limit"])
def test_a_fault_is_raised_and_going_on_charges_once(
    server: StripeServer, gateway: StripeGateway, fault: Fault, call: str, hours: int
) -> None:
    server.plant(call, fault)
    with pytest.raises(stripe.StripeError):
        gateway.capture(ASKED)
    charged = call == CONFIRM and fault in ("answer lost", "error after")
    assert len(server.charged()) == charged
    server.advance(hours=hours)
    found = gateway.find("pay_1")
    assert isinstance(found, Captured) if charged else found is None
    answer = gateway.capture(ASKED)
    assert isinstance(answer, Captured)
    assert answer.amount == EURO
    assert gateway.find("pay_1") == answer
    assert len(server.charged()) == 1


@pytest.mark.parametrize("fault", ["never arrives", "error", "rate limit"])
def test_what_cannot_be_looked_up_is_not_guessed(server: StripeServer, gateway: StripeGateway, fault: Fault) -> None:
    gateway.capture(ASKED)
    server.plant(RETRIEVE, fault)
    with pytest.raises(stripe.StripeError):
        gateway.find("pay_1")
    server.plant(RETRIEVE, fault)
    with pytest.raises(stripe.StripeError):
        gateway.capture(ASKED)
    assert len(server.charged()) == 1


def test_two_faults_in_a_row(server: StripeServer, gateway: StripeGateway) -> None:
    for fault in ("error", "error after"):
        server.plant(CREATE, fault)
        server.plant(CONFIRM, fault)
    assert isinstance(until_answered(gateway), Captured)
    assert len(server.charged()) == 1


@pytest.mark.parametrize("hours", [0, 23, 25])
def test_the_same_reference_again_asks_stripe_for_no_money(
    server: StripeServer, gateway: StripeGateway, hours: int
) -> None:
    first = gateway.capture(ASKED)
    server.advance(hours=hours)
    assert gateway.capture(ASKED) == first
    assert gateway.find("pay_1") == first
    assert len(server.asked(CONFIRM)) == len(server.asked(CREATE)) == len(server.charged()) == 1


def test_a_capture_elsewhere_at_the_same_time_charges_once(server: StripeServer, names: MemoryStore) -> None:
    gateways = [StripeGateway(server.client(), names=names) for _ in range(2)]
    answers: list[PaymentOutcome] = []
    hold = server.hold(CONFIRM)
    other = threading.Thread(target=lambda: answers.append(gateways[0].capture(ASKED)))
    other.start()
    assert hold.arrived.wait(20)
    # The key is in use, so nobody knows yet.
    error = raised(lambda: gateways[1].capture(ASKED))
    assert isinstance(error, stripe.StripeError)
    assert error.http_status == 409
    hold.go.set()
    other.join()
    assert answers == [gateways[1].capture(ASKED)]
    assert len(server.charged()) == 1


@pytest.mark.parametrize("change", [{"amount": Money(4000, "EUR")}, {"amount": Money(2000, "USD")}])
@pytest.mark.parametrize("begun", ["captured", "stored"])
def test_another_amount_under_the_same_reference_is_refused_before_anything_is_charged(
    server: StripeServer, gateway: StripeGateway, change: dict[str, Any], begun: str
) -> None:
    if begun == "stored":
        server.plant(CONFIRM, "never arrives")
    raised(lambda: gateway.capture(ASKED))
    asked = len(server.asked(CONFIRM))
    with pytest.raises(InvalidValue) as refused:
        gateway.capture(attrs.evolve(ASKED, **change))
    assert refused.value.field == "amount"
    assert len(server.asked(CONFIRM)) == asked
    assert len(server.charged()) == (begun == "captured")


# -- what is asked


def test_what_stripe_is_asked(server: StripeServer) -> None:
    customer = server.object_of("POST", "/v1/customers", {"name": "Contoso"})["id"]
    gateway = StripeGateway(
        server.client(), names=MemoryStore(), customer_of=lambda _: customer, return_url="https://shop.example/back"
    )
    gateway.capture(ASKED)
    gateway.capture(attrs.evolve(ASKED, reference="pay_2", customer_present=False))
    created, confirmed = server.asked(CREATE), server.asked(CONFIRM)
    assert created[0].parameters == {
        "amount": "2000",
        "currency": "eur",
        "payment_method": "pm_card_visa",
        "payment_method_types[0]": "card",
        "description": "basic: start",
        "metadata[reference]": "pay_1",
        "metadata[subscription]": "sub_1",
        "metadata[customer]": "contoso",
        "customer": customer,
    }
    assert confirmed[0].parameters == {"expand[0]": "latest_charge", "return_url": "https://shop.example/back"}
    assert confirmed[1].parameters == {"expand[0]": "latest_charge", "off_session": "true"}
    keys = [request.key for request in server.requests if request.method == "POST"]
    assert keys == ["pay_1/create/1", "pay_1/confirm/1", "pay_2/create/1", "pay_2/confirm/1"]


@pytest.mark.parametrize(
    ("currency", "kind", "type"),
    [("EUR", "bank_account", "sepa_debit"), ("USD", "bank_account", "us_bank_account"), ("EUR", "ideal", "ideal")],
)
def test_the_kind_of_payment_method(
    server: StripeServer, gateway: StripeGateway, currency: str, kind: str, type: str
) -> None:
    method = PaymentMethod(kind, "pm_card_visa", country="NL")
    gateway.capture(attrs.evolve(ASKED, payment_method=method, amount=Money(2000, currency)))
    assert server.asked(CREATE)[0].parameters["payment_method_types[0]"] == type


@pytest.mark.parametrize(
    ("method", "currency"),
    [(PaymentMethod.invoice(country="NL"), "EUR"), (PaymentMethod.bank_account("pm_1", country="JP"), "JPY")],
)
def test_a_method_that_stripe_cannot_charge_is_refused(
    server: StripeServer, gateway: StripeGateway, method: PaymentMethod, currency: str
) -> None:
    with pytest.raises(InvalidValue):
        gateway.capture(attrs.evolve(ASKED, payment_method=method, amount=Money(2000, currency)))
    assert server.requests == []


# -- declines and strong authentication


def test_a_decline_is_returned_and_stays(server: StripeServer, gateway: StripeGateway, names: MemoryStore) -> None:
    request = by_card(server, DECLINED)
    declined = gateway.capture(request)
    assert declined == Declined("card_declined", True, names.recall("pay_1"))
    server.advance(hours=25)
    assert gateway.capture(request) == gateway.find("pay_1") == declined
    assert len(server.asked(CONFIRM)) == 1


def test_a_decline_whose_answer_was_lost(server: StripeServer, gateway: StripeGateway) -> None:
    request = by_card(server, DECLINED)
    server.plant(CONFIRM, "answer lost")
    assert isinstance(raised(lambda: gateway.capture(request)), stripe.APIConnectionError)
    assert isinstance(gateway.find("pay_1"), Declined)


@pytest.mark.parametrize("success", [True, False])
def test_strong_authentication(server: StripeServer, gateway: StripeGateway, success: bool) -> None:
    request = by_card(server, AUTHENTICATION)
    waiting = gateway.capture(request)
    assert isinstance(waiting, ActionRequired)
    assert waiting.next_action["type"] == "use_stripe_sdk"
    assert gateway.capture(request) == gateway.find("pay_1") == waiting
    assert server.charged() == []
    server.authenticate(waiting.gateway_id, waiting.next_action["client_secret"], success=success)
    ended = gateway.find("pay_1")
    if success:
        assert isinstance(ended, Captured)
    else:
        assert ended == Declined("payment_intent_authentication_failure", False, waiting.gateway_id)
    assert gateway.capture(request) == ended
    assert len(server.charged()) == success


# -- voiding


def test_what_was_never_asked_for_is_voided_for_ever(server: StripeServer, gateway: StripeGateway) -> None:
    assert gateway.void("pay_1")
    assert gateway.void("pay_1")
    assert gateway.capture(ASKED) == gateway.find("pay_1") == VOIDED
    assert server.requests == []


def test_a_capture_that_is_under_way_elsewhere_is_stopped(server: StripeServer, gateway: StripeGateway) -> None:
    answers: list[PaymentOutcome] = []
    hold = server.hold(CREATE)
    other = threading.Thread(target=lambda: answers.append(gateway.capture(ASKED)))
    other.start()
    assert hold.arrived.wait(20)
    assert gateway.void("pay_1")
    hold.go.set()
    other.join()
    assert answers == [VOIDED]
    assert server.charged() == []
    assert list(gateway.payments(datetime(2020, 1, 1, tzinfo=UTC))) == []


def test_a_payment_that_waits_is_voided(server: StripeServer, gateway: StripeGateway) -> None:
    request = by_card(server, AUTHENTICATION)
    waiting = gateway.capture(request)
    assert gateway.void("pay_1")
    assert gateway.void("pay_1")
    assert gateway.capture(request) == gateway.find("pay_1") == attrs.evolve(VOIDED, gateway_id=waiting.gateway_id)


def test_an_intent_that_was_never_confirmed_is_voided(server: StripeServer, gateway: StripeGateway) -> None:
    server.plant(CONFIRM, "never arrives")
    raised(lambda: gateway.capture(ASKED))
    assert gateway.void("pay_1")
    assert isinstance(gateway.capture(ASKED), Declined)
    assert server.charged() == []


def test_a_capture_that_came_first_is_not_voided(server: StripeServer, gateway: StripeGateway) -> None:
    server.plant(CONFIRM, "answer lost")
    raised(lambda: gateway.capture(ASKED))
    assert not gateway.void("pay_1")
    server.plant("/cancel", "never arrives")
    assert isinstance(raised(lambda: gateway.void("pay_1")), stripe.APIConnectionError)


def test_a_void_that_came_between_is_found_by_the_capture(server: StripeServer, gateway: StripeGateway) -> None:
    """The intent was cancelled after the capture had looked at it."""
    hold = server.hold(CONFIRM)
    answers: list[PaymentOutcome] = []
    capture = threading.Thread(target=lambda: answers.append(gateway.capture(ASKED)))
    capture.start()
    assert hold.arrived.wait(20)
    assert gateway.void("pay_1")
    hold.go.set()
    capture.join()
    assert isinstance(answers[0], Declined)
    assert answers[0].code == "voided"
    assert server.charged() == []


# -- refunds


@pytest.mark.parametrize("fault", ["never arrives", "answer lost", "error after", "rate limit"])
@pytest.mark.parametrize("hours", [0, 25])
def test_a_refund_is_made_once(server: StripeServer, gateway: StripeGateway, fault: Fault, hours: int) -> None:
    gateway.capture(ASKED)
    server.plant(REFUND, fault)
    with pytest.raises(stripe.StripeError):
        gateway.refund("pay_1", Money(500, "EUR"))
    server.advance(hours=hours)
    first = gateway.refund("pay_1", Money(500, "EUR"))
    server.advance(hours=25)
    assert gateway.refund("pay_1", Money(500, "EUR")) == first
    assert [(refund["id"], refund["amount"]) for refund in server.refunded()] == [(first.gateway_id, 500)]


def test_after_an_error_of_stripe_s_own_a_refund_is_asked_for_under_no_other_key(
    server: StripeServer, gateway: StripeGateway
) -> None:
    gateway.capture(ASKED)
    server.plant(REFUND, "error")
    for _ in range(2):
        assert isinstance(raised(lambda: gateway.refund("pay_1", EURO)), stripe.APIError)
    assert {request.key for request in server.asked(REFUND)} == {"pay_1/refund/0/1"}
    server.advance(hours=25)
    gateway.refund("pay_1", EURO)
    assert len(server.refunded()) == 1


def test_a_refund_that_was_refused_may_be_asked_for_again_the_same_day(
    server: StripeServer, gateway: StripeGateway
) -> None:
    gateway.capture(ASKED)
    server.teach(REFUND, 400, {"error": {"type": "invalid_request_error", "code": "balance_insufficient"}}, once=True)
    assert isinstance(raised(lambda: gateway.refund("pay_1", EURO)), stripe.InvalidRequestError)
    gateway.refund("pay_1", EURO)
    assert len(server.refunded()) == 1


def test_a_refund_that_failed_is_made_again_under_another_key(server: StripeServer, gateway: StripeGateway) -> None:
    gateway.capture(ASKED)
    failed = {
        "id": "re_failed",
        "object": "refund",
        "amount": 2000,
        "currency": "eur",
        "status": "failed",
        "failure_reason": "lost_or_stolen_card",
        "metadata": {"reference": "pay_1"},
    }
    server.teach("GET /v1/refunds", 200, {"object": "list", "data": [failed], "has_more": False, "url": "/v1/refunds"})
    gateway.refund("pay_1", EURO)
    assert server.asked(REFUND)[0].key == "pay_1/refund/1/1"
    server.teach(REFUND, 200, failed)
    server.advance(hours=25)
    with pytest.raises(RuntimeError, match="lost_or_stolen_card"):
        gateway.refund("pay_1", EURO)


def test_a_refund_made_by_hand_is_not_taken_for_ours(server: StripeServer, gateway: StripeGateway) -> None:
    captured = gateway.capture(ASKED)
    assert isinstance(captured, Captured)
    server.object_of("POST", "/v1/refunds", {"payment_intent": captured.gateway_id, "amount": "500"})
    gateway.refund("pay_1", Money(500, "EUR"))
    assert [refund["amount"] for refund in server.refunded()] == [500, 500]


@pytest.mark.parametrize("state", ["never asked", "voided", "waits", "declined"])
def test_nothing_is_refunded_where_nothing_was_captured(
    server: StripeServer, gateway: StripeGateway, state: str
) -> None:
    if state == "voided":
        gateway.void("pay_1")
    elif state != "never asked":
        gateway.capture(by_card(server, AUTHENTICATION if state == "waits" else DECLINED))
    with pytest.raises(InvalidValue, match="nothing was captured"):
        gateway.refund("pay_1", EURO)
    assert not server.asked(REFUND)


def test_another_refund_than_before_or_more_than_was_captured_is_refused(
    server: StripeServer, gateway: StripeGateway
) -> None:
    gateway.capture(ASKED)
    with pytest.raises(InvalidValue, match="more than was captured"):
        gateway.refund("pay_1", EURO + Money(1, "EUR"))
    gateway.refund("pay_1", Money(500, "EUR"))
    with pytest.raises(InvalidValue, match="another amount"):
        gateway.refund("pay_1", Money(501, "EUR"))
    assert [refund["amount"] for refund in server.refunded()] == [500]


# -- the ledger


def test_the_ledger_lists_every_payment_of_ours_and_nothing_else(server: StripeServer, gateway: StripeGateway) -> None:
    server.page = 2
    for number in range(5):
        gateway.capture(attrs.evolve(ASKED, reference=f"pay_{number}", amount=Money(1000 + number, "EUR")))
    gateway.refund("pay_3", Money(300, "EUR"))
    gateway.capture(attrs.evolve(by_card(server, DECLINED), reference="pay_declined"))
    server.plant(CONFIRM, "never arrives")
    raised(lambda: gateway.capture(attrs.evolve(ASKED, reference="pay_unconfirmed")))
    stranger = {"amount": "9900", "currency": "eur", "payment_method": "pm_card_visa", "confirm": "true"}
    server.object_of("POST", "/v1/payment_intents", stranger)
    tenant = {"metadata[reference]": "order_1", "capture_method": "manual"}
    server.object_of("POST", "/v1/payment_intents", stranger | tenant)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    lines = {line.reference: line for line in gateway.payments(long_ago)}
    assert set(lines) == {"pay_0", "pay_1", "pay_2", "pay_3", "pay_4", "pay_declined"}
    assert lines["pay_2"].captured == Money(1002, "EUR")
    assert lines["pay_2"].refunded == Money(0, "EUR")
    assert lines["pay_3"].refunded == Money(300, "EUR")
    assert lines["pay_3"].outcome == gateway.find("pay_3")
    assert lines["pay_3"].gateway_id == gateway.names.recall("pay_3")
    assert lines["pay_declined"].captured == Money(0, "EUR")
    assert isinstance(lines["pay_declined"].outcome, Declined)
    assert list(gateway.payments(max(line.at for line in lines.values()) + timedelta(seconds=1))) == []
