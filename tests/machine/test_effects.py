"""Effects belong to the billing of a period, paid or owed; where nothing is billed they do not run."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from tests.domain.test_pause import in_march
from tests.domain.world import CARD, SUPPORT, M, World, euros

from subscription_lifecycle import (
    ACTIVE,
    PAST_DUE,
    PAUSED,
    SAME_STATE,
    STANDARD,
    Command,
    Context,
    Correct,
    DefinitionError,
    Lifecycle,
    Policy,
    Renew,
    RetryPayment,
    Subscription,
    Transition,
)
from subscription_lifecycle.standard.commands import ResumeAsScheduled


def count(context: Context[Any]) -> Mapping[str, Any]:
    metadata = context.subscription.metadata
    return {"metadata": {**metadata, "counted": metadata.get("counted", 0) + 1}}


def thank(context: Context[Any]) -> Mapping[str, Any]:
    return {"credit": (context.subscription.credit or euros(0)) + euros(5)}


def renewing(*effects: Any, **policies: Any) -> World:
    lifecycle = STANDARD.replace(Renew, ACTIVE, effects=effects)
    world = World(lifecycle=lifecycle.with_policies(Policy(**policies)))
    world.start(M, CARD)
    return world


def test_what_an_effect_counts_is_counted_when_the_charge_is_declined_and_not_again_when_it_is_paid() -> None:
    world = renewing(count)
    world.at("2024-01-31")
    world.declining(1)
    world.at("2024-02-01")
    assert (world.state, world.sub.cycles, world.sub.metadata["counted"]) == (PAST_DUE, 2, 1)
    world.at("2024-02-28")
    assert (world.state, world.sub.cycles, world.sub.metadata["counted"]) == (ACTIVE, 2, 1)
    world.at("2024-03-01")
    assert (world.sub.cycles, world.sub.metadata["counted"]) == (3, 2)


def test_it_is_counted_for_each_period_that_is_held() -> None:
    world = renewing(count, catch_up="hold")
    world.jump("2024-04-15")
    assert world.swept().held == ("sub",)
    renewals = [entry for entry in world.history if entry.row == "renew: active, date passed"]
    assert world.sub.metadata["counted"] == len(renewals)


def test_where_a_decline_bills_nothing_no_effect_runs() -> None:
    world = World(lifecycle=STANDARD.replace(RetryPayment, PAST_DUE, effects=[count]))
    world.start(M, CARD)
    world.at("2024-01-31")
    world.declining(9)
    world.at("2024-02-25")
    assert (world.state, len(world.gateway.requests) > 2) == (PAST_DUE, True)
    assert "counted" not in world.sub.metadata


def test_credit_that_an_effect_gives_and_a_charge_uses_counts_for_both() -> None:
    world = renewing(thank)
    world.done(Correct(credit=euros(8)), by=SUPPORT)
    with world.new_captures("12.00"):
        world.at("2024-02-01")
    assert world.sub.credit == euros(5)


def test_credit_that_an_effect_gives_is_given_once_when_the_charge_is_declined() -> None:
    world = renewing(thank)
    world.at("2024-01-31")
    world.declining(1)
    world.at("2024-02-02")
    assert (world.sub.owed, world.sub.credit) == (euros(20), euros(5))


def test_an_effect_moves_no_debt_and_no_date_of_a_decline() -> None:
    def forgetful(context: Context[Any]) -> Mapping[str, Any]:
        return {"arrears": (), "paid_through": context.dates.next_billing_date, "attempted_on": None}

    world = renewing(forgetful)
    world.at("2024-01-31")
    world.declining(1)
    world.at("2024-02-01")
    assert (world.sub.owed, str(world.sub.paid_through)) == (euros(20), "2024-02-01")
    assert world.sub.attempted_on is not None


def test_days_are_given_back_by_a_paid_resumption_alone() -> None:
    """What a decline leaves is the same with the effect and without: its days, debts and dates are its own."""

    def resumed(lifecycle: Lifecycle) -> Subscription:
        world = in_march(until="2024-04-10", resume="keep", served_unpaid="owed", pause_credit=True)
        world.use(lifecycle.with_policies(world.subs.lifecycle.policies))
        world.declining(1)
        world.at("2024-04-10")
        entry = world.entry("resume as scheduled")
        assert (entry.event, entry.billed is not None) == ("declined", True)
        return attrs.evolve(world.sub, recorded_at=None)

    assert resumed(STANDARD) == resumed(STANDARD.replace(ResumeAsScheduled, PAUSED, effects=[]))


@attrs.frozen
class Gift(Command):
    """Something for nothing."""


def five(context: Context[Any]) -> Mapping[str, Any]:
    return {"credit": euros(5)}


def seven(context: Context[Any]) -> Mapping[str, Any]:
    return {"credit": euros(7)}


def gifts(*effects: Any, **columns: Any) -> Lifecycle:
    return STANDARD.extend(Transition(Gift, ACTIVE, SAME_STATE, effects=effects, **columns), name="gifts")


def giving(lifecycle: Lifecycle) -> World:
    world = World(lifecycle=lifecycle)
    world.start(M, CARD)
    return world


def test_two_effects_that_change_one_field_are_named_with_it_and_their_row() -> None:
    world = giving(gifts(five, seven))
    before = world.record()
    with pytest.raises(DefinitionError, match="gift: active: the effects five and seven both change credit"):
        world.do(Gift())
    assert world.record() == before


def test_one_that_is_listed_twice_is_told_when_the_table_is_made() -> None:
    with pytest.raises(DefinitionError, match="gift: active: the effect five is listed 2 times"):
        gifts(five, five)


@pytest.mark.parametrize("field", ["state", "causes", "since", "version", "id", "customer", "recorded_at", "nonsense"])
def test_what_the_machine_keeps_no_effect_changes(field: str) -> None:
    with pytest.raises(DefinitionError, match=f"the effect <lambda> changes {field}, which no effect may"):
        giving(gifts(lambda context: {field: getattr(context.subscription, field, None)})).do(Gift())


@pytest.mark.parametrize(
    ("field", "column", "rule"),
    [
        ("next_billing_date", "billing_date", lambda context: context.dates),
        ("schedule", "billing_date", lambda context: context.dates),
        ("term_end", "commitment", lambda context: context.term),
        ("until", "until", lambda context: context.today),
    ],
)
def test_what_a_column_of_the_row_says_no_effect_changes(field: str, column: str, rule: Any) -> None:
    def meddle(context: Context[Any]) -> Mapping[str, Any]:
        return {field: getattr(context.subscription, field)}

    giving(gifts(meddle)).done(Gift())
    with pytest.raises(DefinitionError, match=f"the effect meddle changes {field}, which {column}= says"):
        giving(gifts(meddle, **{column: rule})).do(Gift())
