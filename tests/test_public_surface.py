"""What users type: every public name is documented, errors answer, and each method makes its command."""

import importlib
import inspect
import json
import pickle
import re
import typing
from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest
from tests.docs.generated import DOORS, ROOT

import subscription_lifecycle
from subscription_lifecycle import (
    ACTIVE,
    CUSTOMER,
    MONTHLY,
    STANDARD,
    Actor,
    BillingSchedule,
    Command,
    Lifecycle,
    LifecycleError,
    MemoryStore,
    Money,
    PaymentMethod,
    Plan,
    Refusal,
    Role,
    Subscription,
    Subscriptions,
    Terms,
    errors,
    ports,
)
from subscription_lifecycle.engine.commands import StandardCommands

REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")


def documented(door: str) -> list[str]:
    section = REFERENCE.split(f"## `{door}`\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^- `(\w+)`: ", section, re.MULTILINE)


@pytest.mark.parametrize("door", DOORS)
def test_every_door_offers_what_is_documented_and_nothing_else(door: str) -> None:
    module = importlib.import_module(door)
    assert sorted(module.__all__) == sorted(documented(door))
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("door", DOORS)
def test_every_public_class_and_function_says_what_it_is(door: str) -> None:
    module = importlib.import_module(door)
    values = {name: getattr(module, name) for name in module.__all__}
    silent = [
        name
        for name, value in values.items()
        if (inspect.isclass(value) or inspect.isroutine(value)) and not (value.__doc__ or "").strip()
    ]
    assert silent == []


@pytest.mark.parametrize("kind", [Subscriptions, StandardCommands, Lifecycle, ports.Store, ports.PaymentGateway])
def test_every_method_that_users_call_or_write_says_what_it_does(kind: type) -> None:
    methods = {name: value for name, value in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}
    assert methods
    assert [name for name, method in methods.items() if not inspect.getdoc(method)] == []


# -- errors

REFUSAL = Refusal("code", "No.", "Ask.", (Role.SUPPORT,), {"owed": Money(1, "EUR"), "day": date(2026, 1, 1)})
FIELDS: dict[str, Any] = {
    "refusals": (REFUSAL,),
    "possible": ("cancel",),
    "subscription": "sub_1",
    "reference": "pay_1",
    "decline": "insufficient_funds",
    "retryable": True,
    "key": "click-1",
    "money": "captured",
    "field": "price",
    "problem": "it is negative",
    "fix": "Pass a price.",
    "problems": ("there are no rows.",),
}
ERRORS = [getattr(errors, name) for name in errors.__all__ if name != "LifecycleError"]


def an_error(kind: type[LifecycleError]) -> LifecycleError:
    fields: Any = attrs.fields(kind)  # type: ignore[arg-type]
    return kind(**{field.name: FIELDS[field.name] for field in fields})


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_pickle(kind: type[LifecycleError]) -> None:
    error = an_error(kind)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is kind
        assert again.as_dict() == error.as_dict()
        assert str(again) == str(error) != ""


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_are_json_and_answer_who_is_on_call(kind: type[LifecycleError]) -> None:
    error = an_error(kind)
    plain = error.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["code"] == kind.code
    assert plain["message"] == str(error)
    assert plain["money"] in ("untouched", "captured", "unknown")
    assert plain["repeat"] in ("never", "same_key", "new_key")
    assert 400 <= error.http_status < 600
    assert plain.keys() >= {field.name for field in attrs.fields(kind)}  # type: ignore[arg-type]


def test_every_error_is_in_the_tree_and_on_the_front_door() -> None:
    assert all(issubclass(kind, LifecycleError) for kind in ERRORS)
    assert {kind.code for kind in ERRORS} == {re.sub("(?<=[a-z])(?=[A-Z])", "_", k.__name__).lower() for k in ERRORS}
    assert set(errors.__all__) <= set(subscription_lifecycle.__all__)
    for kind in ERRORS:
        assert kind.__name__ in (errors.__doc__ or "")


# -- one method for each command

NOT_OF_THE_COMMAND = {"self", "id", "by", "idempotency_key", "agreed"}
WITHOUT_A_METHOD = {
    "CancelAsScheduled": "only the clock gives it",
    "CancelForNonPayment": "only the clock gives it",
    "Notify": "only the clock gives it",
    "PauseAsScheduled": "only the clock gives it",
    "ResumeAsScheduled": "only the clock gives it",
    "FailPayment": "only the gateway's report gives it",
    "SettlePayment": "only the gateway's report gives it",
    "ReportInvoice": "report_invoice gives it to every subscription on the invoice",
}
WITHOUT_ITS_DEFAULT = {("reactivate", "payment_method"): "a caller must say it: never the one on file by accident"}

