"""What every payment gateway must keep, as one plain function."""

from __future__ import annotations

from collections.abc import Callable

from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import Captured, CaptureRequest, Declined
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.ports import PaymentGateway, VoidingGateway

CARD = PaymentMethod.card("tok_visa", country="NL")


def check_gateway(
    make: Callable[[], PaymentGateway],
    *,
    method: PaymentMethod = CARD,
    declined: PaymentMethod | None = None,
    currency: str = "EUR",
) -> None:
    """Raise AssertionError, with a sentence, for a promise that a gateway of this maker does not keep.

    `method` is one that can be charged there; with `declined`, one that cannot, declines are looked at too. Needs a
    test account: money moves.
    """
    gateway, amount = make(), Money(2000, currency)
    assert gateway.find("pay_unknown") is None, "find must answer None for what was never asked for"
    _once(gateway, _request("pay_once", amount, method))
    _refund(gateway, _request("pay_refund", amount, method))
    if declined is not None:
        _decline(gateway, _request("pay_declined", amount, declined))
    if isinstance(gateway, VoidingGateway):
        assert not gateway.void("pay_once"), "void must not claim to have stopped what was captured"


def _request(reference: str, amount: Money, method: PaymentMethod) -> CaptureRequest:
    return CaptureRequest(reference, amount, method, "contoso", "sub_1", True, "check")


def _once(gateway: PaymentGateway, request: CaptureRequest) -> None:
    first = gateway.capture(request)
    assert isinstance(first, Captured), f"the payment method can be charged, and capture answered {first!r}"
    assert first.at.utcoffset() is not None, "Captured.at must be an aware instant"
    again = gateway.capture(request)
    assert again == first, "the same reference again must be the same payment"
    assert gateway.find(request.reference) == first, "find must answer by our reference, as capture did"
    other = CaptureRequest(
        request.reference, request.amount * 2, request.payment_method, "contoso", "sub_1", True, "check"
    )
    try:
        answer = gateway.capture(other)
    except Exception:
        return
    assert answer == first, "another amount under the same reference must not be charged"


def _refund(gateway: PaymentGateway, request: CaptureRequest) -> None:
    gateway.capture(request)
    part = Money(500, request.amount.currency)
    first = gateway.refund(request.reference, part)
    assert gateway.refund(request.reference, part) == first, "the same refund again must be the same refund"
    try:
        gateway.refund("pay_unknown", part)
    except Exception:
        return
    raise AssertionError("refund must raise for a payment that was never captured")


def _decline(gateway: PaymentGateway, request: CaptureRequest) -> None:
    outcome = gateway.capture(request)
    assert isinstance(outcome, Declined), f"capture must return a decline, not {outcome!r}"
    assert isinstance(gateway.find(request.reference), Declined), "find must know the decline"
