"""What is announced before it comes: once, in time, and nothing irreversible unannounced."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.domain.world import (
    CARD,
    SUPPORT,
    TRIAL,
    A,
    MakeWorld,
    World,
    Y,
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
    EXPIRED,
    MONTHLY,
    PROVIDER,
    BillingSchedule,
    Cancel,
    ChangePaymentMethod,
    Correct,
    Disable,
    Enable,
    ExtendTrial,
    InvalidValue,
    Notify,
    Pause,
    PaymentMethod,
    Period,
    Plan,
    Policy,
    Refused,
)

Told = tuple[str, str, str]


def told(world: World, id: str = "sub") -> list[Told]:
    """Each announcement: of what, when it was due, and for which day."""
    return [
        (
            entry.command.notice,
            f"{entry.effective_at:%Y-%m-%d}",
            str(entry.changes["noticed"].after[entry.command.notice]),
        )
        for entry in world.subs.history(id)
        if isinstance(entry.command, Notify)
    ]


def notices(**days: int) -> Any:
    return policy(notices=days)


# -- each kind


def test_a_renewal(make_world: MakeWorld) -> None:
    world = make_world("2024-01-31", notices(renewal=7))
    world.start(schedule=BillingSchedule(day("2024-01-31"), MONTHLY))
    world.at("2024-04-29T23:59")
    assert told(world) == [
        ("renewal", "2024-02-22", "2024-02-29"),
        ("renewal", "2024-03-24", "2024-03-31"),
        ("renewal", "2024-04-23", "2024-04-30"),
    ]
    assert [entry for entry in world.heard if isinstance(entry.command, Notify)] == [
        entry for entry in world.history if isinstance(entry.command, Notify)
    ]


def test_local_days_where_the_clocks_change(make_world: MakeWorld) -> None:
    """Los Angeles springs forward on 10 March: a week before 14 March is 8 hours behind UTC, the day itself 7."""
    world = make_world("2024-02-14T12:00", notices(renewal=7))
    world.start(time_zone="America/Los_Angeles")
    world.at("2024-03-07T07:59")
    assert told(world) == []
    world.at("2024-03-07T08:00")
    assert told(world) == [("renewal", "2024-03-07", "2024-03-14")]
    world.at("2024-03-14T06:59")
    assert world.sub.next_billing_date == day("2024-03-14")
    world.at("2024-03-14T07:00")
    assert world.sub.next_billing_date == day("2024-04-14")


def test_a_notice_longer_than_the_period_is_given_as_it_begins(make_world: MakeWorld) -> None:
    world = make_world("2024-01-10T09:00", notices(renewal=45))
    world.start()
    world.at("2024-03-01")
    assert told(world) == [("renewal", "2024-01-10", "2024-02-10"), ("renewal", "2024-02-10", "2024-03-10")]
    assert world.history[2].effective_at == instant("2024-01-10T09:00"), "not before it was bought"


def test_no_renewal_is_announced_that_does_not_come(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(renewal=7, expiry=10))
    world.start()
    world.at("2024-01-10")
    world.recurring_billing(on=False)
    world.at("2024-03-01")
    assert told(world) == [("expiry", "2024-01-22", "2024-02-01")]


def test_the_end_of_a_trial_and_a_new_end(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(trial_end=3))
    world.start(TRIAL)
    world.at("2024-01-28")
    world.done(ExtendTrial())
    world.at("2024-03-01")
    assert told(world) == [("trial_end", "2024-01-28", "2024-01-31"), ("trial_end", "2024-02-27", "2024-03-01")]


def test_a_card_that_expires(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(card_expiry=14))
    card = PaymentMethod.card("tok", country="NL", expires=day("2024-03-31"))
    world.start(payment_method=card)
    world.at("2024-04-15")
    assert told(world) == [("card_expiry", "2024-03-17", "2024-03-31")]
    world.done(ChangePaymentMethod(attrs.evolve(card, token="new", expires=day("2024-06-30"))))
    world.at("2024-08-01")
    assert told(world)[1:] == [("card_expiry", "2024-06-16", "2024-06-30")]
    world.done(ChangePaymentMethod(CARD))
    world.at("2024-12-01")
    assert len(told(world)) == 2


# -- deletion


def test_a_deletion(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(deletion=14))
    world.start(off="2024-01-10")
    world.at("2024-05-16")
    assert (world.state, world.sub.until, told(world)) == (DISABLED, day("2024-05-31"), [])
    world.at("2024-05-30")
    assert (world.state, told(world)) == (DISABLED, [("deletion", "2024-05-17", "2024-05-31")])
    world.at("2024-05-31")
    assert world.state == DELETED


@pytest.mark.parametrize(("swept", "deleted"), [("2024-06-20", "2024-06-27"), ("2024-06-06T18:00", "2024-06-13")])
def test_a_deletion_announced_late_is_put_off(make_world: MakeWorld, swept: str, deleted: str) -> None:
    """Cancelled on 10 March, to be deleted on 8 June; nobody swept in time to announce it on 1 June."""
    world = make_world("2024-01-01", notices(deletion=7))
    world.start(Y)
    world.at("2024-03-10")
    world.done(Cancel("now"))
    assert world.sub.until == day("2024-06-08")
    world.jump(swept)
    assert world.subs.get("sub").state == CANCELLED
    world.swept()
    [(_, due, until)] = told(world)
    assert (due, until, world.sub.until) == ("2024-06-01", deleted, day(deleted))
    assert world.entry("notify").recorded_at == instant(swept)
    world.at(str(day(deleted).replace(day=day(deleted).day - 1)))
    assert world.state == CANCELLED
    world.at(deleted)
    assert world.state == DELETED


def test_a_new_deadline_is_announced_anew(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(deletion=7))
    world.start(Y)
    world.at("2024-03-10")
    world.done(Cancel("now"))
    world.at("2024-06-02")
    world.done(Correct(until=day("2024-07-01"), reason="they asked"), by=SUPPORT)
    world.at("2024-07-01")
    assert told(world) == [("deletion", "2024-06-01", "2024-06-08"), ("deletion", "2024-06-24", "2024-07-01")]
    assert world.state == DELETED


@pytest.mark.parametrize("until", ["2024-03-01", "2024-03-10", "2024-03-12"])
def test_support_cannot_shorten_it_below_the_notice(make_world: MakeWorld, until: str) -> None:
    world = make_world("2024-01-01", notices(deletion=7))
    world.start(Y)
    world.at("2024-03-10T15:00")
    world.done(Cancel("now"))
    world.done(Correct(until=day(until), reason="erase it"), by=SUPPORT)
    world.at("2024-03-17")
    assert (world.state, world.sub.until) == (CANCELLED, day("2024-03-18")), "swept on the 11th"
    world.at("2024-03-18")
    assert world.state == DELETED


def test_no_window_and_a_notice_all_the_same(make_world: MakeWorld) -> None:
    rules = policy(expired_days=0, disabled_days=0, cancelled_days=0, notices={"deletion": 7})
    world = make_world("2024-01-01", rules)
    world.start(off="2024-01-10")
    world.at("2024-02-07")
    assert (world.state, world.sub.until) == (DISABLED, day("2024-02-08"))
    assert told(world) == [("deletion", "2024-02-01", "2024-02-08")]
    world.at("2024-02-08")
    assert world.state == DELETED


def test_a_person_deletes_at_once(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(deletion=7))
    world.start(Y)
    world.at("2024-03-10")
    world.done(Cancel("now"))
    world.subs.delete("sub", by=SUPPORT, idempotency_key="gdpr")
    assert world.state == DELETED


def test_blocked_nothing_is_deleted_or_announced(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(deletion=7, expiry=7, renewal=7))
    world.start(off="2024-01-10")
    world.at("2024-03-10")
    world.done(Disable(PROVIDER), by=SUPPORT)
    before = len(world.history)
    world.at("2024-09-01")
    assert len(world.history) == before
    world.done(Enable(), by=SUPPORT)
    world.at("2024-09-01T01:00")
    assert world.state == DISABLED
    until = world.sub.until
    assert until is not None
    assert until >= day("2024-09-08")
    world.at(str(until))
    assert world.state == DELETED
    assert told(world)[-1][2] == str(until)


# -- late, and twice


def test_late_it_says_the_same(make_world: MakeWorld) -> None:
    rules = policy(notices=dict.fromkeys(("renewal", "expiry", "trial_end", "card_expiry"), 7), catch_up="each")
    found = []
    for late in (False, True):
        world = make_world("2024-01-01", rules)
        world.start(TRIAL, PaymentMethod.card("tok", country="NL", expires=day("2024-03-31")))
        if late:
            world.jump("2024-04-20")
            world.swept()
            assert {entry.recorded_at for entry in world.history[1:] if entry.event != "started"} <= {world.clock()} | {
                world.history[0].recorded_at
            }
        else:
            world.at("2024-04-20")
        found.append([(entry.row, entry.event, entry.effective_at, entry.billed) for entry in world.history])
    assert found[0] == found[1]


def test_swept_twice_it_is_said_once(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(renewal=7))
    world.start()
    world.at("2024-01-25")
    for _ in range(3):
        world.swept()
    assert len(told(world)) == 1


def test_a_notice_behind_a_retry_leaves_the_retry(make_world: MakeWorld) -> None:
    """A sweep that is a day late finds a retry, and behind it a card that expires soon."""
    world = make_world("2024-01-01", policy(retry_after=(7,), notices={"card_expiry": 9}))
    world.start(payment_method=PaymentMethod.card("tok", country="NL", expires=day("2024-02-17")))
    world.at("2024-01-31")
    world.gateway.decline_next()
    world.at("2024-02-07")
    world.jump("2024-02-08T12:00")
    with world.new_captures("20.00"):
        assert world.swept().held == ()
    assert world.state == ACTIVE
    assert told(world) == [("card_expiry", "2024-02-08", "2024-02-17")]


def test_nobody_gives_notice_by_hand(world: World) -> None:
    world.use(notices(renewal=7))
    world.start()
    world.at("2024-01-25")
    for notice in ("renewal", "expiry", "dunning", "gossip"):
        found: Refused = world.refused(Notify(notice), by=SUPPORT)
        assert found.refusals


def test_without_the_policy_there_is_none(world: World) -> None:
    world.start(A)
    world.at("2024-04-01")
    assert told(world) == []


@pytest.mark.parametrize(
    "given", [{"birthday": 3}, {"renewal": -1}, {"renewal": True}, {"renewal": 1.5}, {"dunning": 3}, {"expiry": 40_000}]
)
def test_notices_that_are_none_are_refused(given: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        Policy(notices=given)
    assert caught.value.field == "notices"


def test_a_renewal_that_a_cancellation_comes_before_is_not_announced_but_the_end_is(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(renewal=7, expiry=10))
    world.start(A)
    world.at("2024-03-05")
    world.done(Cancel(day("2024-03-28")))
    world.at("2024-05-01")
    assert world.state == CANCELLED
    assert told(world)[2:] == [("expiry", "2024-03-18", "2024-03-28")]


@pytest.mark.parametrize(
    ("rule", "until", "renewals"),
    [
        ("move", "2024-02-10", ["2024-02-14"]),
        ("keep", "2024-02-10", ["2024-03-01"]),
        ("keep", "2024-01-30", ["2024-02-01", "2024-03-01"]),
    ],
)
def test_a_renewal_that_a_pause_comes_before_is_not_announced(rule: Any, until: str, renewals: list[str]) -> None:
    world = World("2024-01-01", policy(notices={"renewal": 7}, resume=rule))
    world.start()
    world.at("2024-01-05")
    world.done(Pause(day("2024-01-28"), day(until)))
    world.at("2024-03-01")
    assert [about for _, _, about in told(world)][: len(renewals)] == renewals


def test_the_end_is_announced_in_time_although_instalments_are_still_to_come(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(expiry=60))
    world.start(A, off="2024-03-05")
    world.at("2024-11-02")
    assert told(world) == [("expiry", "2024-11-02", "2025-01-01")]
    assert world.history[-1].recorded_at == instant("2024-11-02")
    world.at("2025-01-02")
    assert world.state == EXPIRED
    assert len(told(world)) == 1


def test_the_end_of_the_last_period_is_not_announced_before_it_begins(make_world: MakeWorld) -> None:
    world = make_world("2024-01-01", notices(expiry=20))
    world.start(Plan("three weeks", euros(10), Period(1, "week"), cycles=3))
    world.at("2024-01-15")
    assert told(world) == [("expiry", "2024-01-15", "2024-01-22")]
