"""What a rule sees is what was asked before it; each is asked once, and what it cannot answer names it."""

from collections import Counter
from datetime import date, timedelta
from typing import Any

import attrs
import pytest
from tests.domain.world import ADMIN, CARD, M, World, euros

from subscription_lifecycle import (
    ACTIVE,
    MONTHLY,
    STANDARD,
    Command,
    Context,
    DefinitionError,
    Lifecycle,
    Plan,
    Reactivate,
    Transition,
    guard,
)
from subscription_lifecycle.machine.guard import BillingDates
from subscription_lifecycle.model.charge import Charge, ChargeLine
from subscription_lifecycle.model.schedule import BillingPeriod


@attrs.frozen
class Top(Command):
    """Buys so many days more."""

    days: int = 5


def later(context: Context[Top]) -> BillingDates:
    subscription = context.subscription
    return BillingDates(subscription.schedule, subscription.next_billing_date + timedelta(days=context.command.days))


def fee(context: Context[Top]) -> Charge:
    period = BillingPeriod(context.subscription.next_billing_date, context.dates.next_billing_date)
    return Charge((ChargeLine("period", euros(context.command.days), period),))


def longer(context: Context[Top]) -> tuple[date, date]:
    return context.subscription.term_start, context.dates.next_billing_date


def table(*guards: Any, **columns: Any) -> Lifecycle:
    rules = {"billing_date": later, "commitment": longer, "charge": fee} | columns
    return STANDARD.extend(Transition(Top, ACTIVE, ACTIVE, guards=guards, **rules), name="topped")


def begun(lifecycle: Lifecycle) -> World:
    world = World(lifecycle=lifecycle)
    world.start(M, CARD)
    return world


def test_a_guard_sees_the_dates_the_term_and_the_charge_that_the_row_brings() -> None:
    seen: list[Any] = []

    @guard("looks", "It looks.")
    def looks(context: Context[Top]) -> bool:
        seen[:] = [context.target, context.dates.next_billing_date, context.term[1], context.charge.total("EUR")]
        return True

    world = begun(table(looks))
    with world.new_captures("5.00"):
        world.done(Top())
    assert seen == [ACTIVE, date(2024, 2, 6), date(2024, 2, 6), euros(5)]
    assert (world.sub.next_billing_date, world.sub.term_end) == (date(2024, 2, 6), date(2024, 2, 6))


def test_a_limit_on_what_a_standard_row_charges_holds() -> None:
    @guard("approval.missing", "Above 1,000 EUR a second person approves.")
    def approved(context: Context[Reactivate]) -> bool:
        return context.charge.total("EUR") <= euros(1000)

    world = World(lifecycle=STANDARD.guarded(Reactivate, approved))
    world.start(Plan("big", euros(1800), MONTHLY), CARD, off="2024-01-10")
    world.at("2024-03-10")
    assert [refusal.code for refusal in world.refused(Reactivate(CARD)).refusals] == ["approval.missing"]


def test_each_rule_is_asked_once() -> None:
    asked = Counter[str]()

    def counted(rule: Any) -> Any:
        def counting(context: Any) -> Any:
            asked[rule.__name__] += 1
            return rule(context)

        return counting

    @guard("looks", "It looks.")
    def looks(context: Context[Top]) -> bool:
        return bool(context.charge and context.charge and context.term and context.dates)

    lifecycle = table(looks, billing_date=counted(later), commitment=counted(longer), charge=counted(fee))
    world = begun(lifecycle)
    lifecycle.decide(world.sub, Top(), by=ADMIN, at=world.clock())
    assert asked == {"later": 1, "longer": 1, "fee": 1}


def test_a_rule_sees_nothing_of_what_is_asked_after_it() -> None:
    seen: list[Any] = []

    def looking(context: Context[Top]) -> BillingDates:
        seen[:] = [context.dates.next_billing_date, context.term[1], context.charge]
        return later(context)

    world = begun(table(billing_date=looking))
    world.done(Top())
    assert seen == [date(2024, 2, 1), date(2024, 2, 1), Charge()]


def test_a_guard_whose_row_needs_the_command_is_left_out_of_what_is_offered() -> None:
    @guard("limit", "It costs too much.")
    def limited(context: Context[Top]) -> bool:
        return context.charge.total("EUR") <= euros(3)

    world = begun(table(limited))
    assert world.actions()[Top].availability == "available"
    world.refused(Top())
    world.done(Top(3))


@pytest.mark.parametrize("column", ["billing_date", "commitment", "charge", "until", "effects", "claims"])
def test_what_a_rule_cannot_answer_names_it_and_its_row(column: str) -> None:
    def asserting(context: Context[Top]) -> Any:
        raise AssertionError("only a whole period")

    def failing(context: Context[Top]) -> Any:
        raise LookupError("no rate")

    world = begun(table(**{column: asserting}))
    before = world.record()
    with pytest.raises(DefinitionError, match=r"top: active: the .* rule asserting|effect asserting") as wrong:
        world.do(Top())
    assert "only a whole period" in str(wrong.value)
    world.use(table(**{column: failing}))
    with pytest.raises(LookupError, match="no rate") as failed:
        world.do(Top())
    assert any("failing" in note and "top: active" in note for note in failed.value.__notes__)
    assert world.record() == before
    assert len(world.captured) == 1


def test_a_guard_that_refuses_comes_before_a_rule_that_cannot_answer() -> None:
    @guard("never", "Never.")
    def never(context: Context[Top]) -> bool:
        return False

    def asserting(context: Context[Top]) -> Any:
        raise AssertionError

    world = begun(table(never, billing_date=asserting))
    assert [refusal.code for refusal in world.refused(Top()).refusals] == ["never"]
