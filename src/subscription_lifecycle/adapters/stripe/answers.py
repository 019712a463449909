"""What Stripe's answers and events mean, as functions of their JSON alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from subscription_lifecycle.adapters.stripe.amounts import from_stripe
from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    ChargebackReversed,
    ChargedBack,
    Declined,
    PaymentOutcome,
    Processing,
    RefundFailed,
)

Answer = Mapping[str, Any]
"""An object of Stripe's, as JSON."""

NOT_REFUNDED: Final = frozenset({"failed", "canceled"})

INTENT_EVENTS: Final = frozenset(
    f"payment_intent.{name}" for name in ("succeeded", "payment_failed", "processing", "requires_action", "canceled")
)
DISPUTE_EVENTS: Final = frozenset(
    f"charge.dispute.{name}" for name in ("created", "funds_withdrawn", "closed", "funds_reinstated")
)
REFUND_EVENTS: Final = frozenset({"refund.failed", "refund.updated", "charge.refund.updated"})

_HARD = """
    account_closed authentication_required bank_account_restricted bank_account_unusable bank_ownership_changed
    card_not_supported currency_not_supported debit_not_authorized do_not_try_again expired_card fraudulent
    highest_risk_level incorrect_cvc incorrect_number incorrect_zip invalid_account invalid_account_number
    invalid_cvc invalid_expiry_month invalid_expiry_year invalid_number lost_card merchant_blacklist
    new_account_information_available no_account payment_intent_authentication_failure pickup_card restricted_card
    revocation_of_all_authorizations revocation_of_authorization security_violation service_not_allowed stolen_card
    stop_payment_order transaction_not_allowed
"""

HARD_DECLINES: Final = frozenset(_HARD.split())
"""Codes for which Stripe advises another payment method, other data or the customer's presence, not another try."""


def reference_of(found: Answer) -> str | None:
    """Our name of a payment, written on the intent and on its refund when they were made."""
    return (found.get("metadata") or {}).get("reference")


def outcome_of(intent: Answer) -> PaymentOutcome | None:
    """How an intent with its charge stands, disputes apart. None: it was not charged yet.

    Raises InvalidValue (`status`) for a status that no payment of ours comes to.
    """
    id = intent["id"]
    match intent["status"]:
        case "succeeded":
            at = datetime.fromtimestamp(intent["latest_charge"]["created"], UTC)
            return Captured(id, at, received(intent))
        case "processing":
            return Processing(id)
        case "requires_action":
            return ActionRequired(id, {**(intent["next_action"] or {}), "client_secret": intent["client_secret"]})
        case "canceled":
            return Declined("voided", retryable=False, gateway_id=id)
        case "requires_confirmation" | "requires_payment_method":
            error = intent.get("last_payment_error")
            return declined(error, id) if error else None
        case status:
            raise InvalidValue("status", f"{id} is {status}, which is not known here", "Look it up at Stripe.")


def declined(error: Answer, id: str) -> Declined:
    """Stripe's advice decides whether to try again; where it gives none, the code does."""
    code = error.get("decline_code") or error.get("code") or "card_declined"
    advice = error.get("advice_code")
    retryable = code not in HARD_DECLINES if advice is None else advice == "try_again_later"
    return Declined(code, retryable, id)


def received(intent: Answer) -> Money:
    return from_stripe(intent["amount_received"], intent["currency"])


def dispute_outcome(kind: str, dispute: Answer) -> PaymentOutcome | None:
    """What an event of a dispute tells of the payment's money, by the dispute's own id; None: nothing has moved.

    Of a dispute that was lost Stripe reinstates what had been refunded before, no more.
    """
    reinstated = kind == "charge.dispute.funds_reinstated" and dispute["status"] != "lost"
    if reinstated or dispute["status"] == "won":
        return ChargebackReversed(dispute["id"])
    return ChargedBack(dispute["id"]) if takes_money(dispute) else None


def takes_money(dispute: Answer) -> bool:
    """An inquiry ("warning_…") takes none; a dispute that was won gave it back."""
    status: str = dispute["status"]
    return status != "won" and not status.startswith("warning_")


def refund_failed(refund: Answer) -> RefundFailed:
    return RefundFailed(refund["id"], refund.get("failure_reason") or refund["status"])
