"""What waits for somebody, and what can never be: each finding, and the case next to it that is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import pytest
from tests.engine.shop import BANK, BEGIN, CARD, FACES, PLAN, SUPPORT, ParkingLot, Shop, euros

from subscription_lifecycle import (
    ACTIVE,
    DELETED,
    STANDARD,
    BillingSchedule,
    Finding,
    Health,
    InvalidValue,
    MemoryStore,
    Money,
    PaymentMethod,
    Policy,
    Subscription,
)
from subscription_lifecycle.model.charge import RefundDue
from subscription_lifecycle.model.entry import Change
from subscription_lifecycle.ports import ChargebackReversed, ChargedBack, Declined, Parked, RefundFailed
from subscription_lifecycle.testing.lives import live

Case = Callable[[Shop], object]
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)
STAYS = STANDARD.with_policies(Policy(activates_on={"bank_account": "captured"}))


@pytest.fixture(params=FACES)
def shop(request: pytest.FixtureRequest) -> Shop:
    return Shop(request.param, lifecycle=STAYS)


def adopted(shop: Shop, **more: Any) -> None:
    day = BEGIN.date()
    schedule = BillingSchedule(day, PLAN.billing)
    end = schedule.next_date(after=day)
    shop.subs.adopt(
        attrs.evolve(
            Subscription(
                id="sub",
                customer="contoso",
                plan=PLAN,
                state=ACTIVE,
                schedule=schedule,
                next_billing_date=end,
                paid_through=end,
                term_start=day,
                term_end=end,
                payment_method=CARD,
            ),
            **more,
        ),
        by=SUPPORT,
        idempotency_key="adopt",
    )


# -- what waits


def open_payment(shop: Shop, *, after: timedelta = 2 * DAY, method: PaymentMethod = BANK) -> None:
    shop.gateway.process_next()
    shop.start(method)
    shop.clock.set(BEGIN + after)


def open_for_longer(shop: Shop) -> None:
    open_payment(shop, after=2 * DAY + MOMENT)


def mismatched(shop: Shop) -> None:
    shop.gateway.take_next(euros("7.00"))
    shop.start()


def a_debit(shop: Shop, after: timedelta) -> str:
    shop.use(STANDARD)
    shop.gateway.process_next()
    reference = shop.start(BANK)
    (debit,) = shop.subs.get("sub").submitted
    days = debit.ask_on - BEGIN.date()
    shop.clock.set(BEGIN + timedelta(days=days.days) + after)
    return reference


def debit_in_time(shop: Shop) -> None:
    a_debit(shop, 2 * DAY)


def debit_late(shop: Shop) -> None:
    a_debit(shop, 2 * DAY + MOMENT)


def debit_mismatched(shop: Shop) -> None:
    reference = a_debit(shop, -DAY)
    shop.subs.report_payment(reference, shop.came(euros("7.00")))


def renewal_was_due(shop: Shop, after: timedelta = timedelta(hours=6)) -> None:
    shop.start()
    shop.clock.set(BEGIN + timedelta(days=31) + after)


def renewal_was_due_for_longer(shop: Shop) -> None:
    renewal_was_due(shop, timedelta(hours=6) + MOMENT)


def refund(shop: Shop, *, refused: bool = True, after: timedelta = timedelta()) -> None:
    shop.start()
    shop.gateway.refuse_refunds("no funds" if refused else None)
    shop.cancel()
    shop.clock.advance(seconds=after.total_seconds())


def refund_open(shop: Shop) -> None:
    refund(shop, after=2 * DAY)


def refund_open_for_longer(shop: Shop) -> None:
    refund(shop, after=2 * DAY + timedelta(seconds=1))


def refund_failed(shop: Shop) -> None:
    refund(shop, refused=False)
    shop.subs.report_payment(shop.reference(), RefundFailed("re_1", "account_closed"))


def refund_made(shop: Shop) -> None:
    refund(shop, refused=False, after=3 * DAY)


def credit(shop: Shop) -> None:
    adopted(shop, credit=euros("5.00"))


def credit_in_the_end(shop: Shop) -> None:
    credit(shop)
    shop.subs.delete("sub", by=SUPPORT, idempotency_key="delete")
    assert shop.subs.get("sub").state == DELETED


def deleted(shop: Shop) -> None:
    adopted(shop)
    shop.subs.delete("sub", by=SUPPORT, idempotency_key="delete")


def several_charges_were_due(shop: Shop) -> None:
    shop.start()
    shop.clock.set("2024-03-05T00:00Z")
    shop.subs.sweep()


def one_charge_failed(shop: Shop) -> None:
    shop.start()
    shop.clock.set("2024-02-01T00:00Z")
    shop.gateway.decline_next()
    shop.subs.sweep()
    assert shop.subs.get("sub").arrears


FOUND: dict[Case, tuple[str, str, str]] = {
    open_for_longer: ("payment_open", "2024-01-01 00:00", "has it run, and does the gateway answer"),
    mismatched: ("payment_mismatched", "2024-01-01 00:00", "Declined('given_back')"),
    debit_late: ("debit_open", "", "what does the gateway say"),
    debit_mismatched: ("payment_mismatched", "", "Declined('given_back')"),
    renewal_was_due_for_longer: ("overdue", "2024-02-01 00:00", "has it run since then"),
    refund_open_for_longer: ("refund_open", "2024-01-01 00:00", "why does the gateway refuse"),
    refund_failed: ("refund_failed", "2024-01-01 00:00", "pay the customer in another way"),
    credit_in_the_end: ("credit_left", "2024-01-01 00:00", "pay it out"),
    several_charges_were_due: ("debt_held", "2024-02-01 00:00", "pay_arrears, or forgive_arrears"),
}
NOT_FOUND: list[Case] = [
    open_payment,
    debit_in_time,
    renewal_was_due,
    refund_open,
    refund_made,
    credit,
    deleted,
    one_charge_failed,
]


def named(value: Any) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize("case", FOUND, ids=named)
def test_what_waits_is_found_and_nothing_is_written(case: Case, shop: Shop) -> None:
    case(shop)
    before = shop.everything()
    found: Health = shop.ask("health")
    (finding,) = found.findings
    what, since, remedy = FOUND[case]
    assert (finding.what, finding.subscription) == (what, "sub")
    assert finding.since is not None
    assert finding.since.strftime("%Y-%m-%d %H:%M").startswith(since)
    assert remedy in finding.remedy
    assert not found.ok
    assert str(found).splitlines() == [
        f"1 subscriptions at {shop.clock():%Y-%m-%d %H:%M} UTC: 1 findings",
        str(finding),
    ]
    assert shop.everything() == before


@pytest.mark.parametrize("case", NOT_FOUND, ids=named)
def test_what_is_in_time_is_not_found(case: Case, shop: Shop) -> None:
    case(shop)
    found: Health = shop.ask("health")
    assert found.ok, str(found)
    assert "nothing to do" in str(found)


def test_the_bounds_are_the_callers(shop: Shop) -> None:
    renewal_was_due(shop)
    assert not shop.ask("health", due_longer_than=timedelta(hours=6) - MOMENT).ok
    assert shop.ask("health", due_longer_than=timedelta(days=30)).ok


def test_how_long_something_may_be_open_is_the_callers(shop: Shop) -> None:
    open_payment(shop)
    assert not shop.ask("health", open_longer_than=timedelta(0)).ok
    assert shop.ask("health", open_longer_than=timedelta.max, due_longer_than=timedelta.max).ok


def test_recorded_lives_are_well() -> None:
    found = live(MemoryStore()).health()
    assert found.ok, str(found)
    assert found.examined > 8


# -- what is parked


@pytest.mark.parametrize(
    ("what", "found", "remedy"),
    [
        ("entry", "entry_parked", "Mend the listener, then store.unpark('sub', 3)."),
        ("mirror", "mirror_parked", "Mend the mirror"),
        ("subscription", "sweep_failing", "then store.unpark('sub', 3); sweep()"),
    ],
)
def test_what_is_parked(what: Any, found: str, remedy: str) -> None:
    shop = Shop(store=ParkingLot(Parked(what, "sub", 3, "ValueError: no")))
    (finding,) = shop.ask("health").findings
    assert (finding.what, finding.subscription, finding.details) == (found, "sub", "version 3: ValueError: no")
    assert remedy in finding.remedy
    assert shop.ask("health", after="a").ok


def test_an_entry_that_no_listener_takes() -> None:
    def broken(entry: object) -> None:
        raise ValueError("no")

    shop = Shop()
    shop.start()
    subs = type(shop.subs)(shop.store, shop.gateway, clock=shop.clock, listeners=[broken])
    subs.sweep()
    assert subs.health().ok
    for _ in range(5):
        subs.sweep()
    assert [finding.what for finding in subs.health().findings] == ["entry_parked"]


# -- laws


class Tampered(MemoryStore):
    """Somebody wrote to the tables."""

    def entries(self, number: int, **changed: Any) -> None:
        known = self._records["sub"].entries
        known[number] = attrs.evolve(known[number], **changed)


def is_the_law(shop: Shop, sentence: str) -> bool:
    findings: tuple[Finding, ...] = shop.ask("health").findings
    return any(found.what == "law_broken" and sentence in found.details for found in findings)


def tampered() -> tuple[Shop, Any]:
    shop = Shop(store=Tampered())
    shop.start()
    shop.cancel()
    assert shop.ask("health").ok
    return shop, shop.store


def test_entries_lead_to_the_snapshot() -> None:
    shop, store = tampered()
    record = store._records["sub"]
    record.subscription = attrs.evolve(record.subscription, quantity=2)
    assert is_the_law(shop, "its entries do not lead to its snapshot")


def test_no_entry_is_missing() -> None:
    shop, store = tampered()
    del store._records["sub"].entries[1]
    assert is_the_law(shop, "its entries are not versions 1 to 4")


def test_no_entry_is_beyond_the_snapshot() -> None:
    shop, store = tampered()
    entries = store._records["sub"].entries
    entries.append(attrs.evolve(entries[-1], version=entries[-1].version + 1))
    assert is_the_law(shop, "its entries are not versions 1 to 4")


def test_what_is_written_while_it_is_read_breaks_no_law() -> None:
    class Busy(MemoryStore):
        asked = False

        def history(self, id: str, /) -> Any:
            if self.asked:
                self.asked = False
                shop.cancel()
            return super().history(id)

    shop = Shop(store=Busy())
    shop.start()
    shop.store.asked = True
    assert shop.ask("health").ok
    assert len(shop.store.history("sub")) == 4


def test_entries_were_written_in_order() -> None:
    shop, store = tampered()
    store.entries(1, recorded_at=BEGIN - DAY)
    assert is_the_law(shop, "written in another order")


def test_an_entry_follows_from_the_one_before() -> None:
    shop, store = tampered()
    changes = store._records["sub"].entries[1].changes
    store.entries(1, changes={**changes, "quantity": Change(3, 1)})
    assert is_the_law(shop, "does not follow")


def test_money_that_was_kept() -> None:
    shop, store = tampered()
    payment = store._records["sub"].entries[1].payment
    store.entries(1, payment=attrs.evolve(payment, amount=euros("45.00")))
    assert is_the_law(shop, "took 45.00 EUR, for 2000 minor units of lines")


def test_a_period_that_nobody_paid_for() -> None:
    shop, store = tampered()
    payment = store._records["sub"].entries[1].payment
    store.entries(1, payment=attrs.evolve(payment, amount=euros("15.00")))
    assert is_the_law(shop, "took 15.00 EUR, for 2000 minor units of lines")


def test_more_goes_back_than_came() -> None:
    shop, store = tampered()
    entry = store._records["sub"].entries[2]
    refunds = (RefundDue(shop.reference(), euros("30.00"), "cancelled"),)
    store.entries(2, changes={**entry.changes, "refunds": Change((), refunds)})
    assert is_the_law(shop, "took 20.00 EUR, and 3000 minor units are to go back")


def renewal_was_declined(shop: Shop) -> str:
    shop.start()
    shop.clock.set("2024-02-01T00:00Z")
    shop.gateway.process_next()
    shop.subs.sweep()
    shop.subs.report_payment(shop.reference(), Declined("no"))
    return shop.reference()


def test_late_money_that_pays_a_debt_breaks_no_law(shop: Shop) -> None:
    shop.subs.report_payment(renewal_was_declined(shop), shop.came())
    assert [entry.event for entry in shop.subs.history("sub")][-2:] == ["declined", "applied"]
    assert shop.ask("health").ok


def test_an_undone_chargeback_breaks_no_law(shop: Shop) -> None:
    reference = shop.start()
    shop.subs.report_payment(reference, ChargedBack("dp_1"))
    shop.subs.report_payment(reference, ChargebackReversed("dp_1"))
    assert shop.ask("health").ok


def test_a_refund_that_is_made_again_breaks_no_law(shop: Shop) -> None:
    refund_failed(shop)
    shop.subs.sweep()
    assert shop.ask("health").ok


def test_credit_from_nowhere() -> None:
    shop, store = tampered()
    changes = store._records["sub"].entries[1].changes
    store.entries(1, changes={**changes, "credit": Change(None, Money(1, "EUR"))})
    assert is_the_law(shop, "credit changed by 1 minor units")


def test_what_is_due_is_found_by_a_sweep() -> None:
    shop, store = tampered()
    store._records["sub"].due_at = None
    assert shop.ask("health", due_longer_than=timedelta.max).ok
    shop.clock.set("2024-12-01T00:00Z")
    assert is_the_law(shop, "it is due and no sweep will find it")
    store._records["sub"].due_at = shop.clock()
    assert not is_the_law(shop, "")
    assert not is_the_law(Shop(store=Crowded(store)), "")


class Crowded(MemoryStore):
    """So much is due that an answer never holds all of it."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self._records = store._records
        self._records["sub"].due_at = None

    def due(self, until: Any, limit: int, /) -> list[str]:
        return ["another"] * limit


