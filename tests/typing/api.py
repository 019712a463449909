"""Right uses of the public face. Checked by mypy and pyright, never run."""

from datetime import UTC, date, datetime, timedelta
from typing import assert_type

import attrs

from subscription_lifecycle import (
    ACTIVE,
    DELETED,
    MONTHLY,
    STANDARD,
    Access,
    Action,
    Actor,
    Applied,
    AwaitingPayment,
    BillingPeriod,
    BillingSchedule,
    Cancel,
    Command,
    Context,
    Decision,
    Difference,
    Due,
    Entry,
    Finding,
    MemoryStore,
    Money,
    PaymentMethod,
    Period,
    Plan,
    Reactivate,
    Refusal,
    Role,
    State,
    Subscription,
    Subscriptions,
    SweepReport,
    Transition,
    guard,
)
from subscription_lifecycle.standard import may_manage_billing
from subscription_lifecycle.testing import FakeClock, FakeGateway, lifecycle_machine

now = datetime(2026, 1, 31, 9, tzinfo=UTC)
alice = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
card = PaymentMethod.card("tok_visa", country="NL")
debit = PaymentMethod.bank_account("tok_iban", country="NL")
invoice = PaymentMethod.invoice(country="NL")

# values
price = Money(2000, "EUR")
assert_type(price + price, Money)
assert_type(price > Money.of("19.99", "EUR"), bool)
plan = Plan("business", price, MONTHLY, term=Period(1, "year"))
schedule = BillingSchedule(date(2026, 1, 31), MONTHLY, month_end="sticky")
assert_type(schedule.next_date(after=date(2026, 2, 1)), date)
assert_type(schedule.period_containing(date(2026, 2, 1)), BillingPeriod)

# with a store
subs = Subscriptions(MemoryStore(), FakeGateway(), clock=FakeClock("2026-01-31T09:00Z"))
subs.start("sub_1", customer="contoso", plan=plan, payment_method=card, by=alice, idempotency_key="click-1")
subs.cancel("sub_1", when="now", refund="prorated", by=alice, idempotency_key="click-2")
subs.execute("sub_1", Cancel(when=date(2026, 6, 1)), by=alice, idempotency_key="click-3")
preview = subs.preview("sub_1", Reactivate(payment_method=card), by=alice)
outcome = subs.reactivate("sub_1", payment_method=card, by=alice, idempotency_key="click-4", agreed=preview.terms)
assert_type(outcome, Applied | AwaitingPayment)
assert_type(outcome.subscription, Subscription)
assert_type(subs.get("sub_1"), Subscription)
assert_type(subs.access("sub_1"), Access)
assert_type(subs.sweep(limit=100), SweepReport)
assert_type(subs.reconcile(now).differences, tuple[Difference, ...])
assert_type(subs.health(limit=10).findings, tuple[Finding, ...])
entries: list[Entry] = list(subs.history("sub_1"))

# without a store
subscription = subs.get("sub_1")
assert_type(STANDARD.decide(subscription, Reactivate(payment_method=debit), by=alice, at=now), Decision)
assert_type(STANDARD.explain(subscription, Cancel(when="term_end"), by=alice, at=now), tuple[Refusal, ...])
assert_type(STANDARD.actions(subscription, by=alice, at=now), tuple[Action, ...])
assert_type(STANDARD.due(subscription), Due | None)

# extending
FROZEN = State("frozen", access=Access.NONE)


@attrs.frozen
class Freeze(Command):
    until: date


@guard("freeze.too_long", "A freeze lasts at most 90 days.", remedy="Choose an earlier date.", reads_command=True)
def at_most_90_days(context: Context[Freeze]) -> bool:
    return context.command.until <= context.today + timedelta(days=90)


GYM = STANDARD.extend(
    Transition(Freeze, ACTIVE, FROZEN, guards=[may_manage_billing, at_most_90_days]),
    Transition(Cancel, FROZEN, DELETED, guards=[may_manage_billing]),
)
subs.execute("sub_1", Freeze(until=date(2026, 6, 1)), by=alice, idempotency_key="click-5")
TestGym = lifecycle_machine(GYM).TestCase
