"""Who acts in these tests, what they pay with and for, and a gateway that cannot stop a payment."""

from __future__ import annotations

from typing import Any

from subscription_lifecycle import MONTHLY, Actor, Command, Money, PaymentMethod, Plan, Role, Subscriptions
from subscription_lifecycle.testing import FakeGateway

ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
SUPPORT = Actor("sam", Role.SUPPORT)
CARD = PaymentMethod.card("tok_1", country="NL")
OTHER_CARD = PaymentMethod.card("tok_2", country="NL")
BANK = PaymentMethod.bank_account("tok_3", country="NL")
TWENTY = Money.of("20.00", "EUR")
PLAN = Plan("basic", TWENTY, MONTHLY)


class NoVoid(FakeGateway):
    """It cannot stop a payment."""

    void = None  # type: ignore[assignment]


def start(subs: Subscriptions, **more: Any) -> Any:
    """Alice subscribes, by card."""
    return subs.start(
        "s", customer="contoso", plan=PLAN, payment_method=CARD, by=ALICE, idempotency_key="start", **more
    )


def do(subs: Subscriptions, command: Command, key: str, by: Actor = ALICE) -> Any:
    return subs.execute("s", command, by=by, idempotency_key=key)
