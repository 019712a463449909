"""The suite for gateways passes on the fake one, and fails on gateways that break a promise."""

from __future__ import annotations

import attrs
import pytest

from subscription_lifecycle import Money, PaymentMethod
from subscription_lifecycle.ports import Captured, CaptureRequest, Declined, PaymentOutcome, Refunded
from subscription_lifecycle.testing import FakeGateway, check_gateway

STOLEN = PaymentMethod.card("tok_stolen", country="NL")


class Choosy(FakeGateway):
    """Declines one card."""

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        if request.payment_method == STOLEN and request.reference not in self.ledger:
            self.decline_next(code="stolen_card", retryable=False)
        return super().capture(request)


def test_the_fake_gateway_keeps_every_promise() -> None:
    check_gateway(Choosy, declined=STOLEN)


class Forgetful(Choosy):
    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        outcome = super().capture(request)
        return (
            attrs.evolve(outcome, gateway_id=f"ch_{len(self.requests)}") if isinstance(outcome, Captured) else outcome
        )


class Guessing(Choosy):
    def find(self, reference: str, /) -> PaymentOutcome | None:
        return super().find(reference) or Declined("unknown")


class Generous(Choosy):
    def refund(self, reference: str, amount: Money, /) -> Refunded:
        return Refunded("re_anything")


class Repeating(Choosy):
    def refund(self, reference: str, amount: Money, /) -> Refunded:
        super().refund(reference, amount)
        self.count = getattr(self, "count", 0) + 1
        return Refunded(f"re_{self.count}")


class Hopeful(Choosy):
    def void(self, reference: str, /) -> bool:
        return True


class Lost(Choosy):
    def find(self, reference: str, /) -> PaymentOutcome | None:
        return None


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (Forgetful, "same payment"),
        (Guessing, "never asked for"),
        (Generous, "never captured"),
        (Repeating, "same refund"),
        (Hopeful, "was captured"),
        (Lost, "by our reference"),
    ],
)
def test_a_gateway_that_breaks_a_promise_is_named(broken: type[FakeGateway], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_gateway(broken, declined=STOLEN)
