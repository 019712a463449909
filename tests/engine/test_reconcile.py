"""The gateway's ledger held against the entries: each difference, and the case next to it that is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from tests.engine.shop import BANK, BEGIN, CARD, FACES, SUPPORT, Shop, euros

from subscription_lifecycle import InvalidValue, MemoryStore, Money, Reconciliation, Subscriptions, Totals
from subscription_lifecycle.ports import (
    Captured,
    CaptureRequest,
    ChargebackReversed,
    ChargedBack,
    Declined,
    LedgerLine,
    Processing,
    RefundFailed,
)
from subscription_lifecycle.testing.lives import live

Case = Callable[[Shop], object]


def ledger_line(reference: str, amount: Money, **more: Any) -> LedgerLine:
    zero = Money.zero(amount.currency)
    line = LedgerLine(reference, "ch_other", Captured("ch_other", BEGIN, amount), amount, zero, BEGIN)
    return attrs.evolve(line, **more)


# -- what happened


def unknown(shop: Shop) -> None:
    shop.gateway.capture(CaptureRequest("pay_x", euros("5.00"), CARD, "contoso", "sub", True, "what?"))


def unknown_and_under_way(shop: Shop) -> None:
    shop.gateway.process_next()
    unknown(shop)


def unknown_and_declined(shop: Shop) -> None:
    shop.gateway.decline_next()
    unknown(shop)


def unknown_and_given_back(shop: Shop) -> None:
    unknown(shop)
    shop.gateway.refund("pay_x", euros("5.00"))


def under_way(shop: Shop) -> str:
    shop.gateway.process_next()
    return shop.start()


def service_runs_on_a_debit(shop: Shop) -> str:
    shop.gateway.process_next()
    return shop.start(BANK)


def came_while_open(shop: Shop) -> None:
    shop.gateway.report(under_way(shop), shop.came())


def another_amount_came_while_open(shop: Shop) -> None:
    came_while_open(shop)
    shop.gateway.told[shop.reference()] = {"captured": euros("19.00")}


def came_and_is_known(shop: Shop) -> None:
    came_while_open(shop)
    shop.subs.report_payment(shop.reference(), shop.came())


def debit_came(shop: Shop) -> None:
    shop.gateway.report(service_runs_on_a_debit(shop), shop.came())


def declined(shop: Shop) -> str:
    reference = under_way(shop)
    shop.gateway.report(reference, Declined("no"))
    shop.subs.report_payment(reference, Declined("no"))
    return reference


def came_after_a_decline(shop: Shop) -> None:
    shop.gateway.report(declined(shop), shop.came())


def came_after_it_was_given_up(shop: Shop) -> None:
    reference = under_way(shop)
    shop.clock.advance(days=2)
    shop.subs.sweep()
    shop.gateway.report(reference, shop.came())


def under_way_after_it_was_declined_here(shop: Shop) -> None:
    shop.subs.report_payment(under_way(shop), Declined("no"))


def came_after_a_decline_and_went_back(shop: Shop) -> None:
    came_after_a_decline(shop)
    shop.gateway.refund(shop.reference(), euros("20.00"))


def debit_came_after_it_failed(shop: Shop) -> None:
    reference = service_runs_on_a_debit(shop)
    shop.subs.report_payment(reference, Declined("no"))
    shop.gateway.report(reference, shop.came())


def deleted_there(shop: Shop) -> None:
    shop.gateway.hidden.add(shop.start())


def only_listed_elsewhere(shop: Shop) -> None:
    shop.gateway.unlisted.add(shop.start())


def open_and_not_there(shop: Shop) -> None:
    shop.gateway.time_out_next(charged=False)
    shop.start()


def declined_there_captured_here(shop: Shop) -> None:
    reference = shop.start()
    shop.gateway.captures.clear()
    shop.gateway.report(reference, Declined("no"))


def under_way_there_captured_here(shop: Shop) -> None:
    reference = shop.start()
    shop.gateway.captures.clear()
    shop.gateway.report(reference, Processing("ch_1"))


def declined_there(shop: Shop) -> None:
    shop.gateway.report(under_way(shop), Declined("no"))


def debit_failed_there(shop: Shop) -> None:
    shop.gateway.report(service_runs_on_a_debit(shop), Declined("no"))


def other_amount(shop: Shop) -> None:
    shop.gateway.told[shop.start()] = {"captured": euros("19.00")}


def other_currency(shop: Shop) -> None:
    shop.gateway.told[shop.start()] = {"captured": Money(2000, "USD")}


def other_amount_that_is_known(shop: Shop) -> str:
    shop.gateway.take_next(Money(700, "USD"))
    return shop.start()


def another_amount_than_is_known(shop: Shop) -> None:
    reference = other_amount_that_is_known(shop)
    shop.gateway.told[reference] = {"captured": euros("8.00"), "outcome": shop.came(euros("8.00"))}


def wrong_sum_was_given_back(shop: Shop) -> None:
    shop.gateway.refund(other_amount_that_is_known(shop), Money(700, "USD"))


def wrong_sum_was_given_back_and_reported(shop: Shop) -> None:
    wrong_sum_was_given_back(shop)
    shop.subs.report_payment(shop.reference(), Declined("given_back"))


def charged_back_there(shop: Shop) -> None:
    shop.gateway.report(shop.start(), ChargedBack("dp_1"))


def charged_back_while_open(shop: Shop) -> None:
    shop.gateway.report(under_way(shop), ChargedBack("dp_1"))


def charged_back(shop: Shop) -> str:
    charged_back_there(shop)
    shop.subs.report_payment(shop.reference(), ChargedBack("dp_1"))
    return shop.reference()


def charged_back_here_alone(shop: Shop) -> None:
    shop.subs.report_payment(shop.start(), ChargedBack("dp_1"))


def chargeback_was_undone(shop: Shop) -> None:
    shop.gateway.report(charged_back(shop), ChargebackReversed("dp_1"))


def charged_back_again_under_the_same_id(shop: Shop) -> None:
    chargeback_was_undone(shop)
    shop.subs.report_payment(shop.reference(), ChargebackReversed("dp_1"))
    shop.gateway.report(shop.reference(), ChargedBack("dp_1"))


def charged_back_again(shop: Shop) -> None:
    charged_back_again_under_the_same_id(shop)
    shop.gateway.report(shop.reference(), ChargedBack("dp_2"))


def undone_again_under_the_same_id(shop: Shop) -> None:
    charged_back_again(shop)
    shop.subs.report_payment(shop.reference(), ChargedBack("dp_2"))
    shop.gateway.report(shop.reference(), ChargebackReversed("dp_1"))


def refunded_there(shop: Shop) -> None:
    shop.gateway.refund(shop.start(), euros("3.00"))


def refunded(shop: Shop) -> str:
    reference = shop.start()
    shop.cancel()
    return reference


def refunded_here_alone(shop: Shop) -> None:
    refunded(shop)
    shop.gateway.refunds.clear()


def refund_failed(shop: Shop) -> None:
    reference = refunded(shop)
    shop.gateway.refunds.clear()
    shop.subs.report_payment(reference, RefundFailed("re_1"))


def refund_waits(shop: Shop) -> None:
    shop.start()
    shop.gateway.refuse_refunds()
    shop.cancel()


def refund_waits_for_two_days(shop: Shop) -> None:
    refund_waits(shop)
    shop.clock.advance(days=2)


def refund_waits_for_longer(shop: Shop) -> None:
    refund_waits_for_two_days(shop)
    shop.clock.advance(seconds=1)


def refund_was_made_and_its_answer_lost(shop: Shop) -> None:
    refund_waits_for_longer(shop)
    shop.gateway.refuse_refunds(None)
    shop.gateway.refund(shop.reference(), euros("20.00"))


def refunded_less(shop: Shop) -> None:
    shop.gateway.told[refunded(shop)] = {"refunded": euros("15.00")}


def refunded_more(shop: Shop) -> None:
    reference = shop.start()
    shop.subs.refund("sub", reference=reference, amount=euros("5.00"), by=SUPPORT, idempotency_key="refund")
    shop.gateway.told[reference] = {"refunded": euros("15.00")}


def refunded_in_another_currency(shop: Shop) -> None:
    shop.gateway.told[refunded(shop)] = {"refunded": Money(2000, "USD")}


def taken_twice(shop: Shop) -> None:
    shop.gateway.more.append(ledger_line(shop.start(), euros("20.00")))


def tried_twice(shop: Shop) -> None:
    shop.gateway.more.append(ledger_line(shop.start(), euros("0.00"), outcome=Declined("no")))


def taken_twice_and_one_given_back(shop: Shop) -> None:
    shop.gateway.more.append(ledger_line(shop.start(), euros("20.00"), refunded=euros("20.00")))


DIFFERENCES: dict[Case, tuple[str, str | None, str | None, str]] = {
    unknown: ("unknown", "5.00 EUR", None, "refund it at the gateway"),
    unknown_and_under_way: ("unknown", None, None, "stop it at the gateway"),
    came_while_open: ("captured_there", "20.00 EUR", None, "Report it"),
    another_amount_came_while_open: ("captured_there", "19.00 EUR", None, "Report it"),
    debit_came: ("captured_there", "20.00 EUR", None, "Report it"),
    came_after_a_decline: ("captured_there", "20.00 EUR", None, "Report it"),
    came_after_it_was_given_up: ("captured_there", "20.00 EUR", None, "Report it"),
    debit_came_after_it_failed: ("captured_there", "20.00 EUR", None, "Report it"),
    deleted_there: ("captured_here", None, "20.00 EUR", "it may have been deleted"),
    declined_there_captured_here: ("captured_here", None, "20.00 EUR", "what became of it"),
    under_way_there_captured_here: ("captured_here", None, "20.00 EUR", "look again when it has ended"),
    declined_there: ("declined_there", None, None, "Report it"),
    debit_failed_there: ("declined_there", None, None, "Report it"),
    other_amount: ("other_amount", "19.00 EUR", "20.00 EUR", "which is right"),
    other_currency: ("other_amount", "20.00 USD", "20.00 EUR", "which is right"),
    another_amount_than_is_known: ("other_amount", "8.00 EUR", "7.00 USD", "Report it"),
    wrong_sum_was_given_back: ("refunded_there", "7.00 USD", None, "report_payment(reference, Declined(...))"),
    charged_back_there: ("charged_back_there", "20.00 EUR", "20.00 EUR", "Report it"),
    charged_back_while_open: ("charged_back_there", None, None, "Report it"),
    charged_back_here_alone: ("charged_back_here", "20.00 EUR", "20.00 EUR", "ChargebackReversed(gateway_id)"),
    chargeback_was_undone: ("charged_back_here", "20.00 EUR", "20.00 EUR", "Report it"),
    charged_back_again: ("charged_back_there", "20.00 EUR", "20.00 EUR", "Report it"),
    charged_back_again_under_the_same_id: ("charged_back_there", "20.00 EUR", "20.00 EUR", "an id of its own"),
    undone_again_under_the_same_id: ("charged_back_here", "20.00 EUR", "20.00 EUR", "an id of its own"),
    refunded_there: ("refunded_there", "3.00 EUR", None, "find out who"),
    refunded_here_alone: ("refunded_here", None, "20.00 EUR", "RefundFailed"),
    refund_waits_for_longer: ("refunded_here", None, "20.00 EUR", "why does the gateway refuse"),
    refunded_less: ("refunded_less", "15.00 EUR", "20.00 EUR", "RefundFailed"),
    refunded_more: ("refunded_more", "15.00 EUR", "5.00 EUR", "find out who"),
    refunded_in_another_currency: ("refunded_more", "20.00 USD", "20.00 EUR", "another currency"),
    taken_twice: ("captured_twice", "40.00 EUR", "20.00 EUR", "all but one"),
}
MENDED: set[Case] = {
    came_while_open,
    another_amount_came_while_open,
    debit_came,
    debit_came_after_it_failed,
    came_after_a_decline,
    came_after_it_was_given_up,
    declined_there,
    debit_failed_there,
    another_amount_than_is_known,
    charged_back_there,
    charged_back_while_open,
    charged_back_again,
    chargeback_was_undone,
}
NO_DIFFERENCE: list[Case] = [
    unknown_and_declined,
    unknown_and_given_back,
    under_way,
    service_runs_on_a_debit,
    came_and_is_known,
    declined,
    under_way_after_it_was_declined_here,
    came_after_a_decline_and_went_back,
    only_listed_elsewhere,
    open_and_not_there,
    other_amount_that_is_known,
    wrong_sum_was_given_back_and_reported,
    charged_back,
    refunded,
    refund_failed,
    refund_waits,
    refund_waits_for_two_days,
    refund_was_made_and_its_answer_lost,
    tried_twice,
    taken_twice_and_one_given_back,
]


def named(value: Any) -> str | None:
    return getattr(value, "__name__", None)


@pytest.fixture(params=FACES)
def shop(request: pytest.FixtureRequest) -> Shop:
    return Shop(request.param)


@pytest.mark.parametrize("case", DIFFERENCES, ids=named)
def test_a_difference_is_found_and_nothing_is_written(case: Case, shop: Shop) -> None:
    case(shop)
    before = shop.everything()
    found: Reconciliation = shop.ask("reconcile", BEGIN)
    kind, there, here, remedy = DIFFERENCES[case]
    (difference,) = found.differences
    told = [None if money is None else str(money) for money in (difference.gateway, difference.entries)]
    assert [difference.kind, *told] == [kind, there, here]
    assert remedy in difference.remedy
    assert (difference.subscription is None) == (kind == "unknown")
    assert difference.reference == ("pay_x" if kind == "unknown" else shop.reference())
    assert not found.ok
    assert str(difference) in str(found)
    assert shop.everything() == before


@pytest.mark.parametrize("case", DIFFERENCES, ids=named)
def test_what_can_be_reported_is_mended_by_it(case: Case, shop: Shop) -> None:
    case(shop)
    found: Reconciliation = shop.ask("reconcile", BEGIN)
    assert {bool(difference.outcome) for difference in found.differences} == {case in MENDED}
    for difference in found.differences:
        if difference.outcome:
            shop.subs.report_payment(difference.reference, difference.outcome)
    assert shop.ask("reconcile", BEGIN).ok == (case in MENDED)


@pytest.mark.parametrize("case", NO_DIFFERENCE, ids=named)
def test_what_is_no_difference(case: Case, shop: Shop) -> None:
    case(shop)
    found: Reconciliation = shop.ask("reconcile", BEGIN)
    assert found.ok, str(found)


def test_a_refund_may_be_pending_for_as_long_as_is_said(shop: Shop) -> None:
    refund_waits_for_longer(shop)
    assert shop.ask("reconcile", BEGIN, refund_pending=timedelta(days=3)).ok
    assert not shop.ask("reconcile", BEGIN, refund_pending=timedelta(0)).ok


def test_only_what_happened_since_then(shop: Shop) -> None:
    """What was asked for earlier is compared where something was heard of it since."""
    deleted_there(shop)
    reference = shop.reference()
    shop.clock.advance(days=1)
    later = shop.clock()
    found = shop.ask("reconcile", later)
    assert (found.ok, found.payments) == (True, 0)
    shop.subs.report_payment(reference, ChargedBack("dp_1"))
    shop.subs.report_payment(reference, ChargebackReversed("dp_1"))
    found = shop.ask("reconcile", later)
    assert [difference.kind for difference in found.differences] == ["captured_here"]


def test_an_older_payment_is_not_asked_for_because_of_a_newer_one(shop: Shop) -> None:
    deleted_there(shop)
    shop.clock.set("2024-02-01T00:00Z")
    shop.subs.sweep()
    found = shop.ask("reconcile", shop.clock())
    assert (found.ok, found.payments, found.lines) == (True, 1, 1)
    assert shop.ask("reconcile", BEGIN).payments == 2


def test_refunds_count_where_the_gateway_lists_the_payment(shop: Shop) -> None:
    shop.gateway.unlisted.add(refunded(shop))
    (found,) = shop.ask("reconcile", BEGIN).totals.values()
    assert [str(sum) for sum in attrs.astuple(found, recurse=False)] == [
        "20.00 EUR",
        "20.00 EUR",
        "0.00 EUR",
        "0.00 EUR",
    ]


def test_the_last_instant_counts(shop: Shop) -> None:
    deleted_there(shop)
    assert not shop.ask("reconcile", shop.clock()).ok
    shop.clock.advance(seconds=1)
    assert shop.ask("reconcile", shop.clock()).ok


def test_what_changes_meanwhile_is_left_for_the_next_time(shop: Shop) -> None:
    reference = under_way(shop)

    def it_comes() -> None:
        shop.gateway.meanwhile = lambda: None
        shop.clock.advance(seconds=1)
        shop.gateway.report(reference, shop.came())
        shop.subs.report_payment(reference, shop.came())

    shop.gateway.meanwhile = it_comes
    found = shop.ask("reconcile", BEGIN)
    assert (found.ok, found.moving, found.payments, found.lines) == (True, 1, 0, 1)
    found = shop.ask("reconcile", BEGIN)
    assert (found.ok, found.moving, found.payments, found.lines) == (True, 0, 1, 1)


def test_sums_by_currency(shop: Shop) -> None:
    other_amount_that_is_known(shop)
    unknown(shop)
    shop.start(id="another")
    shop.start(id="given back")
    shop.cancel("given back")
    shop.gateway.hidden.add(shop.start(id="hidden"))
    found = shop.ask("reconcile", BEGIN)
    assert found.totals == {
        "EUR": Totals(
            captured_there=euros("45.00"),
            captured_here=euros("60.00"),
            refunded_there=euros("20.00"),
            refunded_here=euros("20.00"),
        ),
        "USD": Totals(
            captured_there=Money(700, "USD"),
            captured_here=Money(700, "USD"),
            refunded_there=Money(0, "USD"),
            refunded_here=Money(0, "USD"),
        ),
    }
    assert "captured 45.00 EUR there, 60.00 EUR here; refunded 20.00 EUR there, 20.00 EUR here" in str(found)
    assert (found.since, found.at, found.lines, found.payments) == (BEGIN, shop.clock(), 4, 4)


def test_recorded_lives_agree_with_their_gateway() -> None:
    subs = live(MemoryStore())
    found = subs.reconcile(datetime(2000, 1, 1, tzinfo=UTC))
    assert found.ok, str(found)
    assert found.payments > 15


# -- other stores and gateways


class Minimal:
    """A store with nothing that is optional but these."""

    def __init__(self, store: MemoryStore, *more: str) -> None:
        known = ("load", "write", "find", "due", "history", "undelivered", "delivered", *more)
        self.__dict__.update({name: getattr(store, name) for name in known})


@pytest.mark.parametrize("more", [0, 499, 500, 501])
def test_a_store_that_lists_no_payments_is_read_through(more: int) -> None:
    store = MemoryStore()
    shop = Shop(store=Minimal(store, "search"))
    deleted_there(shop)
    record = store._records["sub"]
    for id in (f"a{number:03}" for number in range(more)):
        store._records[id] = attrs.evolve(record, subscription=attrs.evolve(record.subscription, id=id), entries=[])
    found = shop.ask("reconcile", BEGIN)
    assert [difference.kind for difference in found.differences] == ["captured_here"]


def test_a_store_that_can_do_neither_is_told_so() -> None:
    shop = Shop(store=Minimal(MemoryStore()))
    shop.start()
    with pytest.raises(InvalidValue, match="store: it cannot search"):
        shop.ask("reconcile", BEGIN)


def test_a_gateway_whose_ledger_cannot_be_read_is_told_so() -> None:
    class Silent:
        idempotency_window = None

    gateway: Any = Silent()
    with pytest.raises(InvalidValue) as caught:
        Subscriptions(MemoryStore(), gateway).reconcile(BEGIN)
    assert (caught.value.field, "ports.ListingGateway" in caught.value.fix) == ("gateway", True)
    with pytest.raises(InvalidValue, match="gateway"):
        Subscriptions(MemoryStore()).reconcile(BEGIN)


# -- what callers pass

TOMORROW = BEGIN + timedelta(days=1)


@pytest.mark.parametrize("since", [datetime(2024, 1, 1), "2024-01-01", None, TOMORROW, datetime(1, 1, 1)], ids=str)
def test_since_is_an_instant_of_the_past(since: Any, shop: Shop) -> None:
    with pytest.raises(InvalidValue) as caught:
        shop.ask("reconcile", since)
    assert caught.value.field == "since"
    assert caught.value.fix


def test_since_may_be_in_any_zone_and_the_year_one(shop: Shop) -> None:
    deleted_there(shop)
    for since in (BEGIN.astimezone(timezone(timedelta(hours=9))), datetime(1, 1, 2, tzinfo=UTC)):
        assert len(shop.ask("reconcile", since).differences) == 1


@pytest.mark.parametrize("pending", [timedelta(microseconds=-1), 2, None], ids=str)
def test_a_refund_is_pending_for_a_stretch_of_time(pending: Any, shop: Shop) -> None:
    with pytest.raises(InvalidValue, match="refund_pending"):
        shop.ask("reconcile", BEGIN, refund_pending=pending)
    assert shop.ask("reconcile", BEGIN, refund_pending=timedelta.max).ok
