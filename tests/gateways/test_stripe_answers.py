"""What Stripe's answers and events mean, by payloads in its documented form.

Localstripe has no disputes, decline codes, advice codes, authentication_required for absent customers, bank debits that
are processed for days, failing refunds, requires_capture without asking for it: none of these is seen from a running
server here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe
from tests.gateways.stripe_payloads import CHARGED_AT, card_error, charge, dispute, event, intent, page, refund
from tests.gateways.stripe_server import SECRET, StripeServer, signed

from subscription_lifecycle import InvalidValue, MemoryStore, Money, PaymentMethod
from subscription_lifecycle.adapters.stripe import StripeGateway, from_stripe, to_stripe
from subscription_lifecycle.model.currencies import EXPONENTS
from subscription_lifecycle.ports import (
    ActionRequired,
    Captured,
    CaptureRequest,
    ChargebackReversed,
    ChargedBack,
    Declined,
    PaymentOutcome,
    Processing,
    RefundFailed,
)

VISA = PaymentMethod.card("pm_card_visa", country="US")
ASKED = CaptureRequest("pay_1", Money(2000, "EUR"), VISA, "contoso", "sub_1", False, "renew")
CONFIRM = "POST /v1/payment_intents/.*/confirm"
PI = "pi_3OyT"
DISPUTE = "du_1OyT"
CAPTURED = Captured(PI, datetime.fromtimestamp(CHARGED_AT, UTC), Money(2000, "EUR"))


@pytest.fixture
def gateway(server: StripeServer) -> StripeGateway:
    """It knows one payment, pay_1, by its intent."""
    names = MemoryStore()
    names.remember("pay_1", PI)
    return StripeGateway(server.client(), names=names)


def teach(server: StripeServer, found: dict[str, Any]) -> None:
    server.teach(f"GET /v1/payment_intents/{found['id']}", 200, found)


# -- answers


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (card_error("card_declined", "insufficient_funds"), "insufficient_funds", True),
        (card_error("card_declined", "generic_decline"), "generic_decline", True),
        (card_error("card_declined", "do_not_honor"), "do_not_honor", True),
        (card_error("card_declined", "do_not_honor", "do_not_try_again"), "do_not_honor", False),
        (card_error("card_declined", "do_not_honor", "confirm_card_data"), "do_not_honor", False),
        (card_error("card_declined", "do_not_honor", "try_again_later"), "do_not_honor", True),
        (card_error("card_declined", "lost_card"), "lost_card", False),
        (card_error("card_declined", "stolen_card"), "stolen_card", False),
        (card_error("card_declined", "pickup_card"), "pickup_card", False),
        (card_error("card_declined", "invalid_account"), "invalid_account", False),
        (card_error("card_declined", "revocation_of_all_authorizations"), "revocation_of_all_authorizations", False),
        (card_error("expired_card"), "expired_card", False),
        (card_error("incorrect_number"), "incorrect_number", False),
        (card_error("processing_error"), "processing_error", True),
        (card_error("authentication_required", "authentication_required"), "authentication_required", False),
    ],
)
def test_a_decline(server: StripeServer, error: dict[str, Any], code: str, retryable: bool) -> None:
    gateway = StripeGateway(server.client(), names=MemoryStore())
    server.teach(CONFIRM, 402, {"error": error})
    answer = gateway.capture(ASKED)
    id = gateway.names.recall("pay_1")
    assert answer == Declined(code, retryable, id)
    assert id is not None
    teach(server, intent(id, "requires_payment_method", payment_method=None, last_payment_error=error))
    assert gateway.find("pay_1") == gateway.capture(ASKED) == answer
    assert len(server.asked(CONFIRM)) == 1


def test_a_method_that_is_gone_is_a_decline(server: StripeServer) -> None:
    gateway = StripeGateway(server.client(), names=MemoryStore())
    error = {"type": "invalid_request_error", "code": "resource_missing", "param": "payment_method", "message": "No."}
    server.teach("POST /v1/payment_intents$", 400, {"error": error})
    assert gateway.capture(ASKED) == Declined("resource_missing", retryable=False)
    assert gateway.find("pay_1") is None


@pytest.mark.parametrize(
    ("code", "param"),
    [
        ("amount_too_small", "amount"),
        ("resource_missing", "customer"),
        # The host says whose method it is, and said it wrong: no reason to decline its customers' payments.
        ("payment_method_customer_mismatch", "payment_method"),
    ],
)
def test_a_request_that_is_wrong_otherwise_is_raised(server: StripeServer, code: str, param: str) -> None:
    gateway = StripeGateway(server.client(), names=MemoryStore())
    error = {"type": "invalid_request_error", "code": code, "param": param, "message": "No."}
    server.teach("POST /v1/payment_intents$", 400, {"error": error})
    with pytest.raises(stripe.InvalidRequestError):
        gateway.capture(ASKED)


ACTION = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example/3ds", "return_url": None}}


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (intent(PI, "succeeded"), CAPTURED),
        (
            intent(PI, "succeeded", amount_received=1500, latest_charge=charge(amount_captured=1500)),
            Captured(PI, datetime.fromtimestamp(CHARGED_AT, UTC), Money(1500, "EUR")),
        ),
        (intent(PI, "processing"), Processing(PI)),
        (
            intent(PI, "requires_action", next_action=ACTION),
            ActionRequired(PI, {**ACTION, "client_secret": f"{PI}_secret_1"}),
        ),
        (intent(PI, "canceled", cancellation_reason="automatic"), Declined("voided", False, PI)),
        (intent(PI, "requires_confirmation"), None),
        (intent(PI, "requires_payment_method"), None),
    ],
    ids=["captured", "less captured", "processing", "action", "canceled", "not confirmed", "no method"],
)
def test_how_an_intent_stands(
    server: StripeServer, gateway: StripeGateway, found: dict[str, Any], outcome: PaymentOutcome | None
) -> None:
    teach(server, found)
    assert gateway.find("pay_1") == outcome
    if outcome is not None:
        assert gateway.capture(ASKED) == outcome
        assert not server.asked(CONFIRM)


@pytest.mark.parametrize("status", ["requires_capture", "requires_reauthorization"])
def test_a_status_that_is_not_known_is_raised(server: StripeServer, gateway: StripeGateway, status: str) -> None:
    teach(server, intent(PI, status))
    asks: tuple[Callable[[], object], ...] = (lambda: gateway.find("pay_1"), lambda: gateway.capture(ASKED))
    for ask in asks:
        with pytest.raises(InvalidValue, match=status):
            ask()
    assert not server.asked(CONFIRM)


def test_a_confirmed_intent_that_stands_as_if_it_were_not_is_raised(server: StripeServer) -> None:
    gateway = StripeGateway(server.client(), names=MemoryStore())
    server.teach(CONFIRM, 200, intent(PI, "requires_payment_method"))
    with pytest.raises(InvalidValue, match="was confirmed"):
        gateway.capture(ASKED)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("needs_response", ChargedBack(DISPUTE)),
        ("under_review", ChargedBack(DISPUTE)),
        ("lost", ChargedBack(DISPUTE)),
        ("prevented", ChargedBack(DISPUTE)),
        ("won", CAPTURED),
        ("warning_needs_response", CAPTURED),
        ("warning_closed", CAPTURED),
    ],
)
def test_a_disputed_payment(server: StripeServer, gateway: StripeGateway, status: str, outcome: PaymentOutcome) -> None:
    teach(server, intent(PI, "succeeded", latest_charge=charge(disputed=True)))
    server.teach("GET /v1/disputes", 200, page(dispute(PI, status)))
    assert gateway.find("pay_1") == outcome
    assert server.asked("GET /v1/disputes")[0].parameters == {"payment_intent": PI}


# -- events


def test_a_signature_that_does_not_belong_is_refused(gateway: StripeGateway) -> None:
    payload, signature = signed(event("payment_intent.succeeded", intent(PI, "succeeded")))
    for body, header, secret in (
        (payload.replace(b"2000", b"9000"), signature, SECRET),
        (payload, signature, "whsec_other"),
        (payload, signature.replace("v1=", "v0="), SECRET),
        (payload, "", SECRET),
        (b"\xff" + payload, signature, SECRET),
        signed(event("payment_intent.succeeded", intent(PI, "succeeded")), at=1_000_000_000) + (SECRET,),
    ):
        with pytest.raises(stripe.SignatureVerificationError):
            gateway.read_event(body, header, secret)


def read(gateway: StripeGateway, kind: str, about: dict[str, Any]) -> tuple[str, PaymentOutcome] | None:
    return gateway.read_event(*signed(event(kind, about)), SECRET)


@pytest.mark.parametrize(
    ("kind", "found", "outcome"),
    [
        ("succeeded", intent(PI, "succeeded"), CAPTURED),
        ("processing", intent(PI, "processing"), Processing(PI)),
        (
            "requires_action",
            intent(PI, "requires_action", next_action=ACTION),
            ActionRequired(PI, {**ACTION, "client_secret": f"{PI}_secret_1"}),
        ),
        (
            "payment_failed",
            intent(PI, "requires_payment_method", last_payment_error=card_error("card_declined", "lost_card")),
            Declined("lost_card", False, PI),
        ),
        ("canceled", intent(PI, "canceled"), Declined("voided", False, PI)),
    ],
)
def test_an_event_of_an_intent(
    server: StripeServer, gateway: StripeGateway, kind: str, found: dict[str, Any], outcome: PaymentOutcome
) -> None:
    teach(server, found)
    # In an event the charge is an id.
    told = found | {"latest_charge": "ch_3OyT"}
    assert read(gateway, f"payment_intent.{kind}", told) == ("pay_1", outcome)


def test_an_event_that_was_overtaken_tells_how_the_payment_stands_now(
    server: StripeServer, gateway: StripeGateway
) -> None:
    """The customer's second card worked: the first one's decline is no reason to end the payment."""
    teach(server, intent(PI, "succeeded"))
    failed = intent(PI, "requires_payment_method", last_payment_error=card_error("card_declined", "lost_card"))
    assert read(gateway, "payment_intent.payment_failed", failed) == ("pay_1", CAPTURED)


def test_an_event_that_cannot_be_looked_up_is_raised(server: StripeServer, gateway: StripeGateway) -> None:
    server.plant("GET /v1/payment_intents/", "never arrives")
    with pytest.raises(stripe.APIConnectionError):
        read(gateway, "payment_intent.succeeded", intent(PI, "succeeded"))


@pytest.mark.parametrize(
    ("kind", "status", "outcome"),
    [
        ("created", "needs_response", ChargedBack(DISPUTE)),
        ("funds_withdrawn", "needs_response", ChargedBack(DISPUTE)),
        ("closed", "lost", ChargedBack(DISPUTE)),
        ("closed", "won", ChargebackReversed(DISPUTE)),
        ("funds_reinstated", "won", ChargebackReversed(DISPUTE)),
        ("funds_reinstated", "under_review", ChargebackReversed(DISPUTE)),
        # What had been refunded before is given back: the rest of it is lost.
        ("funds_reinstated", "lost", ChargedBack(DISPUTE)),
        ("created", "warning_needs_response", None),
        ("closed", "warning_closed", None),
        ("updated", "needs_response", None),
    ],
)
def test_an_event_of_a_dispute(
    server: StripeServer, gateway: StripeGateway, kind: str, status: str, outcome: PaymentOutcome | None
) -> None:
    teach(server, intent(PI, "succeeded"))
    told = read(gateway, f"charge.dispute.{kind}", dispute(PI, status))
    assert told == (None if outcome is None else ("pay_1", outcome))


@pytest.mark.parametrize("kind", ["refund.failed", "refund.updated", "charge.refund.updated"])
@pytest.mark.parametrize("status", ["failed", "canceled", "succeeded", "pending"])
def test_an_event_of_a_refund(gateway: StripeGateway, kind: str, status: str) -> None:
    told = read(gateway, kind, refund(PI, status, failure_reason="declined" if status == "failed" else None))
    if status == "failed":
        assert told == ("pay_1", RefundFailed("re_1OyT", "declined"))
    elif status == "canceled":
        assert told == ("pay_1", RefundFailed("re_1OyT", "canceled"))
    else:
        assert told is None


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("customer.created", {"id": "cus_1", "object": "customer"}),
        ("payment_intent.created", intent(PI, "requires_confirmation")),
        ("payment_intent.succeeded", intent("pi_stranger", "succeeded", metadata={})),
        ("payment_intent.succeeded", intent("pi_other_system", "succeeded", metadata={"reference": "pay_2"})),
        # Created and never charged, because another one was on record: somebody tidied up.
        ("payment_intent.canceled", intent("pi_not_on_record", "canceled")),
        ("charge.dispute.created", dispute("pi_stranger", "needs_response")),
        ("charge.dispute.created", dispute(None, "needs_response")),
        ("refund.failed", refund(PI, "failed", metadata={})),
        ("refund.failed", refund("pi_other", "failed")),
        ("refund.failed", refund(PI, "failed", metadata=None)),
    ],
)
def test_an_event_that_is_none_of_ours(
    server: StripeServer, gateway: StripeGateway, kind: str, about: dict[str, Any]
) -> None:
    teach(server, intent("pi_stranger", "succeeded", metadata={}))
    assert read(gateway, kind, about) is None


# -- amounts


@pytest.mark.parametrize(
    ("money", "amount"),
    [
        (Money.of("20.00", "EUR"), 2000),
        (Money.of(500, "JPY"), 500),
        (Money.of("5.00", "MGA"), 5),
        (Money.of(5, "ISK"), 500),
        (Money.of(5, "UGX"), 500),
        (Money.of("10.45", "HUF"), 1045),
        (Money.of("800.45", "TWD"), 80045),
        (Money.of("5.120", "KWD"), 5120),
        (Money.zero("KWD"), 0),
    ],
    ids=str,
)
def test_amounts_in_stripe_s_units(money: Money, amount: int) -> None:
    assert to_stripe(money) == amount
    assert from_stripe(amount, money.currency.lower()) == money


@pytest.mark.parametrize(
    "money",
    [Money.of("5.124", "KWD"), Money.of("5.50", "MGA"), Money(1, "CLF"), Money(1, "IQD"), Money(1, "UYI")],
    ids=str,
)
def test_what_stripe_cannot_take_exactly_is_refused(server: StripeServer, money: Money) -> None:
    gateway = StripeGateway(server.client(), names=MemoryStore())
    with pytest.raises(InvalidValue):
        to_stripe(money)
    with pytest.raises(InvalidValue):
        gateway.capture(CaptureRequest("pay_1", money, VISA, "contoso", "sub_1", False, "renew"))
    assert server.requests == []


def test_a_part_of_a_minor_unit_from_stripe_is_refused() -> None:
    with pytest.raises(InvalidValue):
        from_stripe(550, "isk")


def test_every_other_currency_is_in_minor_units() -> None:
    special = {"ISK", "MGA", "UGX"}
    known = [code for code, decimals in EXPONENTS.items() if decimals in (0, 2) and code not in special | {"UYI"}]
    assert len(known) > 150
    assert [code for code in known if to_stripe(Money(700, code)) != 700 or from_stripe(700, code).minor != 700] == []
