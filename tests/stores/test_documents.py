"""Documents: an exact way there and back, through real JSON text, for everything that is stored or sent."""

from __future__ import annotations

import enum
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stores import values

from subscription_lifecycle import Actor, BillingPeriod, Command, Entry, InvalidValue, Money, Subscription
from subscription_lifecycle.documents import FORMAT, UnknownCommand, decode, encode, from_json, shapes, to_json
from subscription_lifecycle.model.command import REGISTRY
from subscription_lifecycle.ports import Answer, Attempt
from subscription_lifecycle.standard.commands import Cancel, Start
from subscription_lifecycle.testing.lives import recorded_lives


def there_and_back(kind: type, value: Any) -> None:
    text = to_json(value)
    assert text.isascii()
    found = from_json(kind, text)
    assert found == value
    assert shape(found) == shape(value)
    assert to_json(found) == text


def shape(value: Any) -> Any:
    """The types of a value and of everything in it: equal values may differ in them (1 == True)."""
    if attrs.has(type(value)):
        return type(value), [shape(getattr(value, field.name)) for field in attrs.fields(type(value))]
    if isinstance(value, Mapping):
        return "mapping", {key: shape(item) for key, item in value.items()}
    if isinstance(value, enum.Enum) or not isinstance(value, (tuple, list, frozenset)):
        return type(value)
    items = sorted(value, key=str) if isinstance(value, frozenset) else value
    return type(value), [shape(item) for item in items]


@given(values.subscriptions())
def test_a_snapshot(subscription: Subscription) -> None:
    # A decoded state knows its name only; the strategy's states have nothing else.
    there_and_back(Subscription, subscription)


@given(values.commands)
def test_a_command(command: Command) -> None:
    there_and_back(Command, command)


@given(values.entries)
def test_an_entry(entry: Entry) -> None:
    there_and_back(Entry, entry)


@given(values.attempts)
def test_an_attempt_with_its_pinned_decision(attempt: Attempt) -> None:
    there_and_back(Attempt, attempt)


@given(values.answers)
def test_an_answer(answer: Answer) -> None:
    there_and_back(Answer, answer)


@given(values.outcomes)
def test_what_a_gateway_says(outcome: Any) -> None:
    there_and_back(type(outcome), outcome)


@given(values.money, values.plans, values.schedules, values.methods, values.actors)
def test_the_small_values(money: Any, plan: Any, schedule: Any, method: Any, actor: Any) -> None:
    for value in (money, plan, schedule, method, actor):
        there_and_back(type(value), value)


def test_what_the_engine_writes() -> None:
    for write in recorded_lives().writes:
        for value in (write, write.subscription, *write.entries, *write.answers, write.attempt):
            if value is not None:
                assert from_json(type(value), to_json(value)) == value


def test_every_standard_command_is_tried() -> None:
    """A new command needs a strategy here."""
    ours = {name for name, kind in REGISTRY.items() if kind.__module__.startswith("subscription_lifecycle.")}
    tried = {
        "Start", "Adopt", "Reactivate", "Cancel", "Disable", "Enable", "SetRecurringBilling", "PayArrears",
        "ForgiveArrears", "ChangePaymentMethod", "ReportInvoice", "Correct", "ConfirmRefund", "SettlePayment",
        "FailPayment", "FailRefund", "Refund", "WriteOff", "Renew",
        "Expire", "CancelAsScheduled", "Delete", "RetryPayment", "Pause", "Resume", "PauseAsScheduled",
        "ResumeAsScheduled", "ExtendTrial", "ConvertTrial", "CancelForNonPayment", "Notify",
    }  # fmt: skip
    assert ours - tried == {"UnknownCommand"}


def test_a_document_says_what_it_is_and_how_it_is_written() -> None:
    document = encode(Cancel(date(2026, 1, 31)))
    assert document == {
        "format": FORMAT,
        "type": "Command",
        "Cancel": {"when": {"date": "2026-01-31"}, "refund": "none"},
    }
    assert encode(Money(5, "EUR")) == {"format": FORMAT, "type": "Money", "minor": 5, "currency": "EUR"}


def test_a_later_format_is_not_guessed() -> None:
    document = encode(Money(5, "EUR"))
    with pytest.raises(InvalidValue, match="upgrade"):
        decode(Money, document | {"format": FORMAT + 1})
    with pytest.raises(InvalidValue, match="upgrade"):
        decode(Money, {name: value for name, value in document.items() if name != "format"})


