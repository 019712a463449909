"""Bad input, tried as a hostile caller would: refused as such, and the database stays byte for byte as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

from subscription_lifecycle import (
    DAILY,
    MONTHLY,
    PROVIDER,
    Actor,
    BillingSchedule,
    Cancel,
    Cause,
    ChangePaymentMethod,
    Command,
    Correct,
    Debt,
    DefinitionError,
    Disable,
    IdempotencyKeyReused,
    InvalidValue,
    Money,
    PaymentMethod,
    Period,
    Plan,
    Reactivate,
    Refused,
    Renew,
    Role,
    SetRecurringBilling,
    Start,
    Subscription,
    Subscriptions,
    Terms,
    UnknownPayment,
    UnknownSubscription,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.model.payment import ActionRequired, Captured, Declined
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway
from subscription_lifecycle.testing.lives import ALICE, BASIC, CARD, SUPPORT, live


class Broken:
    """A stranger's object at its worst."""

    def __repr__(self) -> str:
        raise RuntimeError("no name")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("equal to nothing")

    __hash__ = None  # type: ignore[assignment]


class Nowhere(tzinfo):
    def utcoffset(self, at: datetime | None) -> timedelta | None:
        return None


HUGE = "x" * 10_000_000
NEVER_RIGHT: dict[str, Any] = {
    "a float": 1.5,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "a decimal": Decimal("1.5"),
    "bytes": b"sub_1",
    "a list": ["sub_1"],
    "a mapping": {"id": "sub_1"},
    "an object": object(),
    "a broken object": Broken(),
    "a class": Subscription,
    "a naive datetime": datetime(2024, 2, 1),
    "a datetime without offset": datetime(2024, 2, 1, tzinfo=Nowhere()),
    "a number of 5000 digits": 10**5000,
    "10 MB": HUGE,
    "nul": "sub\0_1",
    "half a character": "sub_\ud800",
    "a newline": "sub_1\n",
    "blanks": " sub_1 ",
    "nothing": "",
}
NOT_A_NAME = {**NEVER_RIGHT, "None": None, "a number": 5, "a bool": True, "a date": date(2024, 2, 1), "256": "x" * 256}
NOT_A_DAY = {
    **NEVER_RIGHT,
    "a number": 5,
    "a bool": True,
    "an instant": datetime(2024, 2, 1, tzinfo=UTC),
    "text": "now!",
}
NOT_A_BOOL = {**NEVER_RIGHT, "None": None, "zero": 0, "one": 1, "text": "true"}
NOT_AN_OBJECT = {**NEVER_RIGHT, "a number": 5, "a bool": True, "text": "sub_1"}
NOT_A_TEXT = {
    name: value for name, value in NEVER_RIGHT.items() if name not in ("nul", "a newline", "blanks", "nothing")
}
NOT_A_MAPPING: dict[str, Any] = {
    **{name: value for name, value in NOT_AN_OBJECT.items() if name not in ("a mapping", "a list")},
    "a float in it": {"price": 1.5},
    "not a number in it": {"price": float("nan")},
    "a number as key": {1: "one"},
    "money in it": {"price": Money(1, "EUR")},
    "10 MB in it": {"note": HUGE},
    "10 MB of key": {HUGE: 1},
    "a million items": {str(number): number for number in range(1_000_000)},
    "half a character in it": {"note": ["\ud83d"]},
    "two halves of one": {"note": "\ud83d\ude00"},
    "half a character as key": {"\ud800": 1},
    "5000 digits in it": {"number": 10**5000},
    "too deep": {"a": [[[[[[[[[[[[1]]]]]]]]]]]]},
    "a set in it": {"tags": {1}},
    "a broken object in it": {"it": Broken()},
}
NOT_A_COUNT = {**NEVER_RIGHT, "None": None, "a bool": True, "none": 0, "negative": -1, "absurd": 10**9, "text": "5"}

BY: dict[str, Any] = {"by": SUPPORT, "idempotency_key": "hostile"}
OTHER_CURRENCY = Money(100, "USD")
STARTS: dict[str, Any] = {"customer": "contoso", "plan": BASIC, "payment_method": CARD}


