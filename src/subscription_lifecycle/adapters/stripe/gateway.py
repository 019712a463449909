"""Stripe: one PaymentIntent per payment, and only the one whose id is on record is ever confirmed.

Stripe forgets idempotency keys after a day and its search lags behind; an intent's id does neither. So the id is stored
under our reference before the intent is confirmed, and from then on the payment is asked for by that id: however often
a capture is repeated, and however late, it can charge once, because an intent can succeed once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import stripe

from subscription_lifecycle.adapters.stripe.amounts import from_stripe, to_stripe
from subscription_lifecycle.adapters.stripe.answers import (
    DISPUTE_EVENTS,
    INTENT_EVENTS,
    NOT_REFUNDED,
    REFUND_EVENTS,
    Answer,
    declined,
    dispute_outcome,
    outcome_of,
    received,
    reference_of,
    refund_failed,
    takes_money,
)
from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    Captured,
    CaptureRequest,
    ChargedBack,
    Declined,
    PaymentOutcome,
    Refunded,
)
from subscription_lifecycle.model.payment_method import BANK_ACCOUNT
from subscription_lifecycle.ports import LedgerLine, RememberingStore

MOST_KEYS: Final = 10

VOIDED: Final = "voided"
"""The name of a payment that was voided before it had an intent: no capture can give it another one."""

DEBITS: Final[Mapping[str, str]] = {
    "AUD": "au_becs_debit",
    "CAD": "acss_debit",
    "EUR": "sepa_debit",
    "GBP": "bacs_debit",
    "USD": "us_bank_account",
}
"""How a bank account is debited, by currency."""


class StripeGateway:
    """Takes money through PaymentIntents; `names` is the store (SQLStore) that keeps their ids.

    A payment method's token is the id of a Stripe PaymentMethod. A saved one belongs to a Stripe customer:
    `customer_of` answers whose, from the request. `return_url` is where strong authentication by redirect comes back.
    Pass a `StripeClient` of your own for timeouts, an API version or an account; give it a timeout shorter than your
    sweep. Its network retries are safe: every call that moves money carries a key.

    Whatever Stripe does not answer for certain is raised: network failures, rate limits, its own errors, a status that
    is not known here. Then `find` says what became of it.
    """

    idempotency_window: timedelta | None = None

    def __init__(
        self,
        client_or_api_key: stripe.StripeClient | str,
        *,
        names: RememberingStore,
        customer_of: Callable[[CaptureRequest], str | None] | None = None,
        return_url: str | None = None,
    ) -> None:
        if isinstance(client_or_api_key, str):
            client_or_api_key = stripe.StripeClient(client_or_api_key, max_network_retries=0)
        self.client = client_or_api_key
        self.names = names
        self._customer_of = customer_of
        self._return_url = return_url

    # -- taking money

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        """Charge the stored intent; without one, create it, store its id, and only then charge it.

        An intent that was charged, declined or cancelled is answered for, not charged again. Raises InvalidValue
        (`amount`) for another amount under the same reference, and for one that Stripe cannot take; then nothing moved.
        """
        to_stripe(request.amount)
        stored, intent = self.names.recall(request.reference), None
        if stored is None:
            try:
                intent = self._create(request)
            except stripe.InvalidRequestError as error:
                if (error.code, error.param) != ("resource_missing", "payment_method"):
                    raise
                # There is no such method any more: nothing was created, so there is nothing to charge.
                return Declined("resource_missing", retryable=False)
            stored = self.names.remember(request.reference, intent["id"])
        if stored == VOIDED:
            return Declined("voided", retryable=False)
        if intent is None or intent["id"] != stored:
            intent = self._intent(stored)
        asked = from_stripe(intent["amount"], intent["currency"])
        if asked != request.amount:
            raise InvalidValue(
                "amount",
                f"{request.reference} was asked for with {asked}, not {request.amount}",
                "Use a new reference.",
            )
        return self._outcome(intent) or self._confirm(stored, request)

    def find(self, reference: str, /) -> PaymentOutcome | None:
        """How the payment stands. None: it was never confirmed, so it was never charged."""
        stored = self.names.recall(reference)
        if stored is None:
            return None
        if stored == VOIDED:
            return Declined("voided", retryable=False)
        return self._outcome(self._intent(stored))

    def void(self, reference: str, /) -> bool:
        """True: no capture of this reference, running now or later, takes money.

        An intent is cancelled, and Stripe cancels none that was or is being charged. Where there is none yet, the name
        is taken: a capture elsewhere that has created one finds it taken when it stores the id, and does not charge.
        """
        stored = self.names.recall(reference) or self.names.remember(reference, VOIDED)
        if stored == VOIDED:
            return True
        try:
            intent = _json(self.client.v1.payment_intents.cancel(stored))
        except stripe.InvalidRequestError:
            intent = self._intent(stored)
        return bool(intent["status"] == "canceled")

    def _create(self, request: CaptureRequest) -> Answer:
        method = request.payment_method
        if method.token is None:
            raise InvalidValue("payment_method", f"{method} has no token", "Pass the id of a Stripe PaymentMethod.")
        kind = DEBITS.get(request.amount.currency) if method.kind == BANK_ACCOUNT else method.kind
        if kind is None:
            raise InvalidValue(
                "payment_method",
                f"bank accounts are not debited in {request.amount.currency}",
                "Choose another payment method.",
            )
        asked: dict[str, Any] = {
            "amount": to_stripe(request.amount),
            "currency": request.amount.currency.lower(),
            "payment_method": method.token,
            "payment_method_types": [kind],
            "description": request.description,
            "metadata": {
                "reference": request.reference,
                "subscription": request.subscription,
                "customer": request.customer,
            },
        }
        customer = self._customer_of(request) if self._customer_of else None
        if customer is not None:
            asked["customer"] = customer
        create = self.client.v1.payment_intents.create
        # However many are created: the one whose id is stored is charged.
        return self._ask(
            f"{request.reference}/create", lambda options: create(cast(Any, asked), options), repeatable=True
        )

    def _confirm(self, id: str, request: CaptureRequest) -> PaymentOutcome:
        asked: dict[str, Any] = {"expand": ["latest_charge"]}
        if not request.customer_present:
            asked["off_session"] = True
        elif self._return_url is not None:
            asked["return_url"] = self._return_url
        confirm = self.client.v1.payment_intents.confirm
        try:
            # However often it is confirmed: an intent succeeds once.
            intent = self._ask(
                f"{request.reference}/confirm", lambda options: confirm(id, cast(Any, asked), options), repeatable=True
            )
        except stripe.CardError as error:
            body = cast(Any, error.json_body)
            return declined(body["error"], id)
        except stripe.InvalidRequestError:
            # Confirmed or cancelled elsewhere meanwhile?
            outcome = self._outcome(self._intent(id))
            if outcome is None:
                raise
            return outcome
        outcome = self._outcome(intent)
        if outcome is None:
            raise InvalidValue("status", f"{id} was confirmed and is {intent['status']}", "Look it up at Stripe.")
        return outcome

    def _ask(self, key: str, ask: Callable[[stripe.RequestOptions], Any], *, repeatable: bool) -> Answer:
        """Stripe goes on answering a key with the error that it first met, for a day; another key asks anew.

        Only where that moves nothing twice: the error was a refusal, or it is `repeatable` whatever became of it.
        """
        for number in range(1, MOST_KEYS):
            try:
                return _json(ask({"idempotency_key": f"{key}/{number}"}))
            except stripe.CardError:
                raise
            except stripe.StripeError as error:
                replayed = (error.headers or {}).get("idempotent-replayed") == "true"
                refused = error.http_status is not None and error.http_status < 500
                if not (replayed and (repeatable or refused)):
                    raise
        return _json(ask({"idempotency_key": f"{key}/{MOST_KEYS}"}))

    # -- giving it back

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        """One refund of this payment: asked again, after any time, it is the same; one that failed is made anew.

        Raises InvalidValue when nothing was captured, it is more than was captured, or another amount was refunded.
        """
        stored = self.names.recall(reference)
        if stored is None or stored == VOIDED:
            raise InvalidValue("reference", f"nothing was captured under {reference}", "Refund what was captured.")
        intent = self._intent(stored)
        if intent["status"] != "succeeded":
            raise InvalidValue("reference", f"nothing was captured under {reference}", "Refund what was captured.")
        if amount > received(intent):
            raise InvalidValue("amount", f"{amount} is more than was captured", "Refund at most that.")
        failed = 0
        for made in self._refunds(stored):
            if reference_of(made) != reference:
                continue
            if made["status"] in NOT_REFUNDED:
                failed += 1
            elif from_stripe(made["amount"], made["currency"]) != amount:
                raise InvalidValue("amount", f"another amount of {reference} was refunded", "Repeat that amount.")
            else:
                return Refunded(made["id"])
        asked: dict[str, Any] = {
            "payment_intent": stored,
            "amount": to_stripe(amount),
            "metadata": {"reference": reference},
        }
        create = self.client.v1.refunds.create
        # After an error of Stripe's own the refund may have been made: not repeatable.
        made = self._ask(
            f"{reference}/refund/{failed}", lambda options: create(cast(Any, asked), options), repeatable=False
        )
        if made["status"] in NOT_REFUNDED:
            raise RuntimeError(f"the refund {made['id']} of {reference} failed: {made.get('failure_reason')}")
        return Refunded(made["id"])

    def _refunds(self, id: str) -> Iterable[Answer]:
        found = self.client.v1.refunds.list({"payment_intent": id, "limit": 100})
        return map(_json, found.auto_paging_iter())

    # -- the ledger

    def payments(self, since: datetime, /) -> Iterable[LedgerLine]:
        """Every payment of ours that was asked for at or after that instant, to the second; a page per request."""
        found = self.client.v1.payment_intents.list(
            {"created": {"gte": int(since.timestamp())}, "limit": 100, "expand": ["data.latest_charge"]}
        )
        for intent in map(_json, found.auto_paging_iter()):
            # The account may have other tenants, and they may speak of references too.
            reference = reference_of(intent) if "subscription" in intent["metadata"] else None
            outcome = self._outcome(intent) if reference else None
            if reference is None or outcome is None:
                continue
            charge = intent.get("latest_charge") or {}
            refunded = from_stripe(charge.get("amount_refunded") or 0, intent["currency"])
            at = datetime.fromtimestamp(intent["created"], UTC)
            yield LedgerLine(reference, intent["id"], outcome, received(intent), refunded, at)

    # -- what Stripe's answers mean

    def _intent(self, id: str) -> Answer:
        return _json(self.client.v1.payment_intents.retrieve(id, {"expand": ["latest_charge"]}))

    def _outcome(self, intent: Answer) -> PaymentOutcome | None:
        outcome = outcome_of(intent)
        if isinstance(outcome, Captured) and intent["latest_charge"].get("disputed"):
            disputes = self.client.v1.disputes.list({"payment_intent": intent["id"]})
            for dispute in map(_json, disputes.auto_paging_iter()):
                if takes_money(dispute):
                    return ChargedBack(dispute["id"])
        return outcome

    # -- webhooks

    def read_event(
        self, payload: bytes, signature: str, secret: str, *, tolerance: int = 300
    ) -> tuple[str, PaymentOutcome] | None:
        """What a webhook tells: our reference and its outcome, for `subs.report_payment(*told)`. None: nothing of ours.

        `payload` is the body as it came, `signature` the header Stripe-Signature, `secret` the endpoint's, `tolerance`
        its greatest age in seconds. Raises stripe.SignatureVerificationError when they do not belong together, and
        stripe.StripeError when Stripe must be asked and does not answer: have it send the event again.
        """
        stripe.WebhookSignature.verify_header(payload.decode(errors="replace"), signature, secret, tolerance)
        event = json.loads(payload)
        kind, about = event["type"], event["data"]["object"]
        if kind in INTENT_EVENTS and self._is_ours(about, about["id"]):
            # Events arrive late and in any order: this one is the occasion, how the payment stands now is the answer.
            intent = self._intent(about["id"])
            outcome = self._outcome(intent)
        elif kind in DISPUTE_EVENTS and about.get("payment_intent"):
            intent = self._intent(about["payment_intent"])
            outcome = dispute_outcome(kind, about) if self._is_ours(intent, intent["id"]) else None
        elif kind in REFUND_EVENTS and about["status"] in NOT_REFUNDED:
            intent = about
            outcome = refund_failed(about) if self._is_ours(about, about["payment_intent"]) else None
        else:
            return None
        reference = reference_of(intent)
        return (reference, outcome) if reference and outcome else None

    def _is_ours(self, found: Answer, intent: str) -> bool:
        """Whether the payment goes by that intent: another one of the same reference is never confirmed."""
        reference = reference_of(found)
        return reference is not None and self.names.recall(reference) == intent


def _json(found: Any) -> Answer:
    # The text of an object is its JSON in every version; its conversion to a dict is not the same in all.
    return cast(Answer, json.loads(str(found)))
