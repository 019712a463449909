"""The founding article, clause by clause: S1–S15, who may reactivate what, where, and how it is asked for.

A test's name begins with its clauses, its docstring says the clause in our own words; `docs/clauses.md` lists them.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.domain.conditions import REACTIVABLE, SELF_SERVICE, SUPPORTS_ALONE, WAYS, in_condition
from tests.domain.world import (
    ADMIN,
    BANK,
    CARD,
    GLOBAL_ADMIN,
    OTHER_CARD,
    SUPPORT,
    USER,
    M,
    World,
    day,
    euros,
    policy,
)

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    CUSTOMER,
    DISABLED,
    DUNNING,
    EXPIRED,
    LAPSED,
    NON_PAYMENT,
    PROVIDER,
    STANDARD,
    Access,
    Actor,
    Cancel,
    Condition,
    Disable,
    Lifecycle,
    NotPossible,
    PaymentDeclined,
    PaymentMethod,
    Policy,
    Reactivate,
    Refused,
    Role,
)


@pytest.fixture
def expired() -> World:
    return in_condition("expired")


def told(world: World) -> list[tuple[Any, ...]]:
    """A history without the name of the policy it was played under."""
    return [
        (entry.version, entry.event, entry.row, entry.effective_at, entry.billed, entry.charge, entry.payment)
        for entry in world.history
    ]


def a_life(name: str, lifecycle: Lifecycle = STANDARD) -> World:
    """Expired, reactivated, cancelled, reactivated, unpaid, disabled, reactivated: under the named policy."""
    world = World("2024-01-01", lifecycle)
    world.start(M, policy=name, off="2024-03-10")
    world.at("2024-04-20")
    world.reactivate(OTHER_CARD)
    world.recurring_billing(on=True)
    world.at("2024-05-10")
    world.done(Cancel("now"))
    world.reactivate(CARD)
    world.recurring_billing(on=True)
    world.declining(5)
    world.at("2024-07-01")
    assert (world.state, world.sub.cause) == (DISABLED, NON_PAYMENT)
    world.reactivate(CARD)
    return world


def test_s01_labels_are_data_and_change_no_result() -> None:
    """Screens change: no rule may depend on what a screen is called."""
    relabelled = STANDARD.with_policies(elsewhere=Policy(labels={"expired": "Verlopen", "disabled": "Stop"}))
    world, other = a_life("worldwide"), a_life("elsewhere", relabelled)
    assert told(world) == told(other)
    assert relabelled.published(in_condition("expired").sub.changed({"policy": "elsewhere"})) == "Verlopen"
    assert STANDARD.published(in_condition("expired").sub) == "Expired"


def test_s02_an_expired_subscription_can_be_reactivated(expired: World) -> None:
    """An expired subscription is reactivated by self-service."""
    assert expired.state == EXPIRED
    assert expired.reactivate().subscription.state == ACTIVE


@pytest.mark.parametrize("condition", [name for name in WAYS if name.startswith("disabled")])
def test_s03_a_disabled_subscription_can_be_reactivated(condition: str) -> None:
    """What the provider disabled, for whatever cause, is offered: to the customer, or to support alone (A2)."""
    world = in_condition(condition)
    assert world.state == DISABLED
    offered = world.actions()[Reactivate].availability
    assert offered == ("support_only" if condition in SUPPORTS_ALONE else "available")
    assert world.reactivate(by=SUPPORT).subscription.state == ACTIVE


def test_s04_a_cancellation_in_mid_term_can_be_undone(world: World) -> None:
    """Cancelled by the customer in the middle of a term, it can be reactivated; the cause remembers who stopped it."""
    world.start(M)
    world.at("2024-01-10")
    world.done(Cancel("now"))
    assert (world.state, world.sub.causes, world.sub.interrupted) == (CANCELLED, (CUSTOMER,), ACTIVE)
    assert world.entry("cancel").by == ADMIN
    world.at("2024-01-20")
    assert world.reactivate().subscription.state == ACTIVE


@pytest.mark.parametrize("condition", WAYS)
def test_s05_reactivation_is_for_these_conditions_alone(condition: str) -> None:
    """The three conditions are a complete list: from any other, reactivation is refused in a way that can be told."""
    world = in_condition(condition)
    if condition in SELF_SERVICE:
        assert world.reactivate().subscription.state == ACTIVE
    elif condition in SUPPORTS_ALONE:
        assert world.refused(Reactivate(CARD)).http_status == 403
        assert world.reactivate(by=SUPPORT).subscription.state == ACTIVE
    else:
        for by in (ADMIN, SUPPORT):
            refused = world.refused(Reactivate(CARD), by=by)
            assert isinstance(refused, NotPossible)
            assert "reactivate" not in refused.possible


def test_s05_no_condition_is_left_out() -> None:
    """The enumeration above visits every condition that the table can lead to."""
    visited = {Condition(sub.state, sub.cause) for sub in (in_condition(name).sub for name in WAYS)}
    assert visited == set(STANDARD.conditions)
    assert {STANDARD.at(in_condition(name).sub, in_condition(name).clock()).cause for name in REACTIVABLE} == {
        None,
        LAPSED,
        NON_PAYMENT,
        PROVIDER,
        CUSTOMER,
        DUNNING,
    }


@pytest.mark.parametrize("condition", SELF_SERVICE)
def test_s06_only_administrators_reactivate(condition: str) -> None:
    """A global or a billing administrator may; anybody else is refused before anything happens, no charge asked for."""
    world = in_condition(condition)
    strangers = [USER, Actor("carl", Role("license_admin")), Actor("rita", Role("reader"), customer="contoso")]
    for stranger in strangers:
        (refusal,) = world.refused(Reactivate(CARD), by=stranger).refusals
        assert refusal.code == "role.billing"
    for by in (ADMIN, GLOBAL_ADMIN):
        assert in_condition(condition).reactivate(by=by).subscription.state == ACTIVE


def test_s07_roles_are_the_sellers_own_words() -> None:
    """What the roles are is defined elsewhere: the guard follows whatever roles the policy names."""
    treasurer = Role("treasurer")
    world = in_condition("expired")
    world.use(policy(billing_roles=(treasurer,)))
    assert "treasurer" in str(world.refused(Reactivate(CARD)).refusals[0].allowed_roles)
    assert world.reactivate(by=Actor("tess", treasurer)).subscription.state == ACTIVE


@pytest.mark.parametrize(
    ("condition", "roles"),
    [
        ("expired", {Role.GLOBAL_ADMIN, Role.BILLING_ADMIN, Role.SUPPORT, Role.PROVIDER}),
        ("disabled: blocked, date ahead", {Role.SUPPORT, Role.PROVIDER}),
    ],
)
def test_s08_a_refusal_names_who_could(condition: str, roles: set[Role]) -> None:
    """Who may not is told whom to ask."""
    refused = in_condition(condition).refused(Reactivate(CARD), by=USER)
    assert set(refused.refusals[0].allowed_roles) == roles
    assert refused.refusals[0].remedy
    assert refused.as_dict()["refusals"][0]["allowed_roles"] == sorted(role.name for role in roles)


def test_s09_subscriptions_are_listed_whatever_their_state(expired: World) -> None:
    """The page of products lists a customer's subscriptions with their status, the lapsed among them."""
    expired.start(M, id="other")
    listed = {sub.id: sub.state for sub in expired.subs.search(customer="contoso")}
    assert listed == {"sub": EXPIRED, "other": ACTIVE}
    assert [sub.id for sub in expired.subs.search(state=EXPIRED)] == ["sub"]
    expired.at("2024-05-10")
    assert [sub.id for sub in expired.subs.search(state=DISABLED)] == ["sub"]


