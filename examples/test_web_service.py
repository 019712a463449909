"""The proof of `web_service.py`: buttons pressed twice, refusals, declines; webhooks early, twice and forged."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import attrs
import httpx
import pytest
from examples.web_service import USERS, demo, service, signed
from fastapi import FastAPI

from subscription_lifecycle import MONTHLY, MemoryStore, Money, PaymentMethod, Plan, Subscriptions
from subscription_lifecycle.ports import Captured
from subscription_lifecycle.testing import FakeClock, FakeGateway

SECRET = b"the provider's secret"
CARD = {"token": "tok_visa", "country": "NL"}


@attrs.define
class Client:
    """Requests as a browser or the provider sends them, without a network."""

    app: FastAPI
    subs: Subscriptions

    @property
    def gateway(self) -> FakeGateway:
        gateway: FakeGateway = self.subs.gateway
        return gateway

    def send(self, method: str, path: str, **request: Any) -> tuple[int, Any]:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
                return await client.request(method, path, **request)

        response = asyncio.run(sent())
        return response.status_code, response.json()

    def press(self, key: str, *, by: str = "alice", agreed: Any = None) -> tuple[int, Any]:
        headers = {"X-User": by, "Idempotency-Key": key}
        return self.send("POST", "/subscriptions/s1/reactivate", json={"card": CARD, "agreed": agreed}, headers=headers)

    def hear(self, event: dict[str, Any], secret: bytes = SECRET) -> tuple[int, Any]:
        body = json.dumps(event).encode()
        return self.send("POST", "/webhooks/payments", content=body, headers={"X-Signature": signed(secret, body)})

    @property
    def reference(self) -> str:
        """The last payment that was asked for, as the provider was told to call it."""
        return self.gateway.requests[-1].reference


@pytest.fixture
def client() -> Client:
    """A service with an expired subscription of contoso's."""
    clock = FakeClock("2026-01-31T09:00Z")
    subs = Subscriptions(MemoryStore(), FakeGateway(clock), clock=clock)
    plan, card = Plan("business", Money.of("20.00", "EUR"), MONTHLY), PaymentMethod.card("tok_old", country="NL")
    alice = USERS["alice"]
    subs.start(
        "s1", customer="contoso", plan=plan, payment_method=card, recurring_billing=False, by=alice, idempotency_key="0"
    )
    clock.set("2026-03-10T09:00Z")
    return Client(service(subs, SECRET), subs)


def test_the_page_offers_and_the_button_does_what_was_shown(client: Client) -> None:
    alice = {"X-User": "alice"}
    status, buttons = client.send("GET", "/subscriptions/s1/actions", headers=alice)
    assert (status, buttons["Reactivate"]["availability"]) == (200, "available")
    status, shown = client.send("POST", "/subscriptions/s1/reactivate/preview", json=CARD, headers=alice)
    assert (status, shown) == (200, {"minor": 2000, "currency": "EUR", "next_billing_date": "2026-03-31"})
    assert len(client.gateway.captures) == 1, "only the start's"
    status, body = client.press("click-1", agreed=shown)
    assert (status, body["state"], body["next_billing_date"]) == (200, "ACTIVE", "2026-03-31")
    assert client.press("click-1", agreed=shown) == (status, body), "pressed twice"
    assert len(client.gateway.captures) == 2


def test_what_was_not_agreed_to_is_not_charged(client: Client) -> None:
    cheaper = {"minor": 1000, "currency": "EUR", "next_billing_date": "2026-03-31"}
    status, body = client.press("click-1", agreed=cheaper)
    assert (status, [refusal["code"] for refusal in body["refusals"]]) == (409, ["terms_changed"])
    assert len(client.gateway.captures) == 1


def test_who_may_not_is_told_who_could(client: Client) -> None:
    status, body = client.press("click-1", by="bob")
    assert (status, body["code"], body["money"]) == (403, "refused", "untouched")
    [refusal] = body["refusals"]
    assert (refusal["code"], "billing_admin" in refusal["allowed_roles"]) == ("role.billing", True)
    assert client.press("click-1", by="eve")[0] == 403
    assert client.press("click-1", by="mallory")[0] == 401
    assert client.send("GET", "/subscriptions/s1/actions", headers={"X-User": "bob"})[1]["Reactivate"] == {
        "availability": "refused",
        "refusals": [refusal],
    }