def test_what_is_not_due_is_not_found_by_a_sweep() -> None:
    shop, store = tampered()
    store._records["sub"].due_at = shop.clock()
    assert is_the_law(shop, "sweeps find it and nothing is due")


def test_a_sweep_that_came_between_breaks_no_law() -> None:
    class Swept(MemoryStore):
        swept = False

        def load(self, id: str, key: str | None, /) -> Any:
            if not self.swept and shop.clock() > BEGIN:
                self.swept = True
                shop.subs.sweep()
            return super().load(id, key)

    shop = Shop(store=Swept())
    shop.start()
    shop.clock.set("2024-02-01T00:00Z")
    assert shop.ask("health").ok
    assert len(shop.gateway.captures) == 2


def test_what_falls_due_between_two_readings_breaks_no_law() -> None:
    class Busy(MemoryStore):
        asked = 0

        def due(self, until: Any, limit: int, /) -> Any:
            self.asked += 1
            if self.asked == 2:
                shop.gateway.refuse_refunds()
                shop.cancel()
            return ["sub"] if self.asked == 1 else super().due(until, limit)

    shop = Shop(store=Busy())
    shop.start()
    assert shop.ask("health").ok
    assert (shop.store.asked, len(shop.subs.get("sub").refunds)) == (2, 1)


