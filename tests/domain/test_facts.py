"""Rows that the clock takes and whose guards read facts: what is said meanwhile, and what the host is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from tests.domain.world import ADMIN, CARD, OTHER_CARD, M, World, day, euros, instant

from subscription_lifecycle import (
    ACTIVE,
    EXPIRED,
    STANDARD,
    Access,
    Cancel,
    ChangePaymentMethod,
    Command,
    Context,
    Expire,
    InvalidValue,
    Lifecycle,
    Notify,
    Policy,
    Reactivate,
    Renew,
    Subscription,
    Subscriptions,
    guard,
)


@guard("tax.missing", "There is no tax quote.", remedy="Ask for one.", reads_facts=("tax",))
def tax_is_known(context: Context[Command]) -> bool:
    return bool(context.facts["tax"])


@attrs.define
class Host:
    """Answers what it knows, and remembers of which commands it was asked."""

    answers: dict[str, Any]
    asked: list[str] = attrs.field(factory=list)

    def __call__(self, subscription: Subscription | None, command: Command) -> Mapping[str, Any]:
        self.asked.append(command.title)
        return self.answers


def world_of(host: Host, lifecycle: Lifecycle) -> World:
    world = World("2024-01-01", lifecycle)
    world.subs = Subscriptions(world.store, world.gateway, lifecycle=lifecycle, clock=world.clock, facts=host)
    world.start(M)
    host.asked.clear()
    return world


def renewing(**answers: Any) -> World:
    """Its renewal reads a fact, and is announced."""
    lifecycle = STANDARD.with_policies(Policy(notices={"renewal": 5}))
    return world_of(Host(answers), lifecycle.guarded(Renew, tax_is_known))


def test_what_waits_for_a_fact_can_be_read() -> None:
    world = renewing()
    world.jump("2024-02-10")
    assert (world.state, world.access, str(world.sub.next_billing_date)) == (ACTIVE, Access.FULL, "2024-02-01")
    assert [found.id for found in world.subs.search(customer="contoso")] == ["sub"]
    assert {action.command for action in world.subs.actions("sub", by=ADMIN)}
    assert world.subs.explain("sub", Cancel("now"), by=ADMIN) == ()
    assert world.preview(Cancel("now")).after.state != ACTIVE
    for when in ("2024-01-20", "2024-06-01", "2034-01-01"):
        found = world.subs.as_of("sub", instant(when))
        assert found is not None
        assert found.next_billing_date == day("2024-02-01")


def test_the_sweep_asks_the_host_and_makes_the_charge() -> None:
    world = renewing(tax=21)
    with world.new_captures("20.00"):
        world.at("2024-02-10")
    [renewed] = [entry for entry in world.history if isinstance(entry.command, Renew) and entry.event == "applied"]
    assert renewed.facts == {"tax": 21}
    assert world.sub.next_billing_date == day("2024-03-01")


def test_a_renewal_asks_once() -> None:
    host = Host({"tax": 21})
    world = world_of(host, STANDARD.guarded(Renew, tax_is_known))
    world.at("2024-02-01")
    assert host.asked == ["renew"]


def test_periods_that_passed_meanwhile_are_held_as_ever() -> None:
    world = renewing(tax=21)
    world.jump("2024-04-10")
    with world.new_captures():
        assert world.swept().held == ("sub",)
    assert (world.sub.owed, world.sub.next_billing_date) == (euros(60), day("2024-05-01"))


def test_a_row_that_waits_stops_no_other() -> None:
    """Also where the fact is known and the guard refuses; a fact that the host never answers is reported."""
    for answers in ({}, {"tax": 0}):
        world = renewing(**answers)
        world.done(Cancel(day("2024-01-31")))
        world.jump("2024-02-10")
        assert world.state != ACTIVE

        world = renewing(**answers)
        world.jump("2024-02-10")
        report = world.subs.sweep()
        assert [type(entry.command) for entry in world.history][2:] == [Notify]
        assert report.failed == ()
        failed = world.subs.sweep().failed
        assert [(id, isinstance(error, InvalidValue)) for id, error in failed] == [("sub", True)] * (not answers)


def test_a_command_meets_what_is_due_with_its_facts() -> None:
    world = renewing(tax=21)
    world.jump("2024-02-10")
    with world.new_captures("20.00"):
        world.done(ChangePaymentMethod(OTHER_CARD))
    assert {request.payment_method for request in world.gateway.requests} == {CARD}

    world = world_of(Host({"tax": 21}), STANDARD.guarded(Expire, tax_is_known))
    world.recurring_billing(on=False)
    world.jump("2024-02-10")
    with world.new_captures("20.00"):
        world.done(Reactivate(CARD))
    assert [entry.row.split(":")[0] for entry in world.history[-3:]] == ["expire", "reactivate", "reactivate"]
    assert world.entry("expire").changes["state"][1] == EXPIRED
