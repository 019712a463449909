"""What is owed, and how it is collected: retries, the ladder, the end, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from tests.domain.world import (
    CARD,
    INVOICE,
    OTHER_CARD,
    SUPPORT,
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
    DELETED,
    DISABLED,
    DUNNING,
    MONTHLY,
    NON_PAYMENT,
    PAST_DUE,
    PAUSE,
    PROVIDER,
    WEEKLY,
    Access,
    BillingSchedule,
    Cancel,
    ChangePaymentMethod,
    Disable,
    DunningStep,
    Enable,
    InvalidValue,
    Notify,
    Pause,
    PayArrears,
    Plan,
    Policy,
    Reactivate,
    Resume,
    RetryPayment,
    SetRecurringBilling,
)
from subscription_lifecycle.ports import ChargedBack
from subscription_lifecycle.testing import laws
from subscription_lifecycle.testing.step import whole_life

LADDER = (
    DunningStep(3, "first reminder"),
    DunningStep(10, "service is reduced", Access.REDUCED),
    DunningStep(20, "service is suspended", Access.NONE),
)
HARD = {"code": "stolen_card", "retryable": False}


def asked(world: World) -> list[str]:
    """The days on which the gateway was asked for money since the first payment."""
    return [f"{entry.effective_at:%m-%d}" for entry in world.history if entry.event == "attempted"][1:]


def owing(world: World, until: str, *, times: int = 20, since: str = "2024-03-01", **decline: Any) -> None:
    """The renewal on that day is declined, and what follows until then; later payments go through."""
    world.at(str(day(since).replace(day=1) - (day("2024-01-02") - day("2024-01-01"))))
    for _ in range(times):
        world.gateway.decline_next(**decline)
    world.at(until)
    world.gateway._next.clear()


def begun(world: World, **more: Any) -> World:
    world.start(**more)
    world.at("2024-02-15")
    return world


# -- when it is asked again


def test_retries_are_counted_from_the_oldest_debt(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(retry_after=(2, 5, 9), retry_days=30)))
    owing(world, "2024-03-31")
    assert asked(world) == ["02-01", "03-01", "03-03", "03-06", "03-10"]
    assert (world.state, world.sub.owed) == (DISABLED, euros(20))


def test_a_retry_by_hand_does_not_move_the_days_of_the_others(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(retry_after=(2, 5, 9))))
    owing(world, "2024-03-04")
    world.gateway.decline_next()
    world.done(RetryPayment())
    owing(world, "2024-03-20")
    assert asked(world)[1:] == ["03-01", "03-03", "03-04", "03-06", "03-10"]


def test_days_behind_the_retry_days_are_asked_for_without_service(make_world: MakeWorld) -> None:
    """Grace with access for ten days, then a hold without it; what is paid there brings service back, dates kept."""
    world = begun(make_world("2024-01-01", policy(retry_after=(2, 5, 15), retry_days=10)))
    owing(world, "2024-03-15")
    assert (world.state, world.sub.cause, world.access) == (DISABLED, NON_PAYMENT, Access.REDUCED)
    assert str(world.sub.since) == "2024-03-11 00:00:00+00:00"
    with world.new_captures("20.00"):
        world.at("2024-03-16")
    assert (world.state, world.sub.causes, world.sub.arrears) == (ACTIVE, (), ())
    assert world.sub.next_billing_date == day("2024-04-01")
    with world.new_captures("20.00"):
        world.at("2024-04-01")


def test_a_declined_retry_without_service_moves_nothing(make_world: MakeWorld) -> None:
    for changes in ({}, {"recovery": "restart"}):
        world = begun(make_world("2024-01-01", policy(retry_after=(2, 15, 40, 50), retry_days=10, **changes)))
        owing(world, "2024-03-15")
        before = world.sub
        owing(world, "2024-04-15")
        kept = attrs.evolve(world.sub, attempted_on=None, version=0, recorded_at=None)
        assert kept == attrs.evolve(before, attempted_on=None, version=0, recorded_at=None)
        assert asked(world)[1:] == ["03-01", "03-03", "03-16", "04-10"]
        assert [entry.billed for entry in world.history[-2:]] == [None, None]


def test_behind_the_billing_date_a_retry_renews_only_what_recurs(make_world: MakeWorld) -> None:
    rules = policy(retry_after=(2, 40), retry_days=10)
    world = begun(make_world("2024-01-01", rules))
    owing(world, "2024-04-01")
    with world.new_captures("20.00", "20.00"):
        world.at("2024-04-10")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-05-10"))

    world = begun(make_world("2024-01-01", rules))
    world.at("2024-02-28")
    world.gateway.decline_next()
    world.at("2024-03-02")
    world.recurring_billing(on=False)
    owing(world, "2024-03-20")
    with world.new_captures():
        world.at("2024-06-09")
    assert world.state == DELETED, "a retry that cannot be made is in the way of nothing"


def test_from_invoices_nothing_is_retried(world: World) -> None:
    """What was put on an invoice and left unpaid is announced and ends service; no money is asked for."""
    world.use(policy(dunning=LADDER))
    world.start(payment_method=INVOICE)
    world.take_lines("inv-1")
    world.at("2024-01-10")
    world.subs.report_invoice("inv-1", paid=False, by=SUPPORT, idempotency_key="unpaid")
    world.at("2024-02-20")
    assert world.gateway.requests == []
    assert (world.state, world.sub.cause) == (DISABLED, NON_PAYMENT)
    assert announced(world)[:3] == [("2024-01-13", "2024-01-13"), ("2024-01-20", "2024-01-20")] + [
        ("2024-01-30", "2024-01-30")
    ]


# -- declined for good


def test_a_method_declined_for_good_is_not_asked_again(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(retry_after=(2, 5, 9, 20))))
    owing(world, "2024-03-08", times=1, **HARD)
    assert asked(world)[1:] == ["03-01"]
    assert world.sub.declined_method == CARD
    world.done(ChangePaymentMethod(OTHER_CARD))
    owing(world, "2024-03-11", times=1)
    assert asked(world)[2:] == ["03-10"], "the other is asked on the next day, and not for the days before it came"
    assert [str(entry.effective_at) for entry in world.history] == sorted(str(e.effective_at) for e in world.history)
    with world.new_captures("20.00"):
        world.at("2024-03-21")
    assert (world.state, world.sub.declined_method) == (ACTIVE, None)


def test_a_method_declined_for_good_is_asked_where_policy_says_so(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(retry_after=(2, 5), after_hard_decline="retry")))
    owing(world, "2024-03-08", **HARD)
    assert asked(world)[1:] == ["03-01", "03-03", "03-06"]


def test_a_retry_declined_for_good_ends_the_retries(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(retry_after=(2, 5, 9, 40), retry_days=12)))
    owing(world, "2024-03-04", times=2)
    owing(world, "2024-03-07", times=1, **HARD)
    with world.new_captures():
        world.at("2024-05-01")
    assert asked(world)[1:] == ["03-01", "03-03", "03-06"]
    assert (world.state, str(world.sub.since)) == (DISABLED, "2024-03-13 00:00:00+00:00"), "grace is as long as ever"
    with world.new_captures("20.00", "20.00"):
        world.done(PayArrears(OTHER_CARD))
        world.swept()
    assert (world.state, world.sub.declined_method) == (ACTIVE, None)


def test_no_method_at_all_is_a_decline_on_every_day(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(retry_after=(2, 5), retry_days=10)))
    brought = attrs.evolve(world.sub, id="other", payment_method=None, settlements=(), version=0)
    world.subs.adopt(brought, by=SUPPORT, idempotency_key="adopt")
    requests = len(world.gateway.requests)
    world.at("2024-03-12")
    assert {request.subscription for request in world.gateway.requests[requests:]} == {"sub"}
    other = world.subs.get("other")
    assert (other.state, other.owed) == (DISABLED, euros(20))
    declined = [f"{entry.effective_at:%m-%d}" for entry in world.subs.history("other") if entry.event == "declined"]
    assert declined == ["03-01", "03-03", "03-06"]


# -- the ladder


def announced(world: World) -> list[tuple[str, str]]:
    """When each rung was announced, and for which day."""
    return [
        (f"{entry.effective_at:%Y-%m-%d}", str(entry.changes["noticed"].after["dunning"]))
        for entry in world.history
        if entry.command == Notify("dunning")
    ]


def test_the_ladder_is_announced_and_lowers_access(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(dunning=LADDER)))
    owing(world, "2024-03-03")
    found = []
    for when in ("2024-03-10T23:59", "2024-03-11", "2024-03-20T23:59", "2024-03-21"):
        owing(world, when)
        found.append(world.access)
    assert found == [Access.FULL, Access.REDUCED, Access.REDUCED, Access.NONE]
    assert announced(world) == [(f"2024-03-{on}", f"2024-03-{on}") for on in ("04", "11", "21")]
    assert [entry.command for entry in world.heard if isinstance(entry.command, Notify)] == [Notify("dunning")] * 3
    with world.new_captures("20.00"):
        world.done(PayArrears())
    assert world.access is Access.FULL


def test_access_is_right_while_nobody_sweeps(make_world: MakeWorld) -> None:
    """Not one entry is written after the decline; a retry that is due is no money yet."""
    world = begun(make_world("2024-01-01", policy(dunning=LADDER, retry_days=40)))
    owing(world, "2024-03-01")
    for when, access in (
        ("2024-03-08", Access.FULL),
        ("2024-03-11", Access.REDUCED),
        ("2024-03-21", Access.NONE),
        ("2024-03-29", Access.NONE),
        ("2024-04-10", Access.NONE),
    ):
        world.jump(when)
        assert world.access is access, when
    assert world.subs.access("sub") is Access.NONE
    assert len(world.history) == len(world.heard)


def test_the_ladder_swept_late_says_the_same(make_world: MakeWorld) -> None:
    early, late = (begun(make_world("2024-01-01", policy(dunning=LADDER, retry_after=()))) for _ in range(2))
    for world in (early, late):
        owing(world, "2024-03-01")
    early.at("2024-05-15")
    late.jump("2024-05-15")
    late.swept()
    hidden = {"until", "recorded_at"}
    told = [
        [
            (entry.row, entry.effective_at, {name: c for name, c in entry.changes.items() if name not in hidden})
            for entry in world.history
        ]
        for world in (early, late)
    ]
    assert told[0] == told[1]
    assert announced(late) == announced(early)
    assert late.history[-1].recorded_at == instant("2024-05-15")


def test_the_ladder_counts_local_days(make_world: MakeWorld) -> None:
    """Across the change of the clocks on 31 March: 01:00 local summer time is 23:00 UTC the day before."""
    schedule = BillingSchedule(day("2024-01-31"), MONTHLY)
    world = make_world("2024-01-31", policy(dunning=LADDER, retry_after=(), retry_days=60))
    world.start(time_zone="Europe/Amsterdam", schedule=schedule)
    world.at("2024-03-01")
    world.declining(5)
    world.at("2024-03-31")
    world.at("2024-04-25")
    told = [entry.effective_at for entry in world.history if entry.command == Notify("dunning")]
    assert told == [
        datetime(2024, 4, 2, 22, tzinfo=UTC),
        datetime(2024, 4, 9, 22, tzinfo=UTC),
        datetime(2024, 4, 19, 22, tzinfo=UTC),
    ]
    assert world.sub.arrears[0].since == day("2024-03-31")


def test_a_block_holds_the_ladder_and_lifting_it_goes_on_where_it_stood(make_world: MakeWorld) -> None:
    steps = tuple(DunningStep(count, f"rung {count}") for count in range(1, 30))
    world = begun(make_world("2024-01-01", policy(dunning=steps, retry_after=(2,))))
    owing(world, "2024-03-04T12:00")
    world.done(Disable(PROVIDER), by=SUPPORT)
    world.at("2024-03-25T12:00")
    assert len(announced(world)) == 3
    world.done(Enable(), by=SUPPORT)
    world.swept()
    assert world.state == PAST_DUE
    assert announced(world)[3:] == []
    world.at("2024-03-26T12:00")
    assert announced(world)[3:] == [("2024-03-26", "2024-03-26")]


def test_a_block_holds_the_retries_and_lifting_it_goes_on_with_them(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(retry_after=(2, 5, 9, 27))))
    owing(world, "2024-03-04T12:00")
    world.done(Disable(PROVIDER), by=SUPPORT)
    world.at("2024-03-25T12:00")
    world.declining(2)
    world.done(Enable(), by=SUPPORT)
    world.swept()
    asked_at = [entry.effective_at for entry in world.history if entry.event == "attempted"]
    assert asked_at[3:] == [instant("2024-03-03")], "not on a day when it was blocked"
    world.at("2024-03-31")
    assert asked(world)[-2:] == ["03-27", "03-31"], "21 days later than without the block"


def test_a_block_longer_than_grace_leaves_the_days_that_were_left(make_world: MakeWorld) -> None:
    """A card that pays is asked before service ends; one that does not has as many days as without the block."""
    for pays in (True, False):
        world = begun(make_world("2024-01-01", policy(retry_after=(7, 14))))
        owing(world, "2024-03-03T12:00", times=1)
        assert world.sub.until == day("2024-03-31")
        world.done(Disable(PROVIDER), by=SUPPORT)
        world.at("2024-05-03T12:00")
        world.declining(0 if pays else 5)
        world.done(Enable(), by=SUPPORT)
        assert (world.state, world.sub.until) == (PAST_DUE, day("2024-05-31"))
        world.at("2024-05-30")
        assert asked(world)[2:3] == ["05-08"]
        assert world.state == (ACTIVE if pays else PAST_DUE)
        world.at("2024-05-31")
        assert world.state == (ACTIVE if pays else DISABLED)


def test_a_debt_that_came_to_be_during_a_block_falls_due_when_it_is_lifted(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(retry_after=(7,), disputed_method="ask")))
    world.done(Disable(PROVIDER), by=SUPPORT)
    world.at("2024-02-17")
    world.subs.report_payment(world.gateway.captures[-1].reference, ChargedBack("dp_1"))
    world.at("2024-02-25")
    world.done(Enable(), by=SUPPORT)
    assert (world.state, world.sub.until) == (PAST_DUE, day("2024-03-26"))
    assert [debt.since for debt in world.sub.arrears] == [day("2024-02-25")]


# -- when service ends


def test_the_end_that_is_shown_is_the_day_service_ends(make_world: MakeWorld) -> None:
    """The end of the retries or the last day of service, whichever is first; also where nothing ends with the retries,
    and where the last instalment is declined."""
    for end in ("disable", "keep", "cancel"):
        world = begun(make_world("2024-01-01", policy(when_retries_end=end, retry_after=())))
        owing(world, "2024-03-10")
        grace = world.sub.until
        assert grace == (None if end == "keep" else day("2024-03-31"))
        weekly = make_world("2024-01-01", policy(when_retries_end=end, retry_after=()))
        weekly.start(Plan("weekly", euros(7), WEEKLY))
        weekly.at("2024-01-07")
        weekly.declining(5)
        weekly.at("2024-01-09")
        for off in (SetRecurringBilling(False), Cancel("term_end")):
            shown = weekly.done(off).subscription.until
            assert shown == day("2024-01-15")
            again = weekly.done(SetRecurringBilling(True)).subscription.until
            assert again == (None if end == "keep" else day("2024-02-07"))
        weekly.done(SetRecurringBilling(False))
        weekly.at("2024-01-14")
        assert weekly.state == PAST_DUE
        weekly.at("2024-01-15")
        assert weekly.state != PAST_DUE


def test_the_last_instalment_that_is_declined_ends_with_the_term(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", policy(retry_after=(), retry_days=60))
    world.start(Plan("two", euros(7), MONTHLY, cycles=2))
    world.at("2024-01-31")
    world.declining(5)
    world.at("2024-02-01")
    assert (world.state, world.sub.until) == (PAST_DUE, day("2024-03-01"))
    world.at("2024-03-01")
    assert world.state == DISABLED


def test_a_second_debt_is_told_anew(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(dunning=LADDER, retry_after=(5,))))
    owing(world, "2024-03-05", times=1)
    world.at("2024-03-06")
    assert world.state == ACTIVE
    owing(world, "2024-04-05", since="2024-04-01", times=1)
    assert announced(world) == [("2024-03-04", "2024-03-04"), ("2024-04-04", "2024-04-04")]


@pytest.mark.parametrize(
    "steps",
    [
        (DunningStep(3, "a", Access.NONE), DunningStep(5, "b", Access.FULL)),
        (DunningStep(3, "a"), DunningStep(3, "b")),
        [DunningStep(3, "a")],
        ("first",),
    ],
)
def test_a_ladder_that_is_none_is_refused(steps: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        Policy(dunning=steps)
    assert caught.value.field == "dunning"


@pytest.mark.parametrize("days", [(0,), (5, 2), (2, 2), (True,), [2], (-1,), (2.5,)])
def test_retry_days_that_are_none_are_refused(days: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        Policy(retry_after=days)
    assert caught.value.field == "retry_after"


# -- when the retries end


def test_they_end_in_a_cancellation(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(when_retries_end="cancel", retry_after=(7,))))
    owing(world, "2024-03-31")
    assert (world.state, world.sub.cause, world.sub.until) == (CANCELLED, DUNNING, day("2024-06-29"))
    with world.new_captures("20.00"):
        world.reactivate()
    assert (world.state, world.sub.arrears, world.sub.next_billing_date) == (ACTIVE, (), day("2024-04-01"))


def test_back_from_a_cancellation_for_non_payment_after_the_billing_date(make_world: MakeWorld) -> None:
    """The period that was used is paid, and a new one from today."""
    world = begun(make_world("2024-01-01", policy(when_retries_end="cancel", retry_after=(7,))))
    owing(world, "2024-03-31")
    with world.new_captures():
        world.at("2024-04-10")
    with world.new_captures("40.00"):
        world.reactivate()
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-05-10"))
    with world.new_captures("20.00"):
        world.at("2024-05-10")


def test_cancelled_for_non_payment_and_left_alone_it_is_deleted(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(when_retries_end="cancel")))
    owing(world, "2024-03-31")
    world.at("2024-06-28")
    assert world.state == CANCELLED
    world.at("2024-06-29")
    assert (world.state, world.sub.owed) == (DELETED, euros(20))


def test_a_cancellation_for_non_payment_withdraws_the_one_that_was_asked_for(make_world: MakeWorld) -> None:
    """Else it would be carried out on the day of the past, once service is back and paid."""
    world = make_world("2024-01-01", policy(when_retries_end="cancel", retry_after=(7,)))
    world.start(A)
    world.at("2024-02-15")
    world.done(Cancel(day("2024-05-10")))
    owing(world, "2024-03-31")
    assert (world.state, world.sub.cancellation) == (CANCELLED, None)
    world.at("2024-05-20")
    world.reactivate()
    world.at("2024-05-25")
    assert world.state == ACTIVE


def test_who_comes_back_after_the_day_of_a_cancellation_stays(make_world: MakeWorld) -> None:
    """Disabled over that day: what is paid to come back is not paid for nothing."""
    world = make_world("2024-01-01", policy(retry_after=(7,)))
    world.start(A)
    world.at("2024-02-15")
    world.done(Cancel(day("2024-05-10")))
    owing(world, "2024-03-31")
    assert world.state == DISABLED
    world.at("2024-05-20T09:00")
    with world.new_captures("27.74"):
        world.reactivate()
    world.at("2024-05-31")
    assert (world.state, world.sub.cancellation, world.sub.until) == (ACTIVE, None, day("2025-01-01"))


def test_a_cancellation_whose_day_passed_during_a_block_waits_until_it_is_lifted(make_world: MakeWorld) -> None:
    world = begun(make_world(), plan=A)
    world.done(Cancel(day("2024-03-10")))
    world.at("2024-03-05")
    world.done(Disable(PROVIDER), by=SUPPORT)
    world.at("2024-03-20T09:00")
    with world.new_captures():
        world.done(Enable(), by=SUPPORT)
        world.swept()
    assert (world.state, str(world.sub.since)) == (CANCELLED, "2024-03-20 09:00:00+00:00")


def test_brought_in_without_service_it_is_asked_on_the_next_day_only(make_world: MakeWorld) -> None:
    """Days that were over before we knew it are not made up for."""
    world = begun(make_world("2024-01-01", policy(retry_after=(2, 5, 15), retry_days=10)))
    owing(world, "2024-03-12")
    other = attrs.evolve(world.sub, id="other", attempted_on=day("2024-03-01"), version=0, recorded_at=None)
    world.subs.adopt(other, by=SUPPORT, idempotency_key="adopt")
    world.swept()
    with world.new_captures("20.00", "20.00"):
        world.at("2024-03-16")
    assert len(world.subs.history("other")) == 3


def test_they_end_in_nothing(make_world: MakeWorld) -> None:
    """It stays past due, with what the ladder leaves of access, and each period adds to the debt."""
    world = begun(make_world("2024-01-01", policy(when_retries_end="keep", dunning=LADDER, retry_after=(7, 40))))
    owing(world, "2024-06-15")
    assert (world.state, world.sub.until, world.access) == (PAST_DUE, None, Access.NONE)
    assert [str(debt.period.start) for debt in world.sub.arrears] == [f"2024-0{m}-01" for m in (3, 4, 5, 6)]
    assert asked(world)[1:] == ["03-01", "03-08", "04-10"]
    with world.new_captures("80.00"):
        world.done(PayArrears(OTHER_CARD))
    assert (world.state, world.access, world.sub.next_billing_date) == (ACTIVE, Access.FULL, day("2024-07-01"))


def test_kept_past_due_it_ends_with_its_term(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(when_retries_end="keep", retry_after=())))
    owing(world, "2024-03-10")
    world.recurring_billing(on=False)
    world.at("2024-04-01")
    assert (world.state, world.sub.cause, world.sub.owed) == (DISABLED, NON_PAYMENT, euros(20))


# -- how it comes back


def test_recovered_in_grace_the_date_stays(make_world: MakeWorld) -> None:
    for recovery in ("keep", "restart"):
        world = begun(make_world("2024-01-01", policy(recovery=recovery)))
        owing(world, "2024-03-20")
        with world.new_captures("20.00"):
            world.done(PayArrears())
        assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-04-01"))


@pytest.mark.parametrize("way", [PayArrears(CARD), Reactivate(CARD), "retry"])
def test_recovered_with_a_new_period(make_world: MakeWorld, way: Any) -> None:
    """March was used until the 11th and is let go of; a new period is bought on the day of payment."""
    days = (2, 15) if way == "retry" else (2,)
    world = begun(make_world("2024-01-01", policy(recovery="restart", retry_days=10, retry_after=days)))
    owing(world, "2024-03-15")
    with world.new_captures("20.00"):
        world.at("2024-03-16")
        if way != "retry":
            world.done(way)
    assert (world.state, world.sub.arrears, world.sub.next_billing_date) == (ACTIVE, (), day("2024-04-16"))
    assert (world.sub.term_start, world.sub.term_end) == (day("2024-03-16"), day("2024-04-16"))
    assert [str(debt.period.start) for debt in world.history[-1].forgiven] == ["2024-03-01"]
    with world.new_captures("20.00"):
        world.at("2024-04-16")


def test_recovered_with_a_new_period_what_was_served_is_collected(make_world: MakeWorld) -> None:
    """Service was on through March and into April: March is paid, April is let go of."""
    world = begun(make_world("2024-01-01", policy(recovery="restart", retry_days=45, retry_after=(7,))))
    owing(world, "2024-04-20")
    assert str(world.sub.since) == "2024-04-15 00:00:00+00:00"
    assert world.sub.owed == euros(40)
    with world.new_captures("40.00"):
        world.done(PayArrears())
    lines = world.history[-1].charge
    assert lines is not None
    assert [(line.purpose, str(line.period.start)) for line in lines.lines] == [
        ("arrears", "2024-03-01"),
        ("period", "2024-04-20"),
    ]


def test_recovered_with_a_new_period_kept_debts_are_not_let_go_of(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(recovery="restart", arrears="keep", retry_days=45, retry_after=(7,))))
    owing(world, "2024-04-20")
    with world.new_captures("20.00"):
        world.reactivate()
    assert [(str(debt.period.start), debt.held) for debt in world.sub.arrears] == [("2024-03-01", True)]


def test_who_paid_for_the_running_period_buys_no_other(make_world: MakeWorld) -> None:
    """February is charged back in March, which is paid: the date stays, and nothing is paid twice."""
    world = begun(make_world("2024-01-01", policy(recovery="restart", chargeback="disable")))
    world.at("2024-03-10")
    february = world.gateway.captures[1]
    assert february.at == instant("2024-02-01")
    world.gateway.report(february.reference, ChargedBack("dp_1"))
    world.subs.report_payment(february.reference, ChargedBack("dp_1"))
    assert (world.state, world.sub.cause) == (DISABLED, NON_PAYMENT)
    with world.new_captures("20.00"):
        world.done(PayArrears())
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-04-01"))


def test_paying_what_is_owed_buys_nothing_where_recurring_billing_is_off(make_world: MakeWorld) -> None:
    for way in ("by hand", "by the clock"):
        world = make_world("2024-01-01", policy(recovery="restart", retry_days=10, retry_after=(15,)))
        world.start(A)
        world.at("2024-02-15")
        owing(world, "2024-03-02")
        world.recurring_billing(on=False)
        owing(world, "2024-03-15")
        assert world.state == DISABLED
        with world.new_captures("20.00"):
            if way == "by hand":
                world.done(PayArrears())
            world.at("2024-03-20")
        assert (world.state, world.sub.next_billing_date, world.sub.until) == (
            ACTIVE,
            day("2024-04-01"),
            day("2025-01-01"),
        )


def test_the_clock_asks_for_no_debt_that_waits_for_an_operator(make_world: MakeWorld) -> None:
    """Three months are held after an outage; the next renewal is declined, and its retry asks for that one alone."""
    world = make_world("2024-01-01", policy())
    world.start()
    world.jump("2024-04-20")
    assert world.swept().held == ("sub",)
    assert world.sub.owed == euros(60)
    world.gateway.decline_next()
    world.at("2024-05-01")
    assert (world.state, world.sub.owed) == (PAST_DUE, euros(80))
    with world.new_captures("20.00"):
        world.at("2024-05-08")
    assert (world.state, world.sub.owed) == (ACTIVE, euros(60))
    with world.new_captures("60.00"):
        world.done(RetryPayment())


# -- several in the way


def test_a_block_over_non_payment_over_a_pause(make_world: MakeWorld) -> None:
    """Each is lifted by itself, the strongest first; service comes back with the last."""
    world = begun(make_world("2024-01-01", policy(chargeback="disable", pause_days=300, resume="keep")))
    world.at("2024-03-10")
    world.done(Pause())
    assert world.sub.causes == (PAUSE,)
    world.done(Disable(PROVIDER), by=SUPPORT)
    assert (world.state, world.sub.causes) == (DISABLED, (PROVIDER, PAUSE))
    world.at("2024-03-20")
    with world.new_captures():
        world.done(Enable(), by=SUPPORT)
    assert (world.sub.causes, world.access) == ((PAUSE,), Access.NONE)
    with world.new_captures():
        world.done(Resume())
    assert (world.state, world.sub.causes, world.access) == (ACTIVE, (), Access.FULL)


def test_a_block_over_non_payment(make_world: MakeWorld) -> None:
    world = begun(make_world("2024-01-01", policy(retry_after=(7,))))
    owing(world, "2024-04-05")
    world.done(Disable(PROVIDER), by=SUPPORT)
    assert (world.state, world.sub.causes) == (DISABLED, (PROVIDER, NON_PAYMENT))
    assert world.refused(PayArrears()).refusals[0].code == "not_possible"
    with world.new_captures():
        world.at("2024-04-20")
        world.done(Enable(), by=SUPPORT)
    assert (world.state, world.sub.causes) == (DISABLED, (NON_PAYMENT,))
    with world.new_captures("20.00", "20.00"):
        world.done(PayArrears())
        world.swept()
    assert (world.state, world.sub.causes, world.sub.next_billing_date) == (ACTIVE, (), day("2024-05-20"))


def test_the_days_of_grace_in_a_period_that_is_let_go_of_are_a_gift() -> None:
    """Also on the last day of the period that was bought instead, when nothing is paid ahead any more."""
    world = World("2024-01-01", policy(recovery="restart", retry_days=7, retry_after=(3, 20)))
    world.start()
    world.declining(2)
    world.at("2024-02-21")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-03-21"))
    assert [debt.period.end for debt in world.subs.history("sub")[-1].forgiven] == [day("2024-03-01")]
    world.at("2024-03-20T12:00")
    laws.service_is_paid(attrs.evolve(whole_life(world.subs, "sub"), customers_only=True))