def test_another_kind_is_not_guessed() -> None:
    with pytest.raises(InvalidValue, match="holds a Money, not a Subscription"):
        decode(Subscription, encode(Money(5, "EUR")))
    with pytest.raises(InvalidValue, match="is no document"):
        encode(BillingPeriod(date(2026, 1, 1), date(2026, 2, 1)))
    with pytest.raises(InvalidValue, match="is no document"):
        encode({"format": 1})


def test_a_field_of_a_later_version_is_not_dropped() -> None:
    document = encode(recorded_lives().writes[0].subscription)
    with pytest.raises(InvalidValue, match="later version"):
        decode(Subscription, document | {"a_later_field": 1})


def test_a_field_that_an_earlier_version_did_not_know_has_its_default() -> None:
    subscription = recorded_lives().writes[0].subscription
    document = encode(subscription)
    for missing in ("refunds", "metadata", "held_until"):
        del document[missing]
    assert decode(Subscription, document).refunds == ()
    assert decode(Subscription, document).metadata == {}
    with pytest.raises(InvalidValue, match="has no plan"):
        decode(Subscription, {name: value for name, value in document.items() if name != "plan"})


@pytest.mark.parametrize(
    "strategy",
    [values.subscriptions(), values.entries, values.attempts, values.answers, values.decisions, values.outcomes,
     values.payments, values.money, values.plans, values.schedules, values.methods, values.actors, values.debts,
     values.charges, values.invoice_lines, values.terms],
)  # fmt: skip
@settings(max_examples=10)
@given(data=st.data())
def test_a_document_without_what_has_a_default_has_the_default(strategy: Any, data: st.DataObject) -> None:
    """What an earlier version wrote lacks the fields that came later."""
    value = data.draw(strategy)
    kind = type(value)
    document = encode(value)
    for field in attrs.fields(attrs.resolve_types(kind)):
        if field.default is attrs.NOTHING:
            continue
        earlier = {name: written for name, written in document.items() if name != field.name}
        found = getattr(decode(kind, earlier), field.name)
        default = {} if isinstance(field.default, attrs.Factory) else field.default
        assert found == default, field.name


def test_values_that_are_met_again_are_shared() -> None:
    text = to_json(recorded_lives().writes[0].subscription)
    first, second = from_json(Subscription, text), from_json(Subscription, text)
    assert first is not second
    assert first.plan is second.plan
    # One and true are equal, and not the same.
    assert decode(Money, {"format": 1, "type": "Money", "minor": 1, "currency": "EUR"}) == Money(1, "EUR")
    with pytest.raises(InvalidValue):
        decode(Money, {"format": 1, "type": "Money", "minor": True, "currency": "EUR"})


def test_what_is_no_plain_dict_is_read_as_well() -> None:
    subscription = recorded_lives().writes[0].subscription
    document = encode(subscription)
    assert decode(Subscription, document | {"plan": OrderedDict(document["plan"])}) == subscription


