"""DELETED is an ending and not a hole: no row leads out of it, and money is heard of still."""

from __future__ import annotations

import pytest
from tests.domain.world import CARD, INVOICE, SUPPORT, MakeWorld, World, euros

from subscription_lifecycle import ACTIVE, DELETED, PAST_DUE, STANDARD, Delete, Reactivate, Refund, Transition
from subscription_lifecycle.errors import DefinitionError
from subscription_lifecycle.ports import ChargebackReversed, ChargedBack


def charged_back(world: World) -> str:
    reference = world.gateway.captures[0].reference
    world.gateway.report(reference, ChargedBack("dp_1"))
    world.subs.report_payment(reference, ChargedBack("dp_1"))
    return reference


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


def test_deleted_is_an_ending_for_who_asks_for_service(make_world: MakeWorld) -> None:
    world = make_world()
    world.start()
    world.do(Delete())
    assert world.refused(Reactivate(CARD)).refusals
