"""What will the next year of a subscription look like, if he cancels in March? Asked before anything happens.

The snapshot would come from `subs.get("sub_1")`; nothing is stored and no money moves. Run it:
`python examples/what_if.py`, or `python examples/what_if.py year.svg` for the picture.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from subscription_lifecycle import (
    MONTHLY,
    STANDARD,
    Actor,
    Cancel,
    Decision,
    MemoryStore,
    Money,
    PaymentMethod,
    Plan,
    Reactivate,
    Role,
    Subscription,
    Subscriptions,
    Timeline,
    simulate,
)
from subscription_lifecycle.ports import Captured, Declined, PaymentOutcome
from subscription_lifecycle.testing import FakeClock, FakeGateway

BOB = Actor("bob", Role.BILLING_ADMIN, customer="contoso")
CARD = PaymentMethod.card("tok_visa", country="NL")
PLAN = Plan("business", Money.of("20.00", "EUR"), MONTHLY)
BEGINS, YEAR_LATER = datetime(2026, 1, 31, 9, tzinfo=UTC), datetime(2027, 1, 31, 9, tzinfo=UTC)
IN_MARCH, IN_APRIL = datetime(2026, 3, 15, 10, tzinfo=UTC), datetime(2026, 4, 10, 10, tzinfo=UTC)


def bobs_subscription() -> Subscription:
    """As the store has it."""
    clock = FakeClock(BEGINS)
    subs = Subscriptions(MemoryStore(), FakeGateway(clock), clock=clock)
    subs.start(
        "sub_1",
        customer="contoso",
        plan=PLAN,
        payment_method=CARD,
        time_zone="Europe/Amsterdam",
        by=BOB,
        idempotency_key="start",
    )
    return subs.get("sub_1")


def if_he_cancels(subscription: Subscription) -> Timeline:
    """He cancels in March, for the end of what he paid."""
    return simulate(STANDARD, subscription, until=YEAR_LATER, commands=[(IN_MARCH, Cancel("term_end"), BOB)])


def if_he_thinks_better_of_it(subscription: Subscription) -> Timeline:
    """He cancels in March, at once and with a refund, and comes back in April."""
    commands = [(IN_MARCH, Cancel("now", refund="prorated"), BOB), (IN_APRIL, Reactivate(CARD), BOB)]
    return simulate(STANDARD, subscription, until=YEAR_LATER, commands=commands)


def if_his_card_dies(subscription: Subscription) -> Timeline:
    """From May on nothing is captured any more."""

    def payments(decision: Decision) -> PaymentOutcome:
        return Captured("ch", decision.at) if decision.at.month < 5 else Declined("expired_card", retryable=False)

    return simulate(STANDARD, subscription, until=YEAR_LATER, payments=payments)


def main(picture: str | None = None) -> None:
    subscription = bobs_subscription()
    for what_if in (if_he_cancels, if_he_thinks_better_of_it, if_his_card_dies):
        print(f"{what_if.__doc__}\n\n{what_if(subscription)}\n")
    if picture is not None:
        Path(picture).write_text(if_he_cancels(subscription).to_svg(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2])