METHODS = {
    name: method
    for name, method in inspect.getmembers(StandardCommands, inspect.isfunction)
    if not name.startswith("_") and name != "execute"
}
COMMANDS = {re.sub("(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower(): kind for kind in STANDARD.commands}

ALICE = Actor("alice", Role.BILLING_ADMIN)
TODAY = date(2026, 1, 31)
VALUES: dict[str, Any] = {
    "customer": "contoso",
    "plan": Plan("business", Money(2000, "EUR"), MONTHLY),
    "payment_method": PaymentMethod.card("tok", country="NL"),
    "quantity": 3,
    "start_on": TODAY,
    "schedule": BillingSchedule(TODAY, MONTHLY),
    "time_zone": "Asia/Tokyo",
    "recurring_billing": False,
    "policy": "germany",
    "metadata": {"colour": "blue"},
    "when": TODAY,
    "refund": "prorated",
    "keep_or_refuse": True,
    "on": False,
    "cause": CUSTOMER,
    "reason": "fraud",
    "next_billing_date": TODAY,
    "term_end": TODAY,
    "until": TODAY,
    "credit": Money(1, "EUR"),
    "reference": "pay_1",
    "amount": Money(1, "EUR"),
}
VALUES["subscription"] = Subscription(
    id="sub_1",
    customer="contoso",
    plan=VALUES["plan"],
    state=ACTIVE,
    schedule=VALUES["schedule"],
    next_billing_date=TODAY,
    paid_through=TODAY,
    term_start=TODAY,
    term_end=TODAY,
)


class Recorder(StandardCommands[tuple[Any, ...]]):
    """Hands back what it was asked to execute."""

    def execute(
        self, id: str, command: Command, *, by: Actor, idempotency_key: str, agreed: Terms | None = None
    ) -> tuple[Any, ...]:
        return id, command, by, idempotency_key, agreed


def test_every_command_of_the_table_has_its_method() -> None:
    without = {kind.__name__ for name, kind in COMMANDS.items() if name not in METHODS}
    assert without == WITHOUT_A_METHOD.keys()
    assert METHODS.keys() <= COMMANDS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_what_its_command_takes(name: str) -> None:
    parameters = inspect.signature(METHODS[name]).parameters
    types = typing.get_type_hints(METHODS[name])
    fields = {field.name: field for field in attrs.fields(COMMANDS[name])}
    assert parameters.keys() - NOT_OF_THE_COMMAND == fields.keys()
    for required in ("by", "idempotency_key"):
        assert parameters[required].default is inspect.Parameter.empty
        assert parameters[required].kind is inspect.Parameter.KEYWORD_ONLY
    for field, declared in typing.get_type_hints(COMMANDS[name]).items():
        if field not in fields:
            continue
        assert types[field] == declared
        if field != "subscription":
            assert parameters[field].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[field].default == default_of(name, fields[field])


def default_of(name: str, field: Any) -> Any:
    if field.default is attrs.NOTHING or (name, field.name) in WITHOUT_ITS_DEFAULT:
        return inspect.Parameter.empty
    return field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_makes_its_command(name: str) -> None:
    kind = COMMANDS[name]
    values = {field.name: VALUES[field.name] for field in attrs.fields(kind)}
    terms = Terms(Money(1, "EUR"), TODAY)
    agreed = {"agreed": terms} if "agreed" in inspect.signature(METHODS[name]).parameters else {}
    who = {} if name == "adopt" else {"id": "sub_1"}
    made = METHODS[name](Recorder(), **who, **values, by=ALICE, idempotency_key="key", **agreed)
    assert made == ("sub_1", kind(**values), ALICE, "key", agreed.get("agreed"))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_may_charge_takes_agreed_terms(name: str) -> None:
    charges = any(row.charges for row in STANDARD.rows if row.on is COMMANDS[name] and not row.due)
    paying = name in ("start", "reactivate", "pay_arrears", "resume", "convert_trial")
    assert ("agreed" in inspect.signature(METHODS[name]).parameters) == paying
    assert charges or not paying


def test_subscriptions_share_the_methods() -> None:
    subs = Subscriptions(MemoryStore(), clock=lambda: datetime(2026, 1, 31, tzinfo=UTC))
    assert all(getattr(subs, name).__func__ is method for name, method in METHODS.items())
