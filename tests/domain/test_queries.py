"""What can be asked: it agrees with what happens, it is right when a sweep is late, and it reads as sentences."""

from __future__ import annotations

from datetime import datetime

import pytest
from tests.domain.conditions import WAYS, in_condition
from tests.domain.world import (
    ADMIN,
    CARD,
    OTHER_CARD,
    SUPPORT,
    USER,
    A,
    M,
    World,
    day,
    euros,
    instant,
)

from subscription_lifecycle import (
    ACTIVE,
    DISABLED,
    EXPIRED,
    SCHEDULED,
    Access,
    Actor,
    Adopt,
    AlreadyExists,
    Applied,
    Cancel,
    Command,
    NotPossible,
    PayArrears,
    Reactivate,
    Refused,
    Start,
    Subscription,
    UnknownSubscription,
)
from subscription_lifecycle.ports import Captured, Processing


@pytest.fixture
def t1(world: World) -> World:
    """M, recurring billing off on 10 March; last swept then."""
    world.start(M, off="2024-03-10")
    return world


# -- when a sweep is late


@pytest.mark.parametrize(
    ("when", "state", "access"),
    [
        ("2024-03-31T23:59", ACTIVE, Access.FULL),
        ("2024-04-01", EXPIRED, Access.FULL),
        ("2024-05-01", DISABLED, Access.REDUCED),
    ],
)
def test_state_and_access_are_right_when_a_sweep_is_late(t1: World, when: str, state: object, access: Access) -> None:
    t1.jump(when)
    assert (t1.state, t1.access) == (state, access)
    t1.swept()
    assert (t1.state, t1.access) == (state, access)


def test_reading_writes_nothing(t1: World) -> None:
    t1.jump("2024-05-10")
    before = t1.record()
    t1.subs.get("sub")
    t1.subs.access("sub")
    t1.actions()
    t1.preview(Reactivate(CARD))
    t1.subs.explain("sub", Reactivate(CARD), by=USER)
    t1.subs.as_of("sub", instant("2024-04-15"))
    t1.subs.search()
    assert t1.record() == before


def test_deletion_is_not_announced_by_reading_alone(t1: World) -> None:
    """The clock deletes only a full window after it was recorded: until somebody writes, it stays disabled."""
    t1.jump("2025-01-01")
    assert t1.state == DISABLED
    t1.swept()
    assert (t1.state, t1.sub.until) == (DISABLED, day("2025-04-01"))


# -- history


def test_history_folds_to_what_get_says(t1: World) -> None:
    t1.at("2024-05-10")
    t1.reactivate()
    entries = t1.history
    assert [entry.version for entry in entries] == list(range(1, t1.sub.version + 1))
    recorded = [entry.recorded_at for entry in entries]
    assert recorded == sorted(recorded)
    assert t1.subs.as_of("sub", t1.clock()) == t1.sub


def test_as_of_asks_what_held_and_what_was_known(t1: World) -> None:
    t1.jump("2024-05-10")
    t1.swept()

    def state(at: str, known_at: str | None = None) -> object:
        known = None if known_at is None else instant(known_at)
        found = t1.subs.as_of("sub", instant(at), known_at=known)
        return None if found is None else found.state

    assert state("2023-12-31") is None
    assert [state("2024-03-31"), state("2024-04-15"), state("2024-05-05")] == [ACTIVE, EXPIRED, DISABLED]
    late = t1.subs.as_of("sub", instant("2024-03-15"))
    assert late is not None
    assert (late.recurring_billing, late.next_billing_date) == (False, day("2024-04-01"))
    early = t1.subs.as_of("sub", instant("2024-03-15"), known_at=instant("2024-03-05"))
    assert early is not None
    assert early.recurring_billing


def test_as_of_before_money_that_was_waited_for(world: World) -> None:
    """The renewal of 1 February was asked for on the 5th, and the bank took until the 6th."""
    world.start(M)
    world.jump("2024-02-05")
    world.gateway.require_action_next()
    world.swept()
    reference = world.gateway.requests[-1].reference
    world.jump("2024-02-05T12:00")
    world.subs.report_payment(reference, Processing("ch"))
    world.jump("2024-02-06")
    world.subs.report_payment(reference, Captured("ch", world.clock()))
    for at in ("2024-01-15", "2024-02-02", "2024-02-05T06:00", "2024-02-10"):
        found = world.subs.as_of("sub", instant(at))
        assert found is not None
        assert found.next_billing_date == day("2024-02-01" if at < "2024-02" else "2024-03-01")


