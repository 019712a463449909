"""Wrong uses of the public face: each marked line must be rejected by mypy and by pyright, and no other line."""

from datetime import UTC, date, datetime

import attrs

from subscription_lifecycle import (
    ACTIVE,
    EXPIRED,
    MONTHLY,
    STANDARD,
    Access,
    Actor,
    Cancel,
    Charge,
    Command,
    Context,
    MemoryStore,
    Money,
    PaymentMethod,
    Period,
    Plan,
    Reactivate,
    Role,
    State,
    Subscription,
    Subscriptions,
    Transition,
    guard,
)

now = datetime(2026, 1, 31, 9, tzinfo=UTC)
price = Money(2000, "EUR")
plan = Plan("business", price, MONTHLY)
card = PaymentMethod.card("tok_visa", country="NL")
alice = Actor("alice", Role.BILLING_ADMIN)
subs = Subscriptions(MemoryStore())
FROZEN = State("frozen", access=Access.NONE)


@attrs.frozen
class Freeze(Command):
    until: date


@guard("freeze.too_late", "A freeze starts before June.", remedy="Choose an earlier date.", reads_command=True)
def before_june(context: Context[Freeze]) -> bool:
    return context.command.until < date(2026, 6, 1)


def one_freeze(context: Context[Freeze]) -> Charge:
    return Charge()


# values
Money(20.5, "EUR")  # E: wrong
total = price + 5  # E: wrong
cheap = price < 5  # E: wrong
Period(1, "fortnight")  # E: wrong
Plan("business", 2000, MONTHLY)  # E: wrong
PaymentMethod.card("tok_visa")  # E: wrong

# commands
Cancel()  # E: wrong
Cancel(when="never")  # E: wrong
Cancel(when="now", refund="some")  # E: wrong
Reactivate(payment_method="tok_visa")  # E: wrong

# with a store
subs.reactivate("sub_1", payment_method=card, idempotency_key="click-1")  # E: wrong
subs.reactivate("sub_1", payment_method=card, by=alice)  # E: wrong
subs.start("sub_1", customer="contoso", plan="business", by=alice, idempotency_key="click-1")  # E: wrong
subs.execute("sub_1", Cancel, by=alice, idempotency_key="click-1")  # E: wrong


def change(subscription: Subscription) -> None:
    subscription.state = EXPIRED  # E: wrong
    STANDARD.decide(subscription, Cancel(when="now"), by=alice)  # E: wrong
    STANDARD.decide(subscription, "cancel", by=alice, at=now)  # E: wrong


# rows
Transition(Freeze, ACTIVE, "frozen")  # E: wrong
Transition(Freeze(until=date(2026, 6, 1)), ACTIVE, FROZEN)  # E: wrong
Transition(Freeze, ACTIVE, FROZEN, term="later")  # E: wrong
Transition(Cancel, ACTIVE, FROZEN, guards=[before_june])  # E: wrong
Transition(Cancel, ACTIVE, FROZEN, charge=one_freeze)  # E: wrong
Transition(Cancel, "active", FROZEN)  # E: wrong
