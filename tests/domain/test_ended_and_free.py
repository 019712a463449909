"""Money that is heard of after the end; plans that cost nothing; corrections that are checked like rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.domain.world import (
    ADMIN,
    CARD,
    INVOICE,
    SUPPORT,
    A,
    MakeWorld,
    World,
    day,
    euros,
    policy,
)

from subscription_lifecycle import (
    ACTIVE,
    DELETED,
    EXPIRED,
    MONTHLY,
    PAST_DUE,
    STANDARD,
    Cancel,
    Correct,
    Delete,
    Money,
    Plan,
    Reactivate,
    Refund,
    SetRecurringBilling,
    Transition,
)
from subscription_lifecycle.errors import DefinitionError
from subscription_lifecycle.ports import ChargebackReversed, ChargedBack

FREE = Plan("free", Money(0, "EUR"), MONTHLY)


def charged_back(world: World) -> str:
    reference = world.gateway.captures[0].reference
    world.gateway.report(reference, ChargedBack("dp_1"))
    world.subs.report_payment(reference, ChargedBack("dp_1"))
    return reference


# -- after the end


def test_a_dispute_that_is_won_after_the_end_pays_what_is_owed(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    world.at("2024-01-31")
    reference = charged_back(world)
    world.do(Delete())
    assert (world.state, world.sub.owed) == (DELETED, euros("20.00"))
    world.at("2024-02-20")
    world.gateway.report(reference, ChargebackReversed("dp_1"))
    world.subs.report_payment(reference, ChargebackReversed("dp_1"))
    world.swept()
    assert (world.state, world.sub.owed, world.refunded) == (DELETED, euros("0.00"), [])


def test_support_refunds_a_payment_after_the_end(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    world.do(Delete())
    world.do(Refund(world.gateway.captures[0].reference, euros("5.00")), by=SUPPORT)
    assert (world.state, world.refunded) == (DELETED, [euros("5.00")])


def test_an_invoice_is_reported_to_each_whose_lines_are_on_it(make_world: MakeWorld) -> None:
    world = make_world()
    world.start(payment_method=INVOICE, id="a")
    world.start(payment_method=INVOICE, id="sub")
    world.take_lines("I1")
    world.do(Delete(), id="a")
    world.subs.report_invoice("I1", paid=False, by=SUPPORT, idempotency_key="unpaid")
    assert (world.state, world.sub.owed) == (PAST_DUE, euros("20.00"))
    assert world.subs.get("a").owed == euros("20.00"), "it is on record there as well"
    world.subs.report_invoice("I1", paid=True, by=SUPPORT, idempotency_key="paid")
    assert world.sub.owed == world.subs.get("a").owed == euros("0.00")
    assert world.subs.get("a").state == DELETED


def test_no_row_leaves_a_final_state() -> None:
    with pytest.raises(DefinitionError, match="is final; no row may leave it"):
        STANDARD.extend(Transition(Reactivate, DELETED, ACTIVE))


# -- what costs nothing


@pytest.mark.parametrize("ends", [SetRecurringBilling(False), Cancel("now")], ids=["expired", "cancelled"])
def test_a_free_plan_comes_back_without_a_payment_method(make_world: MakeWorld, ends: Any) -> None:
    world = make_world()
    world.start(FREE, None)
    world.do(ends)
    world.at("2024-02-10")
    world.do(Reactivate())
    assert (world.state, world.captured) == (ACTIVE, [])


def test_a_plan_that_costs_something_does_not(make_world: MakeWorld) -> None:
    world = make_world()
    world.start(off="2024-01-02")
    world.at("2024-02-10")
    assert world.state == EXPIRED
    assert [refusal.code for refusal in world.refused(Reactivate()).refusals] == ["payment_method.missing"]


# -- corrections


@dataclass
class Asked:
    command: Correct
    code: str


@pytest.mark.parametrize(
    "asked",
    [
        Asked(Correct(term_end=day("2024-02-10")), "correct.term"),
        Asked(Correct(term_end=day("2024-03-01")), "correct.term"),
        Asked(Correct(next_billing_date=day("2024-02-15")), "correct.date"),
        Asked(Correct(credit=euros("-1.00")), "correct.credit"),
    ],
    ids=lambda asked: str(asked.command),
)
def test_a_correction_that_would_have_no_effect_or_a_wrong_one_is_refused(make_world: MakeWorld, asked: Asked) -> None:
    world = make_world()
    world.start()
    refused = world.refused(asked.command, by=SUPPORT)
    assert [refusal.code for refusal in refused.refusals] == [asked.code]


@pytest.mark.parametrize("way", [SetRecurringBilling(False), Cancel("term_end")], ids=["off", "cancelled"])
def test_a_month_that_is_given_is_served_when_billing_is_switched_off(make_world: MakeWorld, way: Any) -> None:
    world = make_world("2024-01-01", policy(expired_days=0))
    world.start()
    world.do(Correct(next_billing_date=day("2024-03-01"), reason="a month free"), by=SUPPORT)
    assert world.sub.term_end == day("2024-03-01")
    world.at("2024-02-10")
    world.do(way)
    assert (world.state, world.sub.until) == (ACTIVE, day("2024-03-01"))
    world.at("2024-02-29")
    assert world.state == ACTIVE


def test_a_given_month_is_shown_by_the_deadline_that_stands(make_world: MakeWorld) -> None:
    world = make_world()
    world.start(off="2024-01-02")
    assert world.sub.until == day("2024-02-01")
    world.do(Correct(next_billing_date=day("2024-03-01")), by=SUPPORT)
    assert world.sub.until == day("2024-03-01")


def test_a_commitment_ends_on_a_date_of_the_schedule(make_world: MakeWorld) -> None:
    world = make_world()
    world.start(A)
    assert [refusal.code for refusal in world.refused(Correct(term_end=day("2024-06-15")), by=SUPPORT).refusals] == [
        "correct.term"
    ]
    later = Correct(next_billing_date=day("2025-02-01"))
    assert [refusal.code for refusal in world.refused(later, by=SUPPORT).refusals] == ["correct.term"]
    world.do(Correct(term_end=day("2024-06-01")), by=SUPPORT)
    assert world.sub.term_end == day("2024-06-01")


def test_deleted_is_an_ending_for_who_asks_for_service(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    world.do(Delete())
    assert world.refused(Reactivate(CARD), by=ADMIN).refusals