def test_what_cannot_be_is_a_conflict(client: Client) -> None:
    client.press("click-1")
    status, body = client.press("click-2")
    assert (status, body["code"]) == (409, "not_possible")
    assert client.send("POST", "/subscriptions/s2/reactivate/preview", json=CARD, headers={"X-User": "alice"})[0] == 404


def test_a_key_belongs_to_one_command(client: Client) -> None:
    client.press("click-1")
    headers = {"X-User": "alice", "Idempotency-Key": "click-1"}
    other = {"card": CARD | {"token": "tok_other"}}
    status, body = client.send("POST", "/subscriptions/s1/reactivate", json=other, headers=headers)
    assert (status, body["code"]) == (422, "idempotency_key_reused")


def test_a_declined_card_asks_for_another_click(client: Client) -> None:
    client.gateway.decline_next(code="insufficient_funds")
    status, body = client.press("click-1")
    assert (status, body["decline"], body["repeat"]) == (402, "insufficient_funds", "new_key")
    assert client.press("click-1") == (status, body)
    assert client.press("click-2")[0] == 200
    assert len(client.gateway.captures) == 2


def test_the_customer_acts_and_the_webhook_comes_twice(client: Client) -> None:
    client.gateway.require_action_next()
    status, body = client.press("click-1")
    assert (status, body["why"], body["next_action"]["type"]) == (202, "customer_action", "redirect")
    event = {"type": "succeeded", "reference": client.reference, "payment": "ch_1", "at": "2026-03-10T09:05:00Z"}
    client.gateway.report(client.reference, Captured("ch_1", client.subs.clock()))
    assert client.hear(event) == (200, {"state": "ACTIVE"})
    written = len(client.subs.history("s1"))
    assert client.hear(event) == (200, {"state": "ACTIVE"})
    assert len(client.subs.history("s1")) == written
    assert client.press("click-1")[0] == 200, "the page asks again"
    assert len(client.gateway.captures) == 2


def test_the_webhook_comes_before_the_answer(client: Client) -> None:
    """The provider's answer is lost on its way: 202, and the webhook has told already."""
    told: list[tuple[int, Any]] = []
    capture = client.gateway.capture

    def slow(request: Any, /) -> Any:
        outcome = capture(request)
        at = client.subs.clock().isoformat()
        told.append(client.hear({"type": "succeeded", "reference": request.reference, "payment": "ch_1", "at": at}))
        return outcome

    client.gateway.capture = slow  # type: ignore[method-assign]
    status, body = client.press("click-1")
    assert told == [(200, {"state": "ACTIVE"})]
    assert (status, body["state"]) == (200, "ACTIVE")
    assert len(client.gateway.captures) == 2


def test_a_payment_that_fails_in_the_end(client: Client) -> None:
    client.gateway.process_next()
    assert client.press("click-1")[1]["why"] == "processing"
    failed = {"type": "failed", "reference": client.reference, "payment": "ch_1", "code": "expired_card"}
    assert client.hear(failed) == (200, {"state": "EXPIRED"})
    assert client.press("click-1")[0] == 402


def test_what_the_provider_did_not_sign_is_not_heard(client: Client) -> None:
    client.gateway.require_action_next()
    client.press("click-1")
    event = {"type": "succeeded", "reference": client.reference, "payment": "ch_1", "at": "2026-03-10T09:05:00Z"}
    assert client.hear(event, b"another secret")[0] == 400
    assert client.hear(event | {"type": "perhaps"})[0] == 422
    assert str(client.subs.get("s1").state) == "EXPIRED"


def test_a_payment_of_somebody_else_is_not_found(client: Client) -> None:
    event = {"type": "succeeded", "reference": "pay_elsewhere", "payment": "ch_1", "at": "2026-03-10T09:05:00Z"}
    status, body = client.hear(event)
    assert (status, body["code"]) == (404, "unknown_payment")


def test_the_demonstration_is_served() -> None:
    served = Client(demo(), Subscriptions(MemoryStore()))
    assert served.press("click-1")[1]["state"] == "ACTIVE"