def starting(subs: Subscriptions, **given: Any) -> Any:
    return subs.start("new", **{**STARTS, **BY, **given})


Try = Callable[[Subscriptions, Any], Any]
ARGUMENTS: dict[str, tuple[Try, dict[str, Any]]] = {
    "execute id": (lambda s, v: s.execute(v, Renew(), **BY), NOT_A_NAME),
    "execute command": (lambda s, v: s.execute("by_card", v, **BY), {**NOT_AN_OBJECT, "None": None, "class": Renew}),
    "execute by": (
        lambda s, v: s.execute("by_card", Renew(), by=v, idempotency_key="k"),
        {**NOT_AN_OBJECT, "None": None},
    ),
    "execute key": (lambda s, v: s.execute("by_card", Renew(), by=SUPPORT, idempotency_key=v), NOT_A_NAME),
    "execute agreed": (lambda s, v: s.execute("by_card", Renew(), agreed=v, **BY), NOT_AN_OBJECT),
    "start id": (lambda s, v: s.start(v, **STARTS, **BY), NOT_A_NAME),
    "start customer": (lambda s, v: starting(s, customer=v), NOT_A_NAME),
    "start plan": (lambda s, v: starting(s, plan=v), {**NOT_AN_OBJECT, "None": None}),
    "start method": (lambda s, v: starting(s, payment_method=v), NOT_AN_OBJECT),
    "start quantity": (lambda s, v: starting(s, quantity=v), NOT_A_COUNT),
    "start on": (lambda s, v: starting(s, start_on=v), {**NOT_A_DAY, "the past": date(2020, 1, 1)}),
    "start schedule": (
        lambda s, v: starting(s, schedule=v),
        {**NOT_AN_OBJECT, "another step": BillingSchedule(date(2024, 1, 1), DAILY)},
    ),
    "start zone": (
        lambda s, v: starting(s, time_zone=v),
        {**NOT_A_NAME, "unknown": "Mars/Olympus", "a path": "../../etc/passwd", "an offset": "+02:00"},
    ),
    "start recurring": (lambda s, v: starting(s, recurring_billing=v), NOT_A_BOOL),
    "start policy": (lambda s, v: starting(s, policy=v), NOT_A_NAME),
    "start metadata": (lambda s, v: starting(s, metadata=v), {**NOT_A_MAPPING, "None": None}),
    "adopt": (lambda s, v: s.adopt(v, **BY), {**NOT_AN_OBJECT, "None": None}),
    "reactivate method": (lambda s, v: s.reactivate("elsewhere", payment_method=v, **BY), NOT_AN_OBJECT),
    "cancel when": (lambda s, v: s.cancel("by_card", when=v, **BY), {**NOT_A_DAY, "None": None}),
    "cancel refund": (lambda s, v: s.cancel("by_card", when="now", refund=v, **BY), {**NOT_A_NAME, "all": "all"}),
    "recurring on": (lambda s, v: s.set_recurring_billing("by_card", on=v, **BY), NOT_A_BOOL),
    "disable cause": (lambda s, v: s.disable("by_card", cause=v, **BY), {**NOT_AN_OBJECT, "None": None}),
    "disable reason": (lambda s, v: s.disable("by_card", reason=v, **BY), {**NOT_A_TEXT, "None": None, "a number": 5}),
    "enable reason": (lambda s, v: s.enable("by_bank", reason=v, **BY), {**NOT_A_TEXT, "None": None, "a number": 5}),
    "change method": (lambda s, v: s.change_payment_method("by_card", payment_method=v, **BY), NOT_AN_OBJECT),
    "pay method": (lambda s, v: s.pay_arrears("elsewhere", payment_method=v, **BY), NOT_AN_OBJECT),
    "forgive reason": (lambda s, v: s.forgive_arrears("elsewhere", reason=v, **BY), {**NOT_A_TEXT, "a number": 5}),
    "correct date": (lambda s, v: s.correct("by_card", next_billing_date=v, **BY), NOT_A_DAY),
    "correct term": (lambda s, v: s.correct("by_card", term_end=v, **BY), NOT_A_DAY),
    "correct until": (lambda s, v: s.correct("by_card", until=v, **BY), NOT_A_DAY),
    "correct credit": (lambda s, v: s.correct("by_card", credit=v, **BY), {**NOT_AN_OBJECT, "dollars": OTHER_CURRENCY}),
    "correct metadata": (lambda s, v: s.correct("by_card", metadata=v, **BY), NOT_A_MAPPING),
    "report reference": (lambda s, v: s.report_payment(v, Declined("no")), NOT_A_NAME),
    "report outcome": (lambda s, v: s.report_payment("pay_1", v), {**NOT_AN_OBJECT, "None": None}),
    "invoice": (lambda s, v: s.report_invoice(v, paid=True, **BY), NOT_A_NAME),
    "take customer": (lambda s, v: s.take_invoice_lines(customer=v, invoice="in"), NOT_A_NAME),
    "take invoice": (lambda s, v: s.take_invoice_lines(customer="contoso", invoice=v), NOT_A_NAME),
    "sweep limit": (lambda s, v: s.sweep(limit=v), {**NEVER_RIGHT, "a bool": True, "negative": -1, "text": "5"}),
    "get": (lambda s, v: s.get(v), NOT_A_NAME),
    "access": (lambda s, v: s.access(v), NOT_A_NAME),
    "history": (lambda s, v: s.history(v), NOT_A_NAME),
    "as of": (lambda s, v: s.as_of("by_card", v), {**NOT_AN_OBJECT, "None": None, "a date": date(2024, 2, 1)}),
    "as known": (lambda s, v: s.as_of("by_card", datetime(2024, 2, 1, tzinfo=UTC), known_at=v), NOT_AN_OBJECT),
    "actions by": (lambda s, v: s.actions("by_card", by=v), {**NOT_AN_OBJECT, "None": None}),
    "explain command": (lambda s, v: s.explain("by_card", v, by=SUPPORT), {**NOT_AN_OBJECT, "None": None}),
    "preview command": (lambda s, v: s.preview("by_card", v, by=SUPPORT), {**NOT_AN_OBJECT, "None": None}),
    "preview id": (lambda s, v: s.preview(v, Start(**STARTS), by=SUPPORT), NOT_A_NAME),
    "preview at": (lambda s, v: s.preview("by_card", Renew(), by=SUPPORT, at=v), NOT_AN_OBJECT),
    "search customer": (lambda s, v: s.search(customer=v), {**NEVER_RIGHT, "a number": 5}),
    "search state": (lambda s, v: s.search(state=v), NOT_AN_OBJECT),
    "search after": (lambda s, v: s.search(after=v), {**NEVER_RIGHT, "a number": 5}),
    "search limit": (lambda s, v: s.search(limit=v), NOT_A_COUNT),
}

