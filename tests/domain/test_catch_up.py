"""What several charges lead to that fall due at once: each is made, the latest, or none; and what is said meanwhile."""

from __future__ import annotations

import pytest
from tests.domain.world import (
    CARD,
    OTHER_CARD,
    SUPPORT,
    TRIAL,
    A,
    MakeWorld,
    World,
    day,
    euros,
    instant,
    policy,
)

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DISABLED,
    EXPIRED,
    MONTHLY,
    PAST_DUE,
    TRIALING,
    WEEKLY,
    Access,
    BillingSchedule,
    Cancel,
    ChangePaymentMethod,
    PayArrears,
    Plan,
    Refused,
    RetryPayment,
)
from subscription_lifecycle.model.payment import CaptureRequest, PaymentOutcome
from subscription_lifecycle.testing import FakeGateway, laws
from subscription_lifecycle.testing.step import whole_life


def away(world: World, until: str = "2024-05-01", **more: object) -> World:
    """From 31 January on nobody sweeps: four periods have fallen due by the first of May."""
    world.start(**more)
    world.at("2024-01-31")
    world.jump(until)
    return world


def captured_at(world: World) -> list[str]:
    """For which days money was captured, in the order it was asked for."""
    found = [entry for entry in world.history if entry.event == "applied" and entry.payment is not None]
    return [f"{entry.effective_at:%m-%d}" for entry in found]


def told(world: World) -> list[object]:
    """What was billed, when, and where it led."""
    return [
        (entry.row, entry.event, entry.effective_at, entry.billed, entry.charge, entry.changes["next_billing_date"])
        for entry in world.history
        if entry.billed is not None
    ]


# -- T39


def test_each_is_made_oldest_first(make_world: MakeWorld) -> None:
    world = away(make_world("2024-01-01", policy(catch_up="each")))
    with world.new_captures("20.00", "20.00", "20.00", "20.00"):
        report = world.swept()
    assert (report.held, report.captured) == ((), 4)
    assert captured_at(world) == ["01-01", "02-01", "03-01", "04-01", "05-01"]
    assert (world.state, world.sub.arrears, world.sub.next_billing_date) == (ACTIVE, (), day("2024-06-01"))


def test_each_is_made_is_what_sweeps_in_time_would_have_done(make_world: MakeWorld) -> None:
    found = []
    for late in (False, True):
        world = make_world("2024-01-31", policy(catch_up="each"))
        world.start(time_zone="Pacific/Apia", schedule=BillingSchedule(day("2024-01-31"), MONTHLY))
        if late:
            world.jump("2024-09-15")
            world.swept()
        else:
            world.at("2024-09-15")
        found.append(told(world))
    assert found[0] == found[1]
    assert len(found[0]) == 8


def test_the_latest_is_made_and_the_others_are_held(make_world: MakeWorld) -> None:
    world = away(make_world("2024-01-01", policy(catch_up="latest")))
    with world.new_captures("20.00"):
        report = world.swept()
    assert (report.held, report.captured) == (("sub",), 1)
    assert captured_at(world) == ["01-01", "05-01"]
    assert [(str(debt.period.start), debt.held) for debt in world.sub.arrears] == [
        ("2024-02-01", True),
        ("2024-03-01", True),
        ("2024-04-01", True),
    ]
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-06-01"))
    with world.new_captures("20.00"):
        world.at("2024-06-01")
    assert world.sub.owed == euros(60)
    with world.new_captures("60.00"):
        world.done(PayArrears())


def test_none_is_made_and_all_are_held(make_world: MakeWorld) -> None:
    world = away(make_world("2024-01-01", policy(catch_up="hold")))
    with world.new_captures():
        assert world.swept().held == ("sub",)
    assert (world.state, world.sub.owed, world.access) == (ACTIVE, euros(80), Access.FULL)
    with world.new_captures("20.00"):
        world.at("2024-06-01")
    with world.new_captures("80.00"):
        world.done(RetryPayment())


def test_one_charge_that_is_late_is_made(make_world: MakeWorld) -> None:
    for catch_up in ("each", "latest", "hold"):
        world = away(make_world("2024-01-01", policy(catch_up=catch_up)), "2024-02-29T23:59")
        with world.new_captures("20.00"):
            assert world.swept().held == ()


def test_the_latest_declined_starts_its_own_dunning(make_world: MakeWorld) -> None:
    world = away(make_world("2024-01-01", policy(catch_up="latest", retry_after=(7,))))
    world.gateway.decline_next()
    with world.new_captures():
        world.swept()
    assert (world.state, world.sub.owed, world.sub.until) == (PAST_DUE, euros(80), day("2024-05-31"))
    with world.new_captures("20.00"):
        world.at("2024-05-08")
    assert (world.state, world.sub.owed) == (ACTIVE, euros(60))


def test_each_until_one_is_declined(make_world: MakeWorld) -> None:
    """Its last retry before the next period is made, as if in time."""
    world = away(make_world("2024-01-01", policy(catch_up="each", retry_after=(7, 14, 21, 28, 60), retry_days=70)))
    world.gateway.decline_next()
    with world.new_captures("20.00", "20.00", "20.00", "20.00"):
        world.swept()
    assert captured_at(world) == ["01-01", "02-29", "03-01", "04-01", "05-01"]
    assert (world.state, world.sub.arrears) == (ACTIVE, ())


