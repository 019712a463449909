"""Writes `data/first_format.db` and what it says, in words, beside it. Run once; later versions must read the result.

python -m tests.stores.write_first_format
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from tests.stores.values import Hibernate, Size, Span

from subscription_lifecycle import (
    ACTIVE,
    SAME_STATE,
    STANDARD,
    Lifecycle,
    Money,
    Plan,
    Subscriptions,
    Transition,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.engine.drivers import run
from subscription_lifecycle.engine.timed import advance
from subscription_lifecycle.model.schedule import MONTHLY, Period
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway
from subscription_lifecycle.testing.lives import BASIC, CARD, SUPPORT, live

DATABASE = Path(__file__).with_name("data") / "first_format.db"
IN_WORDS = DATABASE.with_suffix(".txt")
OWN: Lifecycle = STANDARD.extend(Transition(Hibernate, ACTIVE, SAME_STATE), name="with hibernation")
HIBERNATION = Hibernate(
    until=date(2024, 9, 1),
    size=Size.LARGE,
    fee=Money(250, "EUR"),
    dates=(date(2024, 8, 1), date(1, 1, 1), date(9999, 12, 31)),
    pair=("ключ", 3),
    spans=(Span(date(2024, 8, 2), Money(1, "KWD")),),
    when=date(2024, 8, 3),
    at=datetime(2024, 8, 4, 12, 30, 0, 5, tzinfo=UTC),
    tags=frozenset({"b", "a"}),
    prices={"winter": Money(-5, "JPY")},
    notes={"why": ["cold", {"degrees": -40}]},
    method=CARD,
)


def main() -> None:
    DATABASE.parent.mkdir(exist_ok=True)
    DATABASE.unlink(missing_ok=True)
    store = SQLStore(DATABASE)
    clock, gateway = live(store).clock, FakeGateway()
    assert isinstance(clock, FakeClock)
    subs = Subscriptions(store, gateway, lifecycle=OWN, clock=clock)
    subs.execute("by_card", HIBERNATION, by=SUPPORT, idempotency_key="hibernate")
    subs.take_invoice_lines(customer="fabrikam", invoice="in_1")
    _states_that_pass(subs, gateway, clock)
    store.close()
    IN_WORDS.write_text("\n".join(words(SQLStore(DATABASE))) + "\n", "utf-8")
    for suffix in ("-wal", "-shm"):
        DATABASE.with_name(DATABASE.name + suffix).unlink(missing_ok=True)


def _states_that_pass(subs: Subscriptions, gateway: FakeGateway, clock: FakeClock) -> None:
    """Those that the other lives have left again."""
    trial = Plan("trial", Money(500, "EUR"), MONTHLY, trial=Period(90, "day"))
    for id in ("unpaid", "expired"):
        subs.start(id, customer="initech", plan=BASIC, payment_method=CARD, by=SUPPORT, idempotency_key="start")
    subs.set_recurring_billing("expired", on=False, by=SUPPORT, idempotency_key="off")
    clock.advance(days=32)
    gateway.decline_next()
    for id in ("unpaid", "expired"):
        run(advance(subs.lifecycle, id, gateway=True), subs.perform)
    subs.start("on_trial", customer="initech", plan=trial, payment_method=CARD, by=SUPPORT, idempotency_key="start")


def words(store: SQLStore) -> Iterator[str]:
    """What is stored, in words that do not depend on how a later version prints its values."""
    for subscription in store.search(None, None, None, 1_000):
        yield f"{subscription.id} of {subscription.customer}, version {subscription.version}"
        yield f"  {subscription.plan.id} at {subscription.plan.price} every {subscription.plan.billing}"
        yield f"  {subscription.state.name} {[cause.name for cause in subscription.causes]} until {subscription.until}"
        yield f"  next {subscription.next_billing_date}, paid through {subscription.paid_through}"
        yield f"  term {subscription.term_start} to {subscription.term_end}, trial to {subscription.trial_end}"
        yield f"  by {subscription.payment_method} x {subscription.quantity} in {subscription.time_zone}"
        yield f"  owed {[(str(debt.period), str(debt.amount), debt.held) for debt in subscription.arrears]}"
        yield f"  paid {[(str(paid.period), str(paid.amount), paid.invoiced) for paid in subscription.settlements]}"
        yield f"  refunds {[(str(refund.amount), refund.reason) for refund in subscription.refunds]}"
        yield f"  credit {subscription.credit}, recurring {subscription.recurring_billing}"
        yield f"  metadata {dict(subscription.metadata)!r}"
        stored = store.load(subscription.id, None)
        attempt = stored.attempt if stored else None
        if attempt is not None:
            yield f"  open: {attempt.reference} {attempt.payment.status} {attempt.payment.amount} under {attempt.key}"
        for entry in store.history(subscription.id):
            money = f" {entry.payment.amount} {entry.payment.status}" if entry.payment else ""
            kind = type(entry.command).__name__
            yield f"  {entry.version} {entry.effective_at.isoformat()} {entry.event} {kind} by {entry.by.id}{money}"
            yield f"    {sorted(entry.changes)}"
    for invoice in ("in_1",):
        yield f"{invoice}: {[(line.id, str(line.amount), str(line.period)) for line in store.invoice_lines(invoice)]}"
    yield f"due: {list(store.due(datetime(9999, 1, 1, tzinfo=UTC), 1_000))}"
    yield f"undelivered: {[entry.id for entry in store.undelivered(1_000)]}"


if __name__ == "__main__":
    main()