def test_what_is_put_off_is_due_and_breaks_no_law() -> None:
    shop = Shop()
    renewal_was_due(shop)
    shop.store.stumbled({"sub": "no"})
    shop.store.defer({"sub": shop.clock() + DAY})
    assert [found.what for found in shop.ask("health").findings] == ["sweep_failing"]


def test_what_cannot_be_read_hides_nothing_else(shop: Shop) -> None:
    mismatched(shop)
    load = shop.store.load

    def unreadable(id: str, key: str | None, /) -> Any:
        if id == "a":
            raise ValueError("no such state")
        return load(id, key)

    shop.gateway.process_next()
    shop.start(BANK, id="a")
    shop.store.load = unreadable
    found = shop.ask("health").findings
    assert [(one.subscription, one.what) for one in found] == [("a", "unreadable"), ("sub", "payment_mismatched")]
    assert found[0].details == "ValueError: no such state"


# -- a page at a time


def test_pages_are_the_whole(shop: Shop) -> None:
    for number in range(5):
        shop.gateway.take_next(euros("7.00"))
        shop.start(id=f"sub {number}")
    shop.start(id="well")
    assert shop.ask("health", limit=7).next is None
    first: Health = shop.ask("health", limit=2)
    assert [finding.subscription for finding in first.findings] == ["sub 0", "sub 1"]
    assert (first.next, first.examined) == ("sub 1", 2)
    assert str(first).splitlines()[0].endswith(": 2 findings, more after sub 1")
    page, found, examined = first, [*first.findings], first.examined
    for _ in range(math.ceil(6 / 2)):
        page = shop.ask("health", limit=2, after=page.next)
        found, examined = [*found, *page.findings], examined + page.examined
    assert (page.next, examined) == (None, 6)
    assert [finding.subscription for finding in found] == [f"sub {number}" for number in range(5)]


def test_what_waits_is_on_the_first_page_wherever_it_is(shop: Shop) -> None:
    for number in range(3):
        shop.start(id=f"sub {number}")
    shop.gateway.take_next(euros("7.00"))
    shop.start(id="zoo")
    found: Health = shop.ask("health", limit=2)
    assert [finding.subscription for finding in found.findings] == ["zoo"]
    assert (found.next, found.examined) == ("sub 1", 3)


def test_an_empty_store_is_well(shop: Shop) -> None:
    found: Health = shop.ask("health")
    assert (found.ok, found.examined, found.next) == (True, 0, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", 0),
        ("limit", -1),
        ("limit", True),
        ("limit", 1.5),
        ("limit", 10**9),
        ("after", ""),
        ("after", 1),
        ("open_longer_than", -MOMENT),
        ("open_longer_than", 2),
        ("due_longer_than", -MOMENT),
        ("due_longer_than", None),
    ],
)
def test_what_callers_pass_is_checked(field: str, value: Any, shop: Shop) -> None:
    with pytest.raises(InvalidValue) as caught:
        shop.ask("health", **{field: value})
    assert caught.value.field == field
    assert caught.value.fix
