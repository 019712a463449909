"""A correction is checked like a row, and what it leaves on record is what happens."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.domain.world import SUPPORT, A, MakeWorld, day, euros, policy

from subscription_lifecycle import ACTIVE, Cancel, Correct, SetRecurringBilling


@attrs.frozen
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
