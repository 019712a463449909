"""Under which class a command is stored and read, where several classes of a process have one name."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import attrs
import pytest
from tests.machine.tables import HERE, THERE, begun, lifecycle

from subscription_lifecycle import (
    ACTIVE,
    EXPIRED,
    STANDARD,
    Command,
    InvalidValue,
    Lifecycle,
    Money,
    Plan,
    Renew,
    Role,
    Subscriptions,
    Transition,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.documents import decode, encode
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.schedule import MONTHLY
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway
from subscription_lifecycle.testing.lives import CARD

BY = Actor("anybody", Role.SUPPORT)
AT = datetime(2024, 3, 1, tzinfo=UTC)


def called(name: str, module: str = "a.host") -> type[Command]:
    return attrs.frozen(type(name, (Command,), {"__module__": module, "__qualname__": name}))


def using(command: type[Command]) -> Lifecycle:
    return lifecycle.extend(Transition(command, HERE, THERE))


def test_a_class_of_a_host_takes_no_name_from_a_command_of_this_library() -> None:
    """Renewals go on being written and read, whoever defines a Renew somewhere else."""
    clock = FakeClock("2024-01-31T09:00Z")
    subs = Subscriptions(SQLStore("sqlite://"), FakeGateway(clock), clock=clock)
    subs.start(
        "sub", customer="c", plan=Plan("p", Money(100, "EUR"), MONTHLY), payment_method=CARD, by=BY, idempotency_key="1"
    )
    another = called("Renew")
    clock.set("2024-02-29T09:00Z")
    assert subs.sweep().captured == 1
    assert subs.history("sub")[-1].command == Renew()
    assert decode(Command, encode(Renew())) == Renew()
    with pytest.raises(InvalidValue, match=r"a\.host\.Renew cannot be stored.*subscription_lifecycle.*Renew is read"):
        encode(another())


def test_a_class_that_no_lifecycle_uses_takes_no_name_from_one_that_does() -> None:
    used = called("Ring")
    table = using(used)
    unused = called("Ring", "another.host")
    assert decode(Command, encode(used())) == used()
    with pytest.raises(InvalidValue, match=r"another\.host\.Ring cannot be stored.*a\.host\.Ring is read"):
        encode(unused())
    assert table.decide(begun, used(), by=BY, at=AT).after.state == THERE


def test_of_two_lifecycles_the_first_keeps_the_name_for_as_long_as_it_is_there() -> None:
    first, second = called("Ring"), called("Ring", "another.host")
    one, other = using(first), using(second)
    assert decode(Command, encode(first())) == first()
    with pytest.raises(InvalidValue, match="Rename one of them"):
        encode(second())
    del one
    gc.collect()
    assert decode(Command, encode(second())) == second()
    assert second in other.commands


def test_a_class_that_is_made_anew_is_the_one_that_is_read() -> None:
    """As where a module is loaded again: the old table may still be somewhere."""
    before, after = called("Ring"), called("Ring")
    tables = using(before), using(after)
    assert type(decode(Command, encode(after()))) is after
    with pytest.raises(InvalidValue, match="two classes"):
        encode(before())
    assert len(tables) == 2


def test_a_command_that_cannot_be_stored_moves_no_money_and_changes_nothing() -> None:
    first, second = called("Ring"), called("Ring", "another.host")
    tables = [STANDARD.extend(Transition(command, ACTIVE, EXPIRED)) for command in (first, second)]
    clock = FakeClock("2024-01-31T09:00Z")
    store, gateway = SQLStore("sqlite://"), FakeGateway(clock)
    one, other = (Subscriptions(store, gateway, lifecycle=table, clock=clock) for table in tables)
    plan = Plan("p", Money(100, "EUR"), MONTHLY)
    other.start("sub", customer="c", plan=plan, payment_method=CARD, by=BY, idempotency_key="1")
    before = other.get("sub")
    with pytest.raises(InvalidValue, match="Rename one of them"):
        other.execute("sub", second(), by=BY, idempotency_key="2")
    assert (other.get("sub"), len(gateway.captures)) == (before, 1)
    assert one.execute("sub", first(), by=BY, idempotency_key="2").subscription.state == EXPIRED
