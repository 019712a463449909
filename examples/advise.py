"""Advice only: keep your own tables and jobs, and ask the standard lifecycle what may be done and what follows.

Nothing here stores a subscription or moves money but the code of the host. Run it: `python examples/advise.py`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from subscription_lifecycle import (
    ACTIVE,
    DISABLED,
    EXPIRED,
    MONTHLY,
    NON_PAYMENT,
    STANDARD,
    Actor,
    Applied,
    BillingPeriod,
    BillingSchedule,
    Cause,
    Debt,
    Money,
    PaymentMethod,
    Plan,
    Reactivate,
    Role,
    State,
    Subscription,
)
from subscription_lifecycle.ports import Captured

Row = dict[str, str]

DATABASE: dict[str, Row] = {
    "s1": {"customer": "contoso", "status": "lapsed", "next_bill": "2026-02-28"},
    "s2": {"customer": "contoso", "status": "suspended", "next_bill": "2026-03-31"},
}
"""The host's own table, with the host's own words."""

STATUSES: dict[str, tuple[State, tuple[Cause, ...]]] = {
    "live": (ACTIVE, ()),
    "lapsed": (EXPIRED, ()),
    "suspended": (DISABLED, (NON_PAYMENT,)),
}
PLAN = Plan("business", Money.of("20.00", "EUR"), MONTHLY)
SCHEDULE = BillingSchedule(date(2026, 1, 31), MONTHLY)


def subscription(id: str, row: Row) -> Subscription:
    """What the host's row says, in the library's words."""
    state, causes = STATUSES[row["status"]]
    billed_until = date.fromisoformat(row["next_bill"])
    last = SCHEDULE.dates(date(2026, 1, 31), 12)
    start = max(day for day in last if day < billed_until)
    unpaid = Debt(BillingPeriod(start, billed_until), PLAN.price, start)
    return Subscription(
        id=id,
        customer=row["customer"],
        plan=PLAN,
        state=state,
        causes=causes,
        interrupted=ACTIVE if causes else None,
        schedule=SCHEDULE,
        next_billing_date=billed_until,
        paid_through=start if causes else billed_until,
        term_start=start,
        term_end=billed_until,
        arrears=(unpaid,) if causes else (),
        recurring_billing=False,
    )


def reactivate(id: str, method: PaymentMethod, by: Actor, now: datetime) -> Money:
    """The host's own endpoint: it asks, charges by its own means, and writes its own row."""
    decision = STANDARD.decide(subscription(id, DATABASE[id]), Reactivate(method), by=by, at=now)
    print(f"{id}: {decision}")
    charged = Captured("charged by the host", now)
    outcome = decision.apply(charged)
    assert isinstance(outcome, Applied)
    DATABASE[id] |= {"status": "live", "next_bill": outcome.subscription.next_billing_date.isoformat()}
    return decision.terms.charge


def main() -> None:
    alice = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
    bob = Actor("bob", customer="contoso")
    card = PaymentMethod.card("tok_visa", country="NL")
    now = datetime(2026, 3, 10, 9, tzinfo=UTC)

    for refusal in STANDARD.explain(subscription("s1", DATABASE["s1"]), Reactivate(card), by=bob, at=now):
        print(f"s1: no. {refusal}")
    assert reactivate("s1", card, alice, now) == PLAN.price
    assert reactivate("s2", card, alice, now) == PLAN.price
    assert DATABASE["s1"]["next_bill"] == "2026-03-31", "expired: extended by the month that is paid for"
    assert DATABASE["s2"]["next_bill"] == "2026-03-31", "unpaid: what is owed is paid, and the date stays"


def test_the_example_runs() -> None:
    main()


if __name__ == "__main__":
    main()
