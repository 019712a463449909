"""A web service: the buttons of a customer's page, and the payment provider's webhook, with FastAPI.

Every answer is the library's own: `http_status` and `as_dict()` of an error, 200 for what is on record, 202 while the
money is open. Serve it with `uvicorn --factory examples.web_service:demo`; `test_web_service.py` drives it.

In production the store is an `SQLStore`, the gateway your provider's, `who_asks` reads your session, and cron runs
`subs.sweep()` every few minutes: a payment whose webhook never comes is then looked up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from subscription_lifecycle import (
    MONTHLY,
    Actor,
    Applied,
    AwaitingPayment,
    LifecycleError,
    MemoryStore,
    Money,
    PaymentMethod,
    Plan,
    Reactivate,
    Role,
    Subscriptions,
    Terms,
)
from subscription_lifecycle.ports import Captured, Declined, PaymentOutcome, Processing
from subscription_lifecycle.testing import FakeGateway

# -- what a request says

USERS = {
    "alice": Actor("alice", Role.BILLING_ADMIN, customer="contoso"),
    "bob": Actor("bob", customer="contoso"),
    "eve": Actor("eve", Role.BILLING_ADMIN, customer="fabrikam"),
}


def who_asks(x_user: Annotated[str, Header()]) -> Actor:
    """Here a header says so; with you, a session. A user of a customer names it: nobody reaches another's."""
    if x_user not in USERS:
        raise HTTPException(401)
    return USERS[x_user]


class Card(BaseModel):
    """The token that the provider's own form made of a card: its number never passes here."""

    token: str
    country: str


class Agreed(BaseModel):
    """What the page showed above the button, as `preview` said it."""

    minor: int
    currency: str
    next_billing_date: date


async def unread(request: Request) -> bytes:
    """A signature is of the very bytes that were sent."""
    return await request.body()


By = Annotated[Actor, Depends(who_asks)]
Body = Annotated[bytes, Depends(unread)]
Key = Annotated[str, Header(alias="Idempotency-Key")]


# -- the page


def service(subs: Subscriptions, secret: bytes) -> FastAPI:
    """The endpoints. Plain functions: FastAPI runs each in a worker thread, as a blocking store wants."""
    app = FastAPI()

    @app.exception_handler(LifecycleError)
    def refused(_: Request, error: LifecycleError) -> JSONResponse:
        return JSONResponse(error.as_dict(), error.http_status)

    @app.get("/subscriptions/{id}/actions")
    def actions(id: str, by: By) -> dict[str, Any]:
        """Which buttons the page shows, and what it says beside the others."""
        return {
            action.command.__name__: {
                "availability": action.availability,
                "refusals": [refusal.as_dict() for refusal in action.refusals],
            }
            for action in subs.actions(id, by=by)
        }

    @app.post("/subscriptions/{id}/reactivate/preview")
    def preview(id: str, card: Card, by: By) -> Agreed:
        """What the page says above the button: it is refused as the button would be, and nothing moves."""
        terms = subs.preview(id, Reactivate(paid_by(card)), by=by).terms
        due = terms.charge
        return Agreed(minor=due.minor, currency=due.currency, next_billing_date=terms.next_billing_date)

    @app.post("/subscriptions/{id}/reactivate")
    def reactivate(id: str, card: Card, by: By, key: Key, agreed: Agreed | None = None) -> JSONResponse:
        """Pressed twice, or sent again after a lost answer, it carries the same key: one payment, the same answer."""
        terms = None
        if agreed is not None:
            terms = Terms(Money(agreed.minor, agreed.currency), agreed.next_billing_date)
        outcome = subs.execute(id, Reactivate(paid_by(card)), by=by, idempotency_key=key, agreed=terms)
        return answered(outcome)

    @app.post("/webhooks/payments")
    def payments(body: Body, x_signature: Annotated[str, Header()]) -> dict[str, str]:
        """Any order, any number of times. 404: not ours; any other error: the provider sends it again, later."""
        event = verified(secret, body, x_signature)
        outcome = subs.report_payment(event["reference"], outcome_of(event))
        return {"state": str(outcome.subscription.state)}

    return app


def paid_by(card: Card) -> PaymentMethod:
    return PaymentMethod.card(card.token, country=card.country)


def answered(outcome: Applied | AwaitingPayment) -> JSONResponse:
    """200: done. 202: the money is open; "customer_action" is for the page to show, the rest ends by itself."""
    now = outcome.subscription
    body = {"state": str(now.state), "next_billing_date": now.next_billing_date.isoformat()}
    if isinstance(outcome, AwaitingPayment):
        action = None if outcome.next_action is None else dict(outcome.next_action)
        return JSONResponse(body | {"why": outcome.why, "next_action": action}, 202)
    return JSONResponse(body | {"reminders": [str(reminder) for reminder in outcome.reminders]})


# -- the webhook: with Stripe, `subscription_lifecycle.adapters.stripe` does what follows


def signed(secret: bytes, body: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def verified(secret: bytes, body: bytes, signature: str) -> Mapping[str, Any]:
    """The event, as the provider signed it: whoever can forge one has service for nothing."""
    if not hmac.compare_digest(signed(secret, body).encode(), signature.encode()):
        raise HTTPException(400, "The signature is wrong.")
    event: Mapping[str, Any] = json.loads(body)
    return event


def outcome_of(event: Mapping[str, Any]) -> PaymentOutcome:
    """What the provider's words mean. A word that is not known is an error, never a guess."""
    match event:
        case {"type": "succeeded", "payment": payment, "at": at}:
            return Captured(payment, datetime.fromisoformat(at))
        case {"type": "failed", "payment": payment, "code": code}:
            return Declined(code, gateway_id=payment)
        case {"type": "pending", "payment": payment}:
            return Processing(payment)
        case _:
            raise HTTPException(422, "This event is not understood.")


def demo() -> FastAPI:
    """With a subscription "s1" of alice's, cancelled: reactivate it."""
    alice = USERS["alice"]
    subs = Subscriptions(MemoryStore(), FakeGateway(lambda: datetime.now(UTC)))
    card, plan = PaymentMethod.card("tok_visa", country="NL"), Plan("business", Money.of("20.00", "EUR"), MONTHLY)
    subs.start("s1", customer="contoso", plan=plan, payment_method=card, by=alice, idempotency_key="1")
    subs.cancel("s1", when="now", refund="prorated", by=alice, idempotency_key="2")
    return service(subs, b"the provider's secret")
