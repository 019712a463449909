"""Writing off gives up the claim for days served and lets go of the days to come: who comes back buys those."""

from datetime import date
from typing import Any

import pytest
from tests.domain.test_money_that_moves_again import charged_back, given_back, last_reference
from tests.domain.world import BANK, CARD, OTHER_CARD, SUPPORT, M, World, Y, euros, policy

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DISABLED,
    Cancel,
    ForgiveArrears,
    PayArrears,
    PaymentDeclined,
    Reactivate,
    RetryPayment,
    WriteOff,
)


def written_off(**policies: Any) -> World:
    """The renewal of 1 January 2025 was declined and is written off on the 5th."""
    world = World(lifecycle=policy(**policies))
    world.start(Y, CARD)
    world.at("2024-12-31")
    world.declining(9)
    world.at("2025-01-05")
    world.done(WriteOff("uncollectable"), by=SUPPORT)
    world.gateway._next.clear()
    return world


def test_who_comes_back_buys_the_rest_of_the_period_by_days() -> None:
    world = written_off()
    assert world.sub.paid_through == date(2025, 1, 1)
    world.at("2025-01-06")
    with world.new_captures("360.00"):
        world.reactivate(OTHER_CARD)
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, date(2026, 1, 1))
    assert world.sub.paid_through == date(2026, 1, 1)
    charge = world.history[-1].charge
    assert charge is not None
    assert [line.purpose for line in charge.lines] == ["period"]


def test_what_was_bought_goes_back_once_like_any_other() -> None:
    world = written_off()
    world.at("2025-01-06")
    world.reactivate(OTHER_CARD)
    world.at("2025-01-07")
    world.done(Cancel("now", refund="prorated"))
    assert world.refunded == [euros("359.00")]
    with world.new_captures("359.00"):
        world.reactivate()


def test_what_was_forgiven_is_a_gift() -> None:
    world = World()
    world.start(Y, CARD)
    world.at("2024-12-31")
    world.declining(9)
    world.at("2025-01-05")
    world.done(ForgiveArrears(), by=SUPPORT)
    assert (world.state, world.sub.settlements) == (ACTIVE, ())
    world.done(Cancel("now"))
    with world.new_captures():
        world.reactivate()


def test_written_off_after_service_went_off() -> None:
    world = World()
    world.start(Y, CARD)
    world.at("2024-12-31")
    world.declining(9)
    world.at("2025-02-10")
    assert world.state is DISABLED
    world.done(WriteOff("uncollectable"), by=SUPPORT)
    world.gateway._next.clear()
    world.at("2025-02-20")
    with world.new_captures("315.00"):
        world.reactivate()
    assert world.sub.next_billing_date == date(2026, 1, 1)


def test_written_off_behind_a_cancellation() -> None:
    world = World()
    world.start(Y, CARD)
    world.at("2024-12-31")
    world.declining(9)
    world.at("2025-01-05")
    world.done(Cancel("now"))
    world.done(WriteOff("uncollectable"), by=SUPPORT)
    world.gateway._next.clear()
    assert world.state is CANCELLED
    world.at("2025-01-06")
    with world.new_captures("360.00"):
        world.reactivate()
    assert (world.sub.next_billing_date, world.sub.settlements[0].recharged) == (date(2026, 1, 1), False)


@pytest.mark.parametrize("command", [RetryPayment(), PayArrears()])
def test_who_pays_a_debt_that_came_later_buys_the_rest_too(command: RetryPayment | PayArrears) -> None:
    world = written_off()
    charged_back(world, last_reference(world))
    assert world.sub.owed == euros("365.00")
    with world.new_captures("726.00"):
        world.done(command)
    assert (world.state, world.sub.arrears) == (ACTIVE, ())


def test_money_that_comes_back_pays_its_debt_and_buys_no_more() -> None:
    world = written_off()
    reference = last_reference(world)
    charged_back(world, reference)
    given_back(world, reference)
    assert (world.state, world.sub.arrears, world.refunded) == (DISABLED, (), [])
    with world.new_captures("361.00"):
        world.reactivate()


def test_a_declined_way_back_leaves_what_was_let_go_of() -> None:
    world = written_off()
    charged_back(world, last_reference(world))
    world.declining(1)
    with pytest.raises(PaymentDeclined):
        world.do(Reactivate(OTHER_CARD))
    with world.new_captures("726.00"):
        world.reactivate(OTHER_CARD)


def test_nothing_is_owed_any_more_so_that_no_period_begins_anew() -> None:
    world = written_off(recovery="restart")
    world.at("2025-01-06")
    with world.new_captures("360.00"):
        world.reactivate()
    assert world.sub.next_billing_date == date(2026, 1, 1)


def test_of_a_bank_debit_that_is_charged_back_and_written_off() -> None:
    world = World()
    world.start(M, BANK)
    reference = last_reference(world)
    world.at("2024-01-11")
    charged_back(world, reference)
    world.done(WriteOff(), by=SUPPORT)
    given_back(world, reference)
    assert world.state is DISABLED
    with world.new_captures("13.55"):
        world.reactivate()
