"""A small service on SQLite: what its web handlers and its cron line call. Run it: `python examples/sqlite_service.py`.

In production the gateway is your payment provider's, the clock is left out, and cron runs `sweep` every few minutes:

    */5 * * * *  python -c "from service import subs; subs.sweep()"
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from subscription_lifecycle import (
    MONTHLY,
    Actor,
    Applied,
    AwaitingPayment,
    Entry,
    LifecycleError,
    Money,
    PaymentMethod,
    Plan,
    Reactivate,
    Role,
    Subscriptions,
    Terms,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.testing import FakeClock, FakeGateway

PLAN = Plan("business", Money.of("20.00", "EUR"), MONTHLY)

Answer = tuple[int, dict[str, Any]]


class Service:
    """Three endpoints and a job."""

    def __init__(self, database: Path, gateway: FakeGateway, clock: FakeClock) -> None:
        self.mails: list[str] = []
        self.store = SQLStore(f"sqlite:///{database}")
        self.subs = Subscriptions(self.store, gateway, clock=clock, listeners=[self.tell])

    def tell(self, entry: Entry) -> None:
        """Heard after the fact, at least once."""
        self.mails.append(str(entry))

    def sign_up(self, id: str, by: Actor, method: PaymentMethod, key: str) -> Answer:
        try:
            outcome = self.subs.start(
                id, customer=by.customer or id, plan=PLAN, payment_method=method, by=by, idempotency_key=key
            )
        except LifecycleError as error:
            return error.http_status, error.as_dict()
        return self.answer(outcome)

    def offer(self, id: str, by: Actor, method: PaymentMethod) -> Terms:
        """What the page shows above the button."""
        return self.subs.preview(id, Reactivate(method), by=by).terms

    def reactivate(self, id: str, by: Actor, method: PaymentMethod, key: str, agreed: Terms | None) -> Answer:
        try:
            outcome = self.subs.reactivate(id, payment_method=method, by=by, idempotency_key=key, agreed=agreed)
        except LifecycleError as error:
            return error.http_status, error.as_dict()
        return self.answer(outcome)

    def answer(self, outcome: Applied | AwaitingPayment) -> Answer:
        """200: done. 202: the money is open, and the customer may have to act."""
        body = {"state": str(outcome.subscription.state), "next_bill": str(outcome.subscription.next_billing_date)}
        if isinstance(outcome, AwaitingPayment):
            return 202, body | {"why": outcome.why, "next_action": outcome.next_action}
        return 200, body | {"reminders": [str(reminder) for reminder in outcome.reminders]}


def main() -> None:
    alice = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
    card = PaymentMethod.card("tok_visa", country="NL")
    clock, gateway = FakeClock("2026-01-31T09:00Z"), FakeGateway()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder) / "service.sqlite", gateway, clock)
        print(service.sign_up("sub_1", alice, card, "click-1"))
        service.subs.set_recurring_billing("sub_1", on=False, by=alice, idempotency_key="click-2")

        clock.set("2026-03-10T06:00Z")
        print(service.subs.sweep())

        terms = service.offer("sub_1", alice, card)
        print(terms)
        gateway.decline_next()
        status, body = service.reactivate("sub_1", alice, card, "click-3", terms)
        print(status, body["message"])
        assert (status, body["money"], body["repeat"]) == (402, "untouched", "new_key")

        status, body = service.reactivate("sub_1", alice, card, "click-4", terms)
        print(status, body)
        assert (status, body["state"], body["next_bill"]) == (200, "ACTIVE", "2026-03-31")
        assert service.reactivate("sub_1", alice, card, "click-4", terms) == (status, body), "the same click again"
        assert len(gateway.captures) == 2
        service.subs.sweep()
        print("\n".join(service.mails))
        assert len(service.mails) == len(service.subs.history("sub_1"))
        service.store.close()


def test_the_example_runs() -> None:
    main()


if __name__ == "__main__":
    main()