def test_each_and_the_card_is_dead(make_world: MakeWorld) -> None:
    """It is asked for the period, and once more: not once for every retry day that was missed."""
    world = away(make_world("2024-01-01", policy(catch_up="each", retry_after=(3, 6, 9, 12, 15), retry_days=20)))
    world.declining(20)
    with world.new_captures():
        world.swept()
    asked = [f"{entry.effective_at:%m-%d}" for entry in world.history if entry.event == "attempted"][1:]
    assert asked == ["02-01", "02-16"]
    assert (world.state, world.sub.owed) == (DISABLED, euros(20))


@pytest.mark.parametrize("catch_up", ["each", "latest", "hold"])
def test_inside_a_term_the_instalments_are_caught_up_with(make_world: MakeWorld, catch_up: str) -> None:
    world = make_world("2024-01-01", policy(catch_up=catch_up))
    world.start(A)
    world.at("2024-01-10")
    world.recurring_billing(on=False)
    world.jump("2025-01-15")
    world.swept()
    captured = {"each": 12, "latest": 2, "hold": 1}[catch_up]
    assert (world.state, len(world.captured), world.sub.owed) == (EXPIRED, captured, euros(20 * (12 - captured)))


@pytest.mark.parametrize(("catch_up", "captured"), [("each", 4), ("latest", 1), ("hold", 0)])
def test_from_a_trial_on(make_world: MakeWorld, catch_up: str, captured: int) -> None:
    world = make_world("2024-01-01", policy(catch_up=catch_up))
    world.start(TRIAL)
    world.jump("2024-05-01")
    world.swept()
    assert (world.state, len(world.captured), world.sub.owed) == (ACTIVE, captured, euros(20 * (4 - captured)))
    assert world.sub.next_billing_date == day("2024-05-31")


# -- a command meets due charges


@pytest.mark.parametrize(("catch_up", "captured"), [("each", 4), ("latest", 1), ("hold", 0)])
def test_a_command_makes_them_first(make_world: MakeWorld, catch_up: str, captured: int) -> None:
    world = away(make_world("2024-01-01", policy(catch_up=catch_up)))
    with world.new_captures(*["20.00"] * captured):
        result = world.done(ChangePaymentMethod(OTHER_CARD))
    assert {request.payment_method for request in world.gateway.requests} == {CARD}, "they fell due on the old one"
    assert (result.subscription.owed, result.subscription.payment_method) == (euros(20 * (4 - captured)), OTHER_CARD)
    assert world.swept().captured == 0


def test_a_command_that_is_refused_makes_none(make_world: MakeWorld) -> None:
    world = away(make_world("2024-01-01", policy(catch_up="each")))
    found: Refused = world.refused(Cancel(day("2023-01-01")))
    assert found.refusals
    with world.new_captures("20.00", "20.00", "20.00", "20.00"):
        world.done(Cancel("now"))
    assert world.state == CANCELLED


# -- what is said while nobody sweeps


@pytest.mark.parametrize("catch_up", ["each", "latest", "hold"])
def test_access_is_right_while_nobody_sweeps(make_world: MakeWorld, catch_up: str) -> None:
    world = away(make_world("2024-01-01", policy(catch_up=catch_up)))
    entries = len(world.history)
    assert world.access is Access.FULL
    assert len(world.history) == entries


@pytest.mark.parametrize("catch_up", ["each", "latest", "hold"])
def test_any_instant_to_come_can_be_asked_for(make_world: MakeWorld, catch_up: str) -> None:
    """A charge that is to come counts as paid."""
    world = make_world("2024-01-01", policy(catch_up=catch_up))
    world.start()
    world.at("2024-01-15")
    for when, until in (("2024-01-31", "2024-02-01"), ("2024-02-01", "2024-03-01"), ("2024-07-15", "2024-08-01")):
        found = world.subs.as_of("sub", instant(when))
        assert found is not None
        assert (found.state, found.arrears, str(found.next_billing_date)) == (ACTIVE, (), until)
    far = world.subs.as_of("sub", instant("2034-01-15"))
    assert far is not None
    assert (far.state, far.arrears, str(far.next_billing_date)) == (ACTIVE, (), "2034-02-01")
    later = world.subs.preview("sub", Cancel("now"), by=SUPPORT, at=instant("2024-07-15"))
    assert (later.before.arrears, str(later.before.next_billing_date)) == ((), "2024-08-01")
    assert world.subs.as_of("sub", instant("2023-12-31")) is None
    assert world.captured == [euros(20)]


