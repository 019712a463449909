"""The founding article, clause by clause: S16–S29, what a reactivation does to dates, money and service."""

from __future__ import annotations

from datetime import date

import pytest
from tests.domain.conditions import SELF_SERVICE, in_condition
from tests.domain.world import (
    ADMIN,
    BANK,
    CARD,
    INVOICE,
    OTHER_CARD,
    SUPPORT,
    A,
    M,
    MakeWorld,
    World,
    Y,
    day,
    euros,
    policy,
)

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DISABLED,
    EXPIRED,
    NON_PAYMENT,
    STANDARD,
    Access,
    BillingPeriod,
    Cancel,
    NotPossible,
    PaymentMethod,
    Plan,
    Reactivate,
    SetRecurringBilling,
)
from subscription_lifecycle.policies import CHINA_21VIANET, GERMANY, POLICIES, WORLDWIDE


@pytest.fixture
def expired() -> World:
    return in_condition("expired")


@pytest.mark.parametrize("condition", ["cancelled: date ahead", "disabled: unpaid, date ahead", "disabled: lapsed"])
def test_s16_status_and_access_are_shown_apart(condition: str) -> None:
    """A card reads Disabled, and beside it Reduced functionality, while reactivating is offered."""
    world = in_condition(condition)
    assert STANDARD.published(world.sub) == "Disabled"
    assert world.access == Access.REDUCED
    assert world.actions()[Reactivate].availability == "available"


@pytest.mark.parametrize("condition", SELF_SERVICE)
def test_s17_support_reactivates_with_the_same_effects(condition: str) -> None:
    """Whoever calls support gets what self-service would have given."""
    own, supports = in_condition(condition), in_condition(condition)
    first, second = own.reactivate(OTHER_CARD), supports.reactivate(OTHER_CARD, by=SUPPORT)
    assert first.subscription == second.subscription
    assert first.reminders == second.reminders
    assert own.captured == supports.captured


def test_s18_payment_details_are_an_input(expired: World) -> None:
    """Payment details are entered with the request, and travel with it."""
    expired.refused(Reactivate(None))
    result = expired.reactivate(OTHER_CARD)
    assert result.entries[-1].command == Reactivate(OTHER_CARD)
    assert expired.gateway.requests[-1].payment_method == OTHER_CARD


def test_s19_details_on_file_may_be_amended_in_the_same_step(expired: World) -> None:
    """A new expiry date is stored with the reactivation; one that was only previewed, or that failed, is not."""
    renewed = PaymentMethod.card("tok_card", country="NL", expires=date(2027, 8, 31))
    expired.preview(Reactivate(renewed))
    assert expired.sub.payment_method == CARD
    expired.gateway.require_action_next()
    expired.waits(Reactivate(renewed))
    expired.at("2024-04-22")
    assert (expired.history[-1].event, expired.sub.payment_method) == ("abandoned", CARD)
    assert expired.reactivate(renewed).subscription.payment_method == renewed


@pytest.mark.parametrize("method", [CARD, BANK, INVOICE], ids=str)
def test_s20_active_once_the_details_are_submitted(expired: World, method: PaymentMethod) -> None:
    """Expired before payment details are submitted, active after; the Dutch text's "skipped" is a mistranslation."""
    expired.refused(Reactivate(None))
    assert expired.state == EXPIRED
    if method == BANK:
        expired.gateway.process_next()
    assert expired.reactivate(method).subscription.state == ACTIVE