@pytest.mark.parametrize("condition", WAYS)
def test_s10_s15_the_action_is_offered_where_it_works(condition: str) -> None:
    """Each subscription says what may be done with it now; "reactivate" is among it exactly where it then works."""
    world = in_condition(condition)
    offered = world.actions()[Reactivate]
    assert (offered.availability == "available") == (condition in SELF_SERVICE)
    try:
        world.reactivate()
    except Refused as refused:
        assert offered.refusals == refused.refusals
    else:
        assert offered.refusals == ()


@pytest.mark.parametrize("condition", SELF_SERVICE)
def test_s11_what_is_not_self_service_is_supports(condition: str) -> None:
    """An action that is not shown may still be possible: ask support. That is told apart from what nobody can do."""
    world = in_condition(condition, policy(self_service=False))
    assert world.actions()[Reactivate].availability == "support_only"
    (refusal,) = world.refused(Reactivate(CARD)).refusals
    assert refusal.code == "role.self_service"
    assert refusal.remedy.startswith("Contact support")
    assert world.reactivate(by=SUPPORT).subscription.state == ACTIVE
    assert in_condition("active").actions()[Reactivate].availability == "refused"


@pytest.mark.parametrize("condition", SELF_SERVICE)
def test_s12_a_payment_method_must_be_given(condition: str) -> None:
    """One is chosen or added in the same step: left out is refused, and never means the one on file."""
    world = in_condition(condition)
    assert world.sub.payment_method == CARD
    (refusal,) = world.refused(Reactivate(None)).refusals
    assert refusal.code == "payment_method.missing"


@pytest.mark.parametrize("method", [CARD, OTHER_CARD, BANK], ids=["on_file", "another", "a_debit"])
def test_s12_the_method_that_is_given_pays_and_is_kept(expired: World, method: PaymentMethod) -> None:
    """The one on file may be chosen again; a new one is used and stored."""
    after = expired.reactivate(method).subscription
    assert after.payment_method == expired.gateway.captures[-1].payment_method == method


def test_s13_saving_is_all_or_nothing(expired: World) -> None:
    """A charge that fails leaves state, dates and method as they were."""
    before = expired.sub
    expired.gateway.decline_next()
    with pytest.raises(PaymentDeclined):
        expired.reactivate(OTHER_CARD)
    after = expired.sub
    assert after == before.changed({"version": after.version, "recorded_at": after.recorded_at})
    assert len(expired.captured) == 3


def test_s13_saving_twice_has_one_effect(expired: World) -> None:
    """A double click is one reactivation and one charge."""
    results = [expired.subs.reactivate("sub", payment_method=CARD, by=ADMIN, idempotency_key="click") for _ in range(2)]
    assert results[0] == results[1]
    assert expired.captured == [euros(20)] * 4
    assert expired.sub.next_billing_date == day("2024-05-01")


@pytest.mark.parametrize("deployment", ["germany", "21vianet", "direct", "default"])
def test_s14_deployments_differ_in_where_not_in_rules(deployment: str) -> None:
    """The same life under each deployment's policy has the same history."""
    assert told(a_life(deployment)) == told(a_life("worldwide"))
    assert a_life(deployment).sub.policy == deployment


def test_s14_access_is_the_same_everywhere() -> None:
    """As is what users may reach meanwhile."""
    found = set()
    for deployment in ("germany", "21vianet", "worldwide"):
        world = World()
        world.start(M, policy=deployment)
        world.done(Disable(PROVIDER), by=SUPPORT)
        found.add(world.access)
    assert found == {Access.REDUCED}
