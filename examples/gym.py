"""A gym's memberships: the standard lifecycle, and a freeze of its own. Nothing of the library is touched.

A member who is away freezes the membership for at most ninety days. It thaws by itself, or earlier by hand; the paid
days that were frozen become credit. Run it: `python examples/gym.py`. Its proof is `test_gym.py`.
"""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import attrs

from subscription_lifecycle import (
    ACTIVE,
    DELETED,
    MONTHLY,
    PAST_DUE,
    STANDARD,
    Access,
    Actor,
    Charge,
    Command,
    Context,
    Delete,
    MemoryStore,
    Money,
    PaymentMethod,
    Plan,
    Role,
    State,
    Subscriptions,
    Transition,
    guard,
)
from subscription_lifecycle.standard import (
    FailPayment,
    deadline,
    end_of_service,
    is_reported,
    may_manage_billing,
    may_manage_billing_or_is_due,
    owe_what_was_paid,
    renews_today,
    retries,
    term_from_today,
)
from subscription_lifecycle.testing import FakeClock, FakeGateway

FROZEN = State("frozen", access=Access.NONE)


@attrs.frozen
class Freeze(Command):
    """Stop the membership for some days."""

    days: int


@attrs.frozen
class Thaw(Command):
    """Start it again."""


@guard("freeze.too_long", "A freeze lasts at most 90 days.", remedy="Ask for fewer.", reads_command=True)
def at_most_90_days(context: Context[Freeze]) -> bool:
    return context.command.days <= 90


@guard("freeze.too_short", "A freeze lasts at least a day.", remedy="Ask for more.", reads_command=True)
def at_least_a_day(context: Context[Freeze]) -> bool:
    return context.command.days >= 1


def frozen_days(context: Context[Thaw]) -> Charge:
    """The paid days that were frozen are credit: the next renewals use it up."""
    membership = context.subscription
    assert membership.since is not None
    frozen_on = membership.since.astimezone(ZoneInfo(membership.time_zone)).date()
    days = (min(context.today, membership.paid_through) - frozen_on).days
    period = membership.schedule.period_containing(frozen_on)
    return Charge(credits=membership.price.prorated(max(days, 0), period.days))


GYM = STANDARD.extend(
    Transition(Freeze, ACTIVE, FROZEN, guards=[may_manage_billing, at_most_90_days, at_least_a_day],
               until=lambda context: context.today + timedelta(days=context.command.days)),
    Transition(Thaw, FROZEN, ACTIVE, date="ahead", guards=[may_manage_billing_or_is_due], due=deadline,
               charge=frozen_days, declined=PAST_DUE, until=end_of_service),
    Transition(Thaw, FROZEN, ACTIVE, date="passed", guards=[may_manage_billing_or_is_due], due=deadline,
               charge=frozen_days, declined=PAST_DUE, billing_date=renews_today, commitment=term_from_today,
               until=end_of_service),
    Transition(Delete, FROZEN, DELETED, guards=[may_manage_billing], interrupts=True),
    Transition(FailPayment, FROZEN, PAST_DUE, guards=[is_reported], until=retries, effects=[owe_what_was_paid]),
    name="gym",
)  # fmt: skip


PLAN = Plan("membership", Money.of("31.00", "EUR"), MONTHLY)
MIA = Actor("mia", Role.BILLING_ADMIN, customer="mia")
CARD = PaymentMethod.card("tok_visa", country="NL")


def main() -> None:
    clock, gateway = FakeClock("2026-03-01T09:00Z"), FakeGateway()
    subs = Subscriptions(MemoryStore(), gateway, lifecycle=GYM, clock=clock)
    subs.start("m1", customer="mia", plan=PLAN, payment_method=CARD, by=MIA, idempotency_key="1")
    clock.advance(days=10)
    for refusal in subs.explain("m1", Freeze(days=100), by=MIA):
        print(f"refused: {refusal}")
    subs.execute("m1", Freeze(days=40), by=MIA, idempotency_key="3")
    clock.set("2026-04-20T06:00Z")
    subs.sweep()
    for entry in subs.history("m1"):
        print(entry)
    assert subs.get("m1").state is ACTIVE
    assert subs.get("m1").next_billing_date == date(2026, 5, 20)
    assert [capture.amount for capture in gateway.captures] == [Money.of("31.00", "EUR"), Money.of("10.00", "EUR")]


if __name__ == "__main__":
    main()