def test_as_of_before_what_a_late_sweep_wrote(t1: World) -> None:
    """Late money was reported on 5 April; only then was it written that the term ended on the first."""
    t1.gateway.require_action_next()
    t1.jump("2024-04-01T12:00")
    waiting = t1.waits(Reactivate(CARD))
    t1.jump("2024-04-03")
    t1.swept()
    t1.jump("2024-05-05")
    t1.capture_arrives(waiting.payment.reference)
    t1.subs.report_payment(waiting.payment.reference, Captured("ch", t1.clock()))
    t1.jump("2024-05-06")
    t1.swept()
    found = t1.subs.as_of("sub", instant("2024-05-02"))
    assert found is not None
    assert (found.state, found.since) == (DISABLED, instant("2024-05-01"))
    assert t1.subs.as_of("sub", t1.clock()) == t1.sub


def test_a_listener_hears_every_entry_in_order(t1: World) -> None:
    t1.at("2024-05-10")
    t1.reactivate()
    t1.swept()
    assert t1.heard == list(t1.history)


# -- what may be done


def outcome(world: World, command: Command, by: Actor) -> tuple[str, ...]:
    try:
        world.do(command, by=by)
    except Refused as refused:
        return tuple(refusal.code for refusal in refused.refusals)
    return ()


@pytest.mark.parametrize("by", [ADMIN, USER, SUPPORT], ids=["admin", "user", "support"])
@pytest.mark.parametrize("command", [Reactivate(OTHER_CARD), Cancel("now"), PayArrears()], ids=lambda c: c.title)
@pytest.mark.parametrize("condition", WAYS)
def test_actions_explain_preview_and_outcome_agree(condition: str, command: Command, by: Actor) -> None:
    world = in_condition(condition)
    offered = world.actions(by=by)[type(command)]
    refusals = world.subs.explain("sub", command, by=by)
    previewed: object
    try:
        previewed = world.preview(command, by=by).after
    except Refused as refused:
        previewed = None
        assert refused.refusals == refusals
    codes = outcome(world, command, by)
    assert codes == tuple(refusal.code for refusal in refusals)
    assert (offered.availability == "available") == (codes == ())
    if isinstance(previewed, Subscription):
        after = world.sub
        assert (after.state, after.next_billing_date, after.arrears, after.credit, after.causes) == (
            previewed.state,
            previewed.next_billing_date,
            previewed.arrears,
            previewed.credit,
            previewed.causes,
        )


def test_all_refusals_are_told_at_once(t1: World) -> None:
    t1.jump("2024-04-10")
    refusals = t1.refused(Reactivate(None), by=USER).refusals
    assert [refusal.code for refusal in refusals] == ["role.billing", "payment_method.missing"]
    assert refusals == t1.subs.explain("sub", Reactivate(None), by=USER)


def test_another_customers_administrator_is_refused(t1: World) -> None:
    t1.jump("2024-04-10")
    stranger = Actor("eve", ADMIN.roles, customer="fabrikam")
    (refusal,) = t1.refused(Reactivate(CARD), by=stranger).refusals
    assert refusal.code == "another_customer"


def test_the_terms_of_a_preview_may_be_held_to(t1: World) -> None:
    t1.jump("2024-04-30")
    shown = t1.preview(Reactivate(CARD))
    t1.jump("2024-05-01")
    with pytest.raises(Refused) as caught:
        t1.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click", agreed=shown.terms)
    assert caught.value.refusals[0].code == "terms_changed"
    assert "2024-06-01" in str(caught.value)
    again = t1.preview(Reactivate(CARD)).terms
    result = t1.subs.execute("sub", Reactivate(CARD), by=ADMIN, idempotency_key="click", agreed=again)
    assert isinstance(result, Applied)


