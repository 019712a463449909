"""Objects of Stripe's in the form that its API reference shows, for what localstripe cannot do."""

from __future__ import annotations

from typing import Any

CHARGED_AT = 1_706_000_000


def charge(**changes: Any) -> dict[str, Any]:
    return {
        "id": "ch_3OyT",
        "object": "charge",
        "amount": 2000,
        "amount_captured": 2000,
        "amount_refunded": 0,
        "created": CHARGED_AT,
        "currency": "eur",
        "disputed": False,
        "paid": True,
        "refunded": False,
        "status": "succeeded",
    } | changes


def intent(id: str, status: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "payment_intent",
        "amount": 2000,
        "amount_capturable": 0,
        "amount_received": 2000 if status == "succeeded" else 0,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{id}_secret_1",
        "created": CHARGED_AT - 60,
        "currency": "eur",
        "customer": None,
        "last_payment_error": None,
        "latest_charge": charge() if status == "succeeded" else None,
        "livemode": False,
        "metadata": {"reference": "pay_1", "subscription": "sub_1", "customer": "contoso"},
        "next_action": None,
        "payment_method": "pm_1",
        "payment_method_types": ["card"],
        "status": status,
    } | changes


def card_error(code: str, decline_code: str | None = None, advice_code: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"type": "card_error", "code": code, "message": "Your card was declined.", "charge": "ch_1"}
    if decline_code is not None:
        error["decline_code"] = decline_code
    if advice_code is not None:
        error["advice_code"] = advice_code
    return error


def dispute(payment_intent: str | None, status: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": "du_1OyT",
        "object": "dispute",
        "amount": 2000,
        "charge": "ch_3OyT",
        "created": CHARGED_AT + 86_400,
        "currency": "eur",
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": payment_intent,
        "reason": "fraudulent",
        "status": status,
    } | changes


def refund(payment_intent: str, status: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": "re_1OyT",
        "object": "refund",
        "amount": 2000,
        "charge": "ch_3OyT",
        "created": CHARGED_AT + 3600,
        "currency": "eur",
        "metadata": {"reference": "pay_1"},
        "payment_intent": payment_intent,
        "reason": None,
        "status": status,
    } | changes


def event(type: str, about: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "evt_1OyT",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": CHARGED_AT + 1,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
    }


def page(*found: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "url": "/v1/disputes", "has_more": False, "data": list(found)}