@pytest.mark.parametrize(
    ("plan", "begins", "old", "new"),
    [
        pytest.param(M, "2024-01-01", "2024-02-01", "2024-03-01", id="a_month"),
        pytest.param(Y, "2023-06-15", "2024-06-15", "2025-06-15", id="a_year"),
        pytest.param(A, "2023-01-01", "2024-01-01", "2024-02-01", id="a_year_in_instalments"),
        pytest.param(M, "2023-01-31", "2023-02-28", "2023-03-31", id="from_31_January"),
        pytest.param(Y, "2024-02-29", "2025-02-28", "2026-02-28", id="from_29_February"),
        pytest.param(M, "2023-12-01", "2024-01-01", "2024-02-01", id="over_the_end_of_the_year"),
    ],
)
def test_s21_the_next_billing_date_moves_by_one_period(
    make_world: MakeWorld, plan: Plan, begins: str, old: str, new: str
) -> None:
    """One month or one year, as it is billed now, counted from the old date, not from today (A5)."""
    world = make_world(begins)
    world.start(plan, recurring_billing=False)
    world.at(old)
    world.clock.advance(days=10, hours=5)
    assert (world.state, world.sub.next_billing_date) == (EXPIRED, day(old))
    result = world.reactivate()
    assert result.subscription.next_billing_date == day(new)
    assert result.entries[-1].billed == BillingPeriod(day(old), day(new))


@pytest.mark.parametrize("method", [CARD, OTHER_CARD, BANK])
def test_s22_one_extension_is_charged_at_once(expired: World, method: PaymentMethod) -> None:
    """By card or bank account the cost of one extension is charged now, to the method that was chosen, once."""
    with expired.new_captures("20.00"):
        result = expired.reactivate(method)
    capture = expired.gateway.captures[-1]
    assert (capture.payment_method, capture.at) == (method, expired.clock())
    assert result.entries[-1].invoice_lines == ()


def test_s22_by_invoice_nothing_is_charged_at_once(expired: World) -> None:
    """By invoice nobody asks the gateway."""
    asked = len(expired.gateway.requests)
    assert expired.reactivate(INVOICE).payment is None
    assert len(expired.gateway.requests) == asked


def test_s23_by_invoice_it_is_on_the_next_one(expired: World) -> None:
    """Active at once, with one line for the next invoice and none on the one after."""
    assert expired.reactivate(INVOICE).subscription.state == ACTIVE
    (line,) = expired.take_lines("next")
    assert (line.amount, line.period.start) == (euros(20), day("2024-04-01"))
    assert expired.take_lines("the one after") == []


def test_s24_recurring_billing_stays_off_and_is_reminded_of(expired: World) -> None:
    """To keep it from expiring again, recurring billing must be switched on: the outcome says so, and it expires."""
    result = expired.reactivate()
    assert not result.subscription.recurring_billing
    (reminder,) = [found for found in result.reminders if found.code == "recurring_billing.off"]
    assert "2024-05-01" in str(reminder)
    expired.at("2024-05-01")
    assert expired.state == EXPIRED


def test_s24_switched_on_it_renews(expired: World) -> None:
    """The switch is a step of its own, for active subscriptions alone; switched on, the next date renews."""
    assert isinstance(expired.refused(SetRecurringBilling(True)), NotPossible)
    expired.reactivate()
    expired.recurring_billing(on=True)
    with expired.new_captures("20.00"):
        expired.at("2024-05-01")
    assert (expired.state, expired.sub.next_billing_date) == (ACTIVE, day("2024-06-01"))


@pytest.mark.parametrize("condition", SELF_SERVICE)
def test_s25_bank_accounts_are_refused_where_policy_says(condition: str) -> None:
    """In some countries one cannot pay from a bank account: refused with that reason; a card from there will do."""
    world = in_condition(condition, policy(no_bank_account_in={"BE"}))
    belgian = PaymentMethod.bank_account("tok", country="BE")
    (refusal,) = world.refused(Reactivate(belgian)).refusals
    assert refusal.code == "payment_method.country"
    assert in_condition(condition, policy(no_bank_account_in={"BE"})).reactivate(BANK).subscription.state == ACTIVE
    assert world.reactivate(PaymentMethod.card("tok", country="BE")).subscription.state == ACTIVE