VALUES: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "money minor": (lambda v: Money(v, "EUR"), {**NEVER_RIGHT, "a bool": True, "text": "5", "absurd": 10**19}),
    "money currency": (lambda v: Money(1, v), {**NOT_A_NAME, "unknown": "XXQ", "small": "eur"}),
    "period": (lambda v: Period(v, "month"), {**NOT_A_COUNT, "too long": 1201}),
    "unit": (lambda v: Period(1, v), {**NOT_A_NAME, "unknown": "fortnight"}),
    "plan id": (lambda v: Plan(v, Money(1, "EUR"), MONTHLY), NOT_A_NAME),
    "plan price": (lambda v: Plan("p", v, MONTHLY), {**NOT_AN_OBJECT, "negative": Money(-1, "EUR")}),
    "plan term": (lambda v: Plan("p", Money(1, "EUR"), MONTHLY, term=v), {**NOT_AN_OBJECT, "days": Period(31, "day")}),
    "method token": (lambda v: PaymentMethod.card(v, country="NL"), NOT_A_NAME),
    "method country": (lambda v: PaymentMethod.card("tok", country=v), {**NOT_A_NAME, "long": "NLD"}),
    "method expires": (lambda v: PaymentMethod.card("tok", country="NL", expires=v), NOT_A_DAY),
    "actor id": (lambda v: Actor(v, Role.SUPPORT), NOT_A_NAME),
    "actor roles": (lambda v: Actor("a", v), {**NOT_AN_OBJECT, "None": None}),
    "actor customer": (lambda v: Actor("a", Role.SUPPORT, customer=v), {**NEVER_RIGHT, "a number": 5}),
    "role": (Role, NOT_A_NAME),
    "cause": (Cause, NOT_A_NAME),
    "captured at": (lambda v: Captured("ch", v), {**NOT_AN_OBJECT, "None": None, "a date": date(2024, 2, 1)}),
    "declined code": (Declined, NOT_A_NAME),
    "next action": (lambda v: ActionRequired("ch", v), {**NOT_A_MAPPING, "None": None}),
}


