"""Recorded lives: what the engine itself writes, for stores to be tried on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from subscription_lifecycle.adapters.memory import MemoryStore
from subscription_lifecycle.engine.subscriptions import Subscriptions
from subscription_lifecycle.errors import PaymentDeclined
from subscription_lifecycle.model.actor import Actor, Role
from subscription_lifecycle.model.charge import Debt
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import Captured, CaptureRequest, PaymentOutcome, Refunded
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.plan import Plan
from subscription_lifecycle.model.schedule import MONTHLY, YEARLY, BillingPeriod, BillingSchedule, Period
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Store, Write
from subscription_lifecycle.standard.states import PAST_DUE
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway

SUPPORT = Actor("sam", (Role.SUPPORT, Role.BILLING_ADMIN))
ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
CARD = PaymentMethod.card("tok_card", country="NL", expires=date(2030, 12, 31))
BANK = PaymentMethod.bank_account("tok_bank", country="NL")
INVOICE = PaymentMethod.invoice(country="NL")
BASIC = Plan("basic", Money(2000, "EUR"), MONTHLY)
TERMED = Plan("termed", Money(1999, "EUR"), MONTHLY, term=YEARLY)
TRIAL = Plan("trial", Money(500, "JPY"), MONTHLY, trial=Period(14, "day"))


class RecordingStore(MemoryStore):
    """Keeps every write as it came."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[Write] = []

    def write(self, write: Write, /) -> None:
        super().write(write)
        self.writes.append(write)


class _Gateway(FakeGateway):
    """Declines every payment of some subscriptions, and from some time on takes no refund."""

    declines: frozenset[str] = frozenset()
    refunds_fail = False

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        if request.subscription in self.declines and request.reference not in self.ledger:
            self.decline_next(code="expired_card", retryable=False)
        return super().capture(request)

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        if self.refunds_fail:
            raise TimeoutError("the gateway did not answer")
        return super().refund(reference, amount)


class Recorded:
    """Writes in the order they were made; `keys` are the idempotency keys, each with its subscription."""

    def __init__(self, writes: Sequence[Write]) -> None:
        self.writes = tuple(writes)
        self.ids = tuple(dict.fromkeys(write.subscription.id for write in writes))
        self.keys = tuple(
            dict.fromkeys((answer.key, write.subscription.id) for write in writes for answer in write.answers)
        )

    def of(self, id: str) -> list[Write]:
        return [write for write in self.writes if write.subscription.id == id]


def recorded_lives() -> Recorded:
    store = RecordingStore()
    live(store)
    return Recorded(store.writes)


def live(store: Store) -> Subscriptions:
    """Lives that meet every state, every kind of payment, debts, credit, refunds and claims."""
    clock = FakeClock("2024-01-31T09:00Z")
    gateway = _Gateway(clock)
    subs = Subscriptions(store, gateway, clock=clock)
    _begin(subs, gateway, clock)
    gateway.declines = frozenset({"by_card", "elsewhere"})
    for _ in range(9):
        clock.advance(days=7)
        subs.sweep()
    gateway.declines = frozenset()
    _go_on(subs, clock)
    gateway.refunds_fail = True
    subs.start("refunding", customer="contoso", plan=BASIC, payment_method=CARD, by=ALICE, idempotency_key="start")
    subs.cancel("refunding", when="now", refund="full", by=SUPPORT, idempotency_key="cancel")
    gateway.process_next()
    subs.start("open", customer="contoso", plan=BASIC, payment_method=CARD, by=ALICE, idempotency_key="start")
    return subs


def _begin(subs: Subscriptions, gateway: FakeGateway, clock: FakeClock) -> None:
    gateway.require_action_next()
    waits = subs.start("waits", customer="contoso", plan=BASIC, payment_method=CARD, by=ALICE, idempotency_key="start")
    subs.start("by_card", customer="contoso", plan=TERMED, payment_method=CARD, by=ALICE, idempotency_key="start")
    subs.start("by_bank", customer="fabrikam", plan=BASIC, payment_method=BANK, by=SUPPORT, idempotency_key="start")
    subs.start("trial", customer="contoso", plan=TRIAL, payment_method=CARD, by=ALICE, idempotency_key="start")
    for id, customer in (("by_invoice", "contoso"), ("invoiced_too", "fabrikam")):
        subs.start(id, customer=customer, plan=BASIC, payment_method=INVOICE, by=SUPPORT, idempotency_key=f"{id} start")
    gateway.decline_next()
    try:
        subs.start("declined", customer="contoso", plan=BASIC, payment_method=CARD, by=ALICE, idempotency_key="start")
    except PaymentDeclined:
        pass
    later = clock().date() + timedelta(days=200)
    metadata = {"naïve": ["ключ", {"deep": [1, True, None, "\U0001f600"]}], "empty": {}}
    subs.start(
        "later",
        customer="contoso",
        plan=BASIC,
        payment_method=CARD,
        start_on=later,
        time_zone="America/Santiago",
        metadata=metadata,
        by=ALICE,
        idempotency_key="start",
    )
    subs.adopt(_elsewhere(clock().date()), by=SUPPORT, idempotency_key="adopt")
    clock.advance(hours=1)
    assert waits.payment is not None
    outcome = Captured("ch_waits", clock())
    gateway.report(waits.payment.reference, outcome)
    subs.report_payment(waits.payment.reference, outcome)


def _go_on(subs: Subscriptions, clock: FakeClock) -> None:
    subs.disable("by_bank", reason="abuse", by=SUPPORT, idempotency_key="block")
    subs.set_recurring_billing("waits", on=False, by=ALICE, idempotency_key="off")
    subs.pay_arrears("by_card", payment_method=CARD, by=ALICE, idempotency_key="pay")
    subs.cancel("by_card", when="now", refund="prorated", by=SUPPORT, idempotency_key="cancel")
    clock.advance(days=1)
    subs.reactivate("by_card", payment_method=CARD, by=ALICE, idempotency_key="reactivate")
    subs.sweep()


def _elsewhere(today: date) -> Subscription:
    """One that was adopted with a debt and with credit."""
    schedule = BillingSchedule(today - timedelta(days=40), MONTHLY)
    owed = schedule.period_containing(today)
    return Subscription(
        id="elsewhere",
        customer="fabrikam",
        plan=BASIC,
        state=PAST_DUE,
        schedule=schedule,
        next_billing_date=owed.end,
        paid_through=owed.start,
        term_start=owed.start,
        term_end=owed.end,
        payment_method=CARD,
        arrears=(Debt(BillingPeriod(*owed), BASIC.price, owed.start),),
        credit=Money(123, "EUR"),
        until=today + timedelta(days=30),
        metadata={"from": "elsewhere"},
    )