@pytest.mark.parametrize("plan", [M, A, Y], ids=lambda plan: plan.id)
def test_s26_cancelled_it_keeps_its_next_billing_date(world: World, plan: Plan) -> None:
    """Cancelled and reactivated while the date lies ahead: active, the date as before, no extension charged."""
    world.start(plan)
    world.at("2024-01-10")
    before = world.sub
    world.done(Cancel("now"))
    world.at("2024-01-20")
    assert world.state == CANCELLED
    assert world.sub.next_billing_date > day("2024-01-20")
    with world.new_captures():
        after = world.reactivate().subscription
    assert (after.state, after.next_billing_date) == (ACTIVE, before.next_billing_date)
    assert (after.term_end, after.paid_through) == (before.term_end, before.paid_through)
    assert after.schedule == before.schedule


@pytest.mark.parametrize("arrears", ["keep", "forgive", "collect"])
def test_s27_unpaid_it_keeps_its_next_billing_date(arrears: str) -> None:
    """Disabled because no payment arrived: active, the date as before. The cause decides, not the state: from the same
    state, lapsed, the date moves. What is owed is collected by default, never silently let go (A3)."""
    world = in_condition("disabled: unpaid, date ahead", policy(arrears=arrears))
    before = world.sub
    assert (before.state, before.cause, before.next_billing_date) == (DISABLED, NON_PAYMENT, day("2024-04-01"))
    with world.new_captures(*(["20.00"] if arrears == "collect" else [])):
        result = world.reactivate()
    after = result.subscription
    assert (after.state, after.next_billing_date, after.schedule) == (ACTIVE, day("2024-04-01"), before.schedule)
    assert after.owed == euros(20 if arrears == "keep" else 0)
    assert len(result.entries[-1].forgiven) == (1 if arrears == "forgive" else 0)
    assert result.entries[-1].billed is None
    lapsed = in_condition("disabled: lapsed")
    assert (lapsed.state, lapsed.sub.next_billing_date) == (before.state, before.next_billing_date)
    assert lapsed.reactivate().subscription.next_billing_date == day("2024-06-10")


def test_s28_the_worldwide_effects_are_declared_assumed() -> None:
    """The effects are printed for two deployments; that the third has the same is an assumption, and says so."""
    assert WORLDWIDE.assumed is not None
    assert "S28" in WORLDWIDE.assumed
    assert GERMANY.assumed is None
    assert CHINA_21VIANET.assumed is None
    assert POLICIES["worldwide"] is POLICIES["default"] is WORLDWIDE


def test_s28_the_printed_table_marks_what_is_assumed() -> None:
    """So does each row whose effect the article does not state; the rows that it does state are not marked."""
    printed = dict(zip([row.id for row in STANDARD.rows], STANDARD.to_markdown().splitlines()[2:], strict=True))
    stated = {"reactivate: expired", "reactivate: disabled, non payment, date ahead"}
    for row in STANDARD.rows:
        assert ("assumed: " in printed[row.id]) == (row.assumed is not None)
    reactivations = {row.id: row.assumed for row in STANDARD.rows if row.on is Reactivate}
    assert {id for id, assumed in reactivations.items() if assumed is None} == stated


def test_s29_buying_renewing_and_cancelling_compose_with_it(world: World) -> None:
    """Try or buy, renew, cancel: their events go on where a reactivation left off."""
    world.start(M)
    world.at("2024-02-15")
    world.done(Cancel("now"))
    world.at("2024-02-20")
    world.reactivate()
    world.recurring_billing(on=True)
    world.at("2024-03-15")
    world.done(Cancel("term_end"))
    world.at("2024-04-01")
    assert world.state == EXPIRED
    world.at("2024-04-02")
    world.reactivate()
    world.recurring_billing(on=True)
    world.at("2024-06-15")
    assert (world.state, world.sub.next_billing_date) == (ACTIVE, day("2024-07-01"))
    assert world.captured == [euros(20)] * 6
    assert world.entry("cancel: trialing, active, past due, term end").by == ADMIN