class World:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SQLStore(path)
        self.subs = live(self.store)
        self.gateway = self.subs.gateway
        assert isinstance(self.gateway, FakeGateway)
        self.captures = list(self.gateway.captures)
        self.dump = self.dumped()

    def dumped(self) -> list[str]:
        connection = sqlite3.connect(self.path)
        try:
            return list(connection.iterdump())
        finally:
            connection.close()

    def is_as_it_was(self) -> bool:
        assert isinstance(self.gateway, FakeGateway)
        return self.dumped() == self.dump and self.gateway.captures == self.captures


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("hostile") / "store.sqlite")
    yield world
    world.store.close()


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_every_argument_refuses_what_it_cannot_be(world: World, argument: str) -> None:
    attempt, wrong = ARGUMENTS[argument]
    accepted = []
    for name, value in wrong.items():
        try:
            attempt(world.subs, value)
        except InvalidValue as error:
            assert len(str(error)) < 1_000
            assert error.as_dict()["field"]
        except Exception as error:
            accepted.append(f"{name}: {type(error).__name__}: {error}"[:200])
        else:
            accepted.append(f"{name}: accepted")
    assert accepted == []
    assert world.is_as_it_was()


@pytest.mark.parametrize("argument", VALUES)
def test_every_value_refuses_what_it_cannot_be(argument: str) -> None:
    make, wrong = VALUES[argument]
    accepted = []
    for name, value in wrong.items():
        try:
            make(value)
        except InvalidValue as error:
            assert len(str(error)) < 1_000
        except Exception as error:
            accepted.append(f"{name}: {type(error).__name__}: {error}"[:200])
        else:
            accepted.append(f"{name}: accepted")
    assert accepted == []


# -- a clock that lies


@pytest.mark.parametrize(
    "now",
    [datetime(2024, 4, 5), None, "2024-04-05T00:00:00Z", date(2024, 4, 5), 5, datetime(2024, 4, 5, tzinfo=Nowhere())],
    ids=["naive", "None", "text", "date", "number", "no offset"],
)
def test_a_clock_without_an_instant_stops_everything(world: World, now: Any) -> None:
    subs = Subscriptions(world.store, world.gateway, clock=lambda: now)
    for attempt in (
        lambda: subs.cancel("by_card", when="now", **BY),
        lambda: subs.start("new", **STARTS, **BY),
        lambda: subs.get("by_card"),
        lambda: subs.report_payment(world.store.history("open")[0].payment.reference, Declined("no")),  # type: ignore[union-attr]
        subs.sweep,
    ):
        with pytest.raises(InvalidValue):
            attempt()
    assert world.is_as_it_was()


# -- currencies that do not mix