def test_as_of_the_future_of_a_trial_and_of_an_end(world: World) -> None:
    world.start(TRIAL)
    world.at("2024-01-10")
    found = world.subs.as_of("sub", instant("2024-01-30T23:59"))
    assert found is not None
    assert found.state == TRIALING
    found = world.subs.as_of("sub", instant("2024-01-31"))
    assert found is not None
    assert found.state == ACTIVE
    world.recurring_billing(on=False)
    found = world.subs.as_of("sub", instant("2024-01-31"))
    assert found is not None
    assert found.state == EXPIRED
    found = world.subs.as_of("sub", instant("2024-03-01"))
    assert found is not None
    assert found.state == DISABLED


# -- a sweep that dies half way


def test_a_sweep_that_dies_half_way_loses_and_doubles_nothing(make_world: MakeWorld) -> None:
    class Unplugged(FakeGateway):
        left = 2

        def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
            self.left -= 1
            if not self.left:
                raise SystemExit
            return super().capture(request)

    world = away(make_world("2024-01-01", policy(catch_up="each")))
    unplugged = Unplugged(world.clock)
    unplugged.ledger, unplugged.captures = world.gateway.ledger, world.gateway.captures
    world.gateway = unplugged
    world.use(policy(catch_up="each"))
    with pytest.raises(SystemExit):
        world.subs.sweep()
    unplugged.left = 100
    world.swept()
    assert world.captured == [euros(20)] * 5
    assert captured_at(world) == ["01-01", "02-01", "03-01", "04-01", "05-01"]


def test_a_retry_that_is_passed_over_bills_nothing_also_where_it_would_buy_a_new_period() -> None:
    world = World("2024-01-01", policy(recovery="restart", retry_after=(2, 5, 15, 40), retry_days=10))
    world.start(Plan("weekly", euros(20), WEEKLY))
    world.declining(3)
    world.at("2024-01-18")
    assert world.state == DISABLED
    world.clock.set("2024-02-25T12:00Z")
    assert not world.subs.sweep().failed
    passed = [entry for entry in world.subs.history("sub") if entry.event == "held"]
    assert [(entry.effective_at.day, entry.billed) for entry in passed] == [(23, None)]
    assert passed[-1].row == "retry payment: disabled, non payment, date passed"
    laws.debts_stay(whole_life(world.subs, "sub"))


# -- retries that were missed


def asked(world: World) -> list[str]:
    """For which days money was asked for since the first payment."""
    return [f"{entry.effective_at:%m-%d}" for entry in world.history if entry.event == "attempted"][1:]


@pytest.mark.parametrize("catch_up", ["each", "latest", "hold"])
@pytest.mark.parametrize("end", ["disable", "cancel"])
def test_the_last_retry_is_made_good_before_service_ends(make_world: MakeWorld, catch_up: str, end: str) -> None:
    """Only rows that ask for no money are behind it: a renewal that is owed, and the end of the retries."""
    world = make_world("2024-01-01", policy(catch_up=catch_up, when_retries_end=end))
    world.start()
    world.declining(4)
    world.at("2024-02-28")
    world.jump("2024-03-02T06:00")
    assert world.access is Access.REDUCED, "nobody is taken to have paid"
    with world.new_captures("20.00", "20.00"):
        assert world.swept().held == ()
    assert (world.state, world.sub.owed, world.sub.next_billing_date) == (ACTIVE, euros(0), day("2024-04-01"))
    assert asked(world)[-2:] == ["02-29", "03-01"]


@pytest.mark.parametrize("catch_up", ["latest", "hold"])
def test_a_card_that_does_not_pay_is_asked_once_for_all_days_that_were_missed(
    make_world: MakeWorld, catch_up: str
) -> None:
    """Those in grace and those behind it."""
    rules = policy(catch_up=catch_up, retry_after=(7, 14, 21, 28, 35, 42), retry_days=30)
    world = make_world("2024-01-01", rules)
    world.start()
    world.declining(3)
    world.at("2024-02-09")
    world.jump("2024-03-08T06:00")
    report = world.swept()
    assert (report.held, report.declined) == ((), ("sub",))
    assert asked(world) == ["02-01", "02-08", "02-29"]
    assert (world.state, world.sub.owed) == (DISABLED, euros(40))
    with world.new_captures("40.00"):
        world.at("2024-03-14")
    assert world.state == ACTIVE, "days to come are asked for"


def test_a_retry_behind_grace_is_made_good_before_the_deletion(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(retry_after=(7, 40), disabled_days=20))
    world.start()
    world.declining(2)
    world.at("2024-03-03")
    assert world.state == DISABLED
    world.jump("2024-05-10T06:00")
    with world.new_captures("40.00"):
        world.swept()
    assert asked(world)[-1] == "03-12"
    assert world.state == ACTIVE


def test_what_is_held_waits_for_an_operator(make_world: MakeWorld) -> None:
    """A retry that another makes good waits for nobody."""
    world = make_world("2024-01-01", policy())
    world.start()
    world.declining(1)
    world.at("2024-02-01")
    world.jump("2024-02-16T06:00")
    with world.new_captures("20.00"):
        assert world.swept().held == ()
    assert [entry.event for entry in world.history][-3:] == ["held", "attempted", "applied"]
    world.jump("2024-05-10T06:00")
    assert world.swept().held == ("sub",)
    assert [debt.held for debt in world.sub.arrears] == [True, True, True]