def test_a_preview_may_ask_about_a_later_day(t1: World) -> None:
    later = t1.subs.preview("sub", Reactivate(CARD), by=ADMIN, at=instant("2024-05-10"))
    assert (later.before.state, later.terms.next_billing_date) == (DISABLED, day("2024-06-10"))
    assert t1.subs.explain("sub", Reactivate(CARD), by=ADMIN, at=instant("2024-04-20")) == ()
    with pytest.raises(NotPossible):
        t1.preview(Reactivate(CARD))


def test_what_is_not_there(world: World) -> None:
    world.start(M)
    for ask in (world.subs.get, world.subs.access, world.subs.history):
        with pytest.raises(UnknownSubscription):
            ask("other")
    with pytest.raises(UnknownSubscription):
        world.do(Cancel("now"), id="other")
    with pytest.raises(AlreadyExists):
        world.do(Start(customer="contoso", plan=M, payment_method=CARD))
    with pytest.raises(AlreadyExists):
        world.preview(Adopt(world.sub), by=SUPPORT)
    assert world.subs.preview("other", Start(customer="c", plan=A, payment_method=CARD), by=SUPPORT).terms.charge == (
        euros(20)
    )


def test_search_pages_by_id_customer_and_state(world: World) -> None:
    for number in range(5):
        world.start(M, id=f"s{number}", off=None, start_on=day("2024-06-01"))
    world.start(M, id="t0", customer="fabrikam", by=SUPPORT)
    found = world.subs.search(customer="contoso", limit=2)
    assert [sub.id for sub in found] == ["s0", "s1"]
    assert [sub.id for sub in world.subs.search(customer="contoso", after="s1", limit=9)] == ["s2", "s3", "s4"]
    assert [sub.id for sub in world.subs.search(state=ACTIVE)] == ["t0"]
    assert len(world.subs.search(state=[ACTIVE, SCHEDULED])) == 6


# -- sentences


def is_sentence(text: str) -> bool:
    return text[:1].isupper() and text.rstrip()[-1] in ".)]" and "<" not in text and "Money(" not in text


def test_decisions_and_refusals_read_as_sentences(t1: World) -> None:
    t1.jump("2024-04-20")
    decision = str(t1.preview(Reactivate(CARD)))
    assert decision == "Reactivate: EXPIRED → ACTIVE, next billing date 2024-05-01; 20.00 EUR by card."
    assert is_sentence(decision)
    for refusal in t1.subs.explain("sub", Reactivate(None), by=USER):
        assert is_sentence(str(refusal))
    not_possible = str(t1.refused(Cancel("now")))
    assert not_possible.startswith("Cancel is not possible while the subscription is EXPIRED. Possible: ")


def test_entries_read_as_sentences(t1: World) -> None:
    t1.jump("2024-04-20")
    t1.reactivate()
    told = [str(entry) for entry in t1.history]
    assert told[-1] == "2024-04-20 00:00 Reactivate by alice (EXPIRED → ACTIVE) [20.00 EUR by card: captured]"
    for sentence in told:
        when, words = sentence[:16], sentence[17:]
        assert isinstance(datetime.fromisoformat(when), datetime)
        assert words[0].isupper()
        assert " by " in words


def test_a_preview_behind_a_renewal_that_is_due_tells_what_goes_back_where(world: World) -> None:
    """To the card, as it then does; not as credit."""
    world.start(M)
    world.at("2024-01-10")
    world.jump("2024-02-10")
    told = world.preview(Cancel("now", "prorated")).after
    assert (told.credit, [due.amount for due in told.refunds]) == (None, [euros("13.79")])
    world.done(Cancel("now", "prorated"))
    assert (world.sub.credit, world.refunded) == (None, [euros("13.79")])


def test_a_cancellation_that_is_foreseen_gives_nothing_as_credit_that_goes_back_to_the_card(world: World) -> None:
    world.start(A)
    world.at("2024-02-10")
    world.done(Cancel(day("2024-03-20"), "prorated"))
    foreseen = world.subs.as_of("sub", instant("2024-03-21"))
    assert foreseen is not None
    assert (foreseen.credit, [due.amount for due in foreseen.refunds]) == (None, [euros("7.74")])
    world.at("2024-03-21")
    assert (world.sub.credit, world.refunded) == (None, [euros("7.74")])