def test_currencies_do_not_mix(world: World) -> None:
    stored = world.subs.get("by_card")
    euros = Debt(stored.schedule.period_containing(date(2024, 2, 1)), Money(1, "EUR"), date(2024, 2, 1))
    dollars = attrs.evolve(euros, amount=OTHER_CURRENCY)
    for change in ({"credit": OTHER_CURRENCY}, {"arrears": (euros, dollars)}):
        with pytest.raises(InvalidValue):
            attrs.evolve(stored, **change)
    with pytest.raises(InvalidValue):
        world.subs.correct("by_card", credit=OTHER_CURRENCY, **BY)
    with pytest.raises((InvalidValue, Refused)):
        world.subs.execute("elsewhere", Reactivate(CARD), agreed=Terms(OTHER_CURRENCY, date(2024, 3, 1)), **BY)
    assert world.is_as_it_was()


# -- keys


def test_a_key_with_other_content_is_refused(world: World) -> None:
    others: list[Command] = [
        Renew(),
        Cancel("term_end", "prorated"),
        Cancel("now", "none"),
        Cancel(date(2024, 4, 20), "prorated"),
        SetRecurringBilling(on=False),
        Disable(PROVIDER, "because"),
        ChangePaymentMethod(CARD),
        Correct(metadata={"a": 1}),
        Start(**STARTS),
        Reactivate(PaymentMethod.card("tok_other", country="NL")),
    ]
    for command in others:
        with pytest.raises(IdempotencyKeyReused):
            world.subs.execute("by_card", command, by=SUPPORT, idempotency_key="cancel")
    with pytest.raises(IdempotencyKeyReused):
        world.subs.start("open", **{**STARTS, "quantity": 2}, by=ALICE, idempotency_key="start")
    with pytest.raises(IdempotencyKeyReused):
        world.subs.start("open", **{**STARTS, "metadata": {"a": 1}}, by=ALICE, idempotency_key="start")
    assert world.is_as_it_was()


def test_text_that_looks_like_sql_is_text(world: World) -> None:
    nasty = "'; DROP TABLE lifecycle_entries; --"
    for attempt in (lambda: world.subs.get(nasty), lambda: world.subs.history(nasty)):
        with pytest.raises(UnknownSubscription):
            attempt()
    with pytest.raises(UnknownPayment):
        world.subs.report_payment(nasty, Declined("no"))
    assert world.subs.search(customer=nasty, after="%") == ()
    assert world.is_as_it_was()


def test_a_policy_nobody_has_is_refused(world: World) -> None:
    with pytest.raises(DefinitionError, match="no policy"):
        starting(world.subs, policy="unheard of")
    assert world.is_as_it_was()


# -- commands of a user's own check nothing themselves


@attrs.frozen
class Hostile(Command):
    until: date
    note: str = ""
    price: Money | None = None
    anything: Any = None


@pytest.mark.parametrize("field", ["until", "note", "price", "anything"])
def test_an_own_command_with_wrong_fields_is_refused_by_the_store(tmp_path: Path, field: str) -> None:
    from subscription_lifecycle import ACTIVE, SAME_STATE, STANDARD, Transition

    lifecycle = STANDARD.extend(Transition(Hostile, ACTIVE, SAME_STATE))
    store = SQLStore(tmp_path / "own.sqlite")
    clock = FakeClock()
    subs = Subscriptions(store, FakeGateway(clock), clock=clock, lifecycle=lifecycle)
    subs.start("s", **STARTS, **BY)
    wrong = dict(NEVER_RIGHT)
    if field in ("note", "anything"):
        wrong = {name: value for name, value in wrong.items() if not isinstance(value, (str, int))}
        wrong = {name: value for name, value in wrong.items() if name not in ("a float", "a list", "a mapping")}
        wrong |= {"half a character": "\ud83d\ude00", "money in a list": [Money(1, "EUR")], "5000 digits": 10**5000}
    for name, value in wrong.items():
        given = {"until": date(2024, 2, 1)} | {field: value}
        with pytest.raises(InvalidValue):
            subs.execute("s", Hostile(**given), by=SUPPORT, idempotency_key=name)
    assert len(store.history("s")) == 2
    subs.execute("s", Hostile(date(2024, 2, 1)), by=SUPPORT, idempotency_key="right")
    store.close()