def test_an_instant_is_written_in_utc() -> None:
    at = datetime(2026, 1, 31, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    hibernation = values.Hibernate(date(2026, 1, 1), values.Size.SMALL, at=at)
    found = from_json(Command, to_json(hibernation))
    assert found == hibernation
    assert isinstance(found, values.Hibernate)
    assert found.at is not None
    assert found.at.tzinfo is UTC
    assert encode(hibernation)["Hibernate"]["at"] == "2026-02-01T04:30:00+00:00"


def test_several_causes_keep_their_order() -> None:
    """By rank, which a name alone does not tell."""
    found = next(write.subscription for write in recorded_lives().writes if write.subscription.causes)
    several = found.changed({"causes": (values.Cause("z", 1), values.Cause("a", 2))})
    assert [cause.name for cause in from_json(Subscription, to_json(several)).causes] == ["z", "a"]
    assert [cause.rank for cause in from_json(Subscription, to_json(several)).causes] == [1, 2]


# -- commands are an open set


def entry_with(command: Command) -> Entry:
    return attrs.evolve(recorded_lives().writes[0].entries[0], command=command)


def test_a_command_whose_class_is_gone_stays_in_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    text = to_json(entry_with(values.Hibernate(date(2026, 1, 1), values.Size.LARGE)))
    values.forget_class("Hibernate", monkeypatch)
    entry = from_json(Entry, text)
    assert isinstance(entry.command, UnknownCommand)
    assert entry.command.name == "Hibernate"
    assert entry.command.fields["until"] == "2026-01-01"
    assert entry.command.title == "hibernate"
    assert "Hibernate" in str(entry) or "hibernate" in str(entry)
    assert to_json(entry) == text
    monkeypatch.undo()
    assert from_json(Entry, to_json(entry)).command == values.Hibernate(date(2026, 1, 1), values.Size.LARGE)


@pytest.mark.parametrize("change", [{"a_field_it_lost": 1}, {"until": "no date"}, {"size": "medium"}])
def test_a_command_that_reads_differently_now_is_kept_as_it_was_written(change: dict[str, Any]) -> None:
    document = encode(entry_with(values.Hibernate(date(2026, 1, 1), values.Size.LARGE)))
    document["command"]["Hibernate"] |= change
    entry = decode(Entry, document)
    assert isinstance(entry.command, UnknownCommand)
    assert encode(entry) == document


@attrs.frozen
class Untyped(Command):
    anything: Any = None


@pytest.mark.parametrize(
    "value",
    [Money(1, "EUR"), (1, 2), float("nan"), float("inf"), {1: 2}, {1, 2}, b"bytes", datetime(2026, 1, 1), object()],
    ids=lambda value: repr(value)[:12],
)
def test_what_does_not_survive_is_refused_before_it_is_written(value: Any) -> None:
    with pytest.raises(InvalidValue, match="survive"):
        encode(Untyped(value))


@pytest.mark.parametrize(
    "wrong",
    [
        {"until": datetime(2026, 1, 1, tzinfo=UTC)},
        {"until": "2026-01-01"},
        {"size": "small"},
        {"fee": 5},
        {"at": datetime(2026, 1, 1)},
        {"share": float("nan")},
        {"dates": [date(2026, 1, 1)]},
        {"dates": (datetime(2026, 1, 1, tzinfo=UTC),)},
        {"notes": {"price": Money(1, "EUR")}},
        {"when": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
    ids=str,
)
def test_a_field_of_another_type_than_it_says_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        encode(attrs.evolve(values.Hibernate(date(2026, 1, 1), values.Size.SMALL), **wrong))


def test_two_classes_of_one_name_are_refused() -> None:
    first = type("Twin", (Command,), {"__module__": __name__})
    type("Twin", (Command,), {"__module__": __name__})
    with pytest.raises(InvalidValue, match="two classes"):
        encode(first())


def test_what_was_checked_once_is_not_checked_again() -> None:
    """A zone that is renamed one day must not make a subscription unreadable."""
    document = encode(recorded_lives().writes[0].subscription) | {"time_zone": "Atlantis/Capital"}
    assert decode(Subscription, document).time_zone == "Atlantis/Capital"
    with pytest.raises(InvalidValue):
        Start(customer="c", plan=recorded_lives().writes[0].subscription.plan, time_zone="Atlantis/Capital")


def test_a_snapshot_is_encoded_quickly() -> None:
    """Far below 100 microseconds on any machine of today; measured at 8, with its text 18."""
    subscription = max((write.subscription for write in recorded_lives().writes), key=lambda found: len(found.arrears))
    best = min(_timed(lambda: to_json(subscription)) for _ in range(20))
    assert best < 100e-6


def _timed(act: Any) -> float:
    began = time.perf_counter()
    for _ in range(50):
        act()
    return (time.perf_counter() - began) / 50


def test_a_document_is_plain_json() -> None:
    actor = Actor("alice", [values.Role("b"), values.Role("a")])
    assert json.loads(to_json(actor)) == encode(actor)
    assert encode(actor)["roles"] == ["a", "b"]


NUMBERS = st.integers(-(2**100), 2**100) | st.booleans() | st.none()
PLAIN = st.recursive(
    st.text() | st.text(st.characters(max_codepoint=0x9F)) | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_the_text_is_the_same_with_orjson_and_without(document: Any) -> None:
    pytest.importorskip("orjson")
    with pytest.MonkeyPatch.context() as without:
        without.setattr(shapes, "orjson", None)
        plain = shapes.text(document)
    assert shapes.text(document) == plain
    assert plain.isascii()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_of_a_command_of_ones_own_is_read_as_it_was(number: float) -> None:
    assert repr(json.loads(shapes.text([number]))) == repr([number])
