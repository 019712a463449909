"""What became of money that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment_method import PaymentMethod


def _action(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidValue("next_action", f"{validation.brief(value)} is not a mapping", "Pass JSON for your page.")
    return frozen_mapping(validation.json_value("next_action", value))


@attrs.frozen
class CaptureRequest:
    """One payment to take. `reference` is ours: the idempotency key, and the name by which it is found again."""

    reference: str
    amount: Money
    payment_method: PaymentMethod
    customer: str
    subscription: str
    customer_present: bool
    description: str


@attrs.frozen
class Captured:
    """The money came, at the gateway's own instant. `amount` is what came; None: what was asked for."""

    gateway_id: str = attrs.field(validator=validation.name)
    at: datetime = attrs.field(validator=validation.an_instant)
    amount: Money | None = attrs.field(default=None, validator=validation.optional(validation.a(Money)))


@attrs.frozen
class Declined:
    """The money did not come. `retryable`: the same method may succeed later (a soft decline)."""

    code: str = attrs.field(validator=validation.name)
    retryable: bool = attrs.field(default=True, validator=validation.a(bool))
    gateway_id: str | None = attrs.field(default=None, validator=validation.optional(validation.name))


@attrs.frozen
class ActionRequired:
    """The customer must act first (strong authentication); `next_action` is for the page that asks them."""

    gateway_id: str = attrs.field(validator=validation.name)
    next_action: Mapping[str, Any] = attrs.field(factory=dict, converter=_action, hash=False)


@attrs.frozen
class Processing:
    """The money is on its way, for days perhaps (a bank debit)."""

    gateway_id: str = attrs.field(validator=validation.name)


@attrs.frozen
class ChargedBack:
    """The customer's bank took captured money back."""

    gateway_id: str = attrs.field(validator=validation.name)


@attrs.frozen
class ChargebackReversed:
    """A chargeback was undone: the money is here again."""

    gateway_id: str = attrs.field(validator=validation.name)


@attrs.frozen
class Refunded:
    """The gateway took the refund on."""

    gateway_id: str = attrs.field(validator=validation.name)


@attrs.frozen
class RefundFailed:
    """A refund that the gateway had taken on did not reach the customer: it is owed to them again."""

    gateway_id: str = attrs.field(validator=validation.name)
    code: str = attrs.field(default="failed", validator=validation.name)


PaymentOutcome = Captured | Declined | ActionRequired | Processing | ChargedBack | ChargebackReversed | RefundFailed
"""What a gateway can say of a payment."""


PaymentStatus = Literal["captured", "declined", "customer_action", "processing", "unknown", "submitted", "mismatched"]


@attrs.frozen
class Payment:
    """A payment as it stands: our reference, what was asked, and what is known.

    "submitted": service runs on a debit that is under way. "mismatched": `captured` came, which is not what was asked.
    """

    reference: str
    amount: Money
    method: PaymentMethod
    status: PaymentStatus
    gateway_id: str | None = None
    at: datetime | None = None
    code: str | None = None
    retryable: bool = False
    next_action: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    captured: Money | None = None
