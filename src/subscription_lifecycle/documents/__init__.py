"""Every stored or sent value as a tagged, versioned JSON document.

`encode` and `decode` give and take plain JSON values, `to_json` and `from_json` their text; the way back leads to an
equal value. A document says what it is (`type`) and how it is written (`format`). All fields are written out, so that
no default of a later version changes what was said. States are written by name, which is their identity: a decoded
state knows nothing else until `Lifecycle.known` exchanges it. Days are ISO dates, instants ISO in UTC.

Commands are an open set, written under their class's name. One whose class is gone, or reads its fields differently
now, is decoded as an `UnknownCommand` that keeps them: history still loads, and is written again as it was.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import attrs
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from subscription_lifecycle.documents.shapes import converter, same, shared, without_none
from subscription_lifecycle.documents.shapes import text as text_of
from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment, Decision
from subscription_lifecycle.model import payment, validation
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.charge import Charge, Debt, InvoiceLine, Terms
from subscription_lifecycle.model.command import Command, is_ours, qualified, stored_class
from subscription_lifecycle.model.entry import Change, Entry
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.plan import Plan
from subscription_lifecycle.model.schedule import BillingSchedule
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Answer, Attempt, Stored, Write

__all__ = ["FORMAT", "UnknownCommand", "decode", "encode", "from_json", "to_json"]

FORMAT: Final = 2
"""How documents are written now. A version reads this format and every earlier one.

Since 2 a decision says of its snapshots what differs from the one before it, where 1 wrote out all of them.
"""

T = TypeVar("T")
_READ: Final = range(1, FORMAT + 1)


@attrs.frozen
class UnknownCommand(Command):
    """A stored command that this program has no class for: its name, and its fields as they were written."""

    name: str
    fields: Mapping[str, Any] = attrs.field(converter=frozen_mapping, hash=False)


def _title(command: UnknownCommand) -> str:
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", " ", command.name).lower()


# It speaks by the name of the class that is gone: a payment asked for again must be asked for in the same words.
type.__setattr__(UnknownCommand, "title", property(_title))


def encode(value: Any) -> dict[str, Any]:
    """The document of a subscription, entry, attempt, answer, command, payment outcome, or what they are made of.

    Raises InvalidValue for what is none of these, and for a command whose fields do not survive JSON.
    """
    tag = "Command" if isinstance(value, Command) else type(value).__name__
    kind = KINDS.get(tag)
    if kind is None or not isinstance(value, kind):
        raise InvalidValue("value", f"{validation.brief(value)} is no document", f"Pass one of {', '.join(KINDS)}.")
    return {"format": FORMAT, "type": tag, **_ENCODERS[tag](value)}


def decode(kind: type[T], document: Mapping[str, Any]) -> T:
    """The value of a document that `encode` made of a `kind`: `decode(Entry, document)`.

    What was checked when it was made is trusted: snapshots are not checked again. Raises InvalidValue when the
    document is of another kind or was written by a later version.
    """
    tag = kind.__name__
    fields = dict(document)
    written, found = fields.pop("format", None), fields.pop("type", None)
    if KINDS.get(tag) is not kind or found != tag:
        raise InvalidValue("document", f"it holds a {found}, not a {tag}", "Decode it as what its `type` says.")
    if written not in _READ:
        raise InvalidValue(
            "document",
            f"its format is {validation.brief(written)}; this version reads up to {FORMAT}",
            "It was written by a later version: upgrade subscription-lifecycle.",
        )
    value: T = _DECODERS[tag](fields)
    return value


def to_json(value: Any) -> str:
    """The document as text, in ASCII. Raises as `encode` does."""
    return text_of(encode(value))


def from_json(kind: type[T], text: str) -> T:
    """The value of a text that `to_json` wrote of a `kind`. Raises as `decode` does."""
    return decode(kind, json.loads(text))


# -- commands


def _encode_command(command: Command) -> dict[str, Any]:
    if isinstance(command, UnknownCommand):
        return {command.name: dict(command.fields)}
    kind: Any = type(command)  # mypy would take a command's __hash__ for that of its class
    stored: Any = stored_class(kind.__name__)
    if stored is not kind:
        other = "no class" if stored is None else qualified(stored)
        raise InvalidValue(
            "command",
            f"{qualified(kind)} cannot be stored: there are two classes called {kind.__name__}, and {other} is read",
            "Rename one of them.",
        )
    if is_ours(kind):
        return {kind.__name__: _encoder_of(kind)(command)}
    return _surviving(kind, command)


def _surviving(kind: Any, command: Command) -> dict[str, Any]:
    """A user's command: what cannot be read again must not be written, and is found out before any money moves."""
    try:
        document = {kind.__name__: _encoder_of(kind)(command)}
        if _decode_fields(**json.loads(text_of(document))) != command:
            raise ValueError("it is read as another command")
    except Exception as error:
        raise InvalidValue(
            "command",
            f"{validation.brief(command)} does not survive JSON",
            "Annotate its fields with the types they hold, and use values that JSON carries.",
        ) from error
    return document


@functools.cache
def _encoder_of(kind: type[Command]) -> Any:
    return make_dict_unstructure_fn(kind, converter)


@functools.cache
def _decoder_of(kind: type[Command]) -> Any:
    return make_dict_structure_fn(kind, converter)


def _decode_fields(**document: Any) -> Any:
    [(name, fields)] = document.items()
    kind: Any = stored_class(name)
    return _decoder_of(kind)(fields, kind)


def _decode_command(document: dict[str, Any], _: Any) -> Any:
    try:
        return _decode_fields(**document)
    except Exception:
        [(name, fields)] = document.items()
        return UnknownCommand(name, fields)


def _is_command(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Command)


converter.register_unstructure_hook_func(_is_command, _encode_command)
converter.register_structure_hook_func(_is_command, _decode_command)


# -- snapshots, and what changed in them

for _kind in (Money, BillingSchedule, Plan, PaymentMethod, Actor):
    converter.register_structure_hook(_kind, shared(_kind))

_SNAPSHOT: Final = {
    field.name: (
        converter.get_structure_hook(field.type),
        field.type,
        # An earlier version had no such field. The factories among them make empty mappings.
        frozen_mapping({}) if isinstance(field.default, attrs.Factory) else field.default,  # type: ignore[arg-type]
    )
    for field in attrs.fields(attrs.resolve_types(Subscription))
}


def _decode_subscription(document: dict[str, Any], _: Any = None) -> Subscription:
    if document.keys() - _SNAPSHOT.keys():
        raise InvalidValue("document", "it has fields of a later version", "Upgrade subscription-lifecycle.")
    subscription = object.__new__(Subscription)
    fields = subscription.__dict__
    for name, (decoder, kind, default) in _SNAPSHOT.items():
        value = document.get(name, default)
        if value is attrs.NOTHING:
            raise InvalidValue("document", f"it has no {name}", "Restore it: it was not written by this library.")
        if value is None or value is default or decoder is same:
            fields[name] = value
        else:
            fields[name] = decoder(value, kind) if value != [] else ()
    return subscription


_CHANGES: Final = {
    field.name: (converter.get_unstructure_hook(field.type), converter.get_structure_hook(field.type), field.type)
    for field in attrs.fields(Subscription)
}


_ENCODED: Final = [
    (name, encoder)
    for field in attrs.fields(Subscription)
    for name, encoder in [(field.name, converter.get_unstructure_hook(without_none(field.type)))]
    if encoder is not identity
]


def _encode_subscription(subscription: Subscription) -> dict[str, Any]:
    document = dict(vars(subscription))
    for name, encoder in _ENCODED:
        value = document[name]
        if value is not None:
            document[name] = encoder(value)
    return document


converter.register_unstructure_hook(Subscription, _encode_subscription)
converter.register_structure_hook(Subscription, _decode_subscription)


def _encode_changes(changes: Mapping[str, Change]) -> dict[str, Any]:
    return {
        name: [None if value is None else _CHANGES[name][0](value) for value in change]
        for name, change in changes.items()
    }


def _decode_changes(changes: dict[str, Any], _: Any) -> Mapping[str, Change]:
    found = {}
    for name, change in changes.items():
        _, decoder, kind = _CHANGES[name]
        found[name] = Change(*[None if value is None else decoder(value, kind) for value in change])
    return frozen_mapping(found)


converter.register_unstructure_hook(
    Entry, make_dict_unstructure_fn(Entry, converter, changes=override(unstruct_hook=_encode_changes))
)
converter.register_structure_hook(
    Entry, make_dict_structure_fn(Entry, converter, changes=override(struct_hook=_decode_changes))
)


# -- decisions: three snapshots that are nearly the same

_decision: Final = make_dict_unstructure_fn(
    Decision, converter, after=override(omit=True), declined=override(omit=True)
)
_whole_decision: Final = make_dict_structure_fn(Decision, converter)


def _encode_decision(decision: Decision) -> dict[str, Any]:
    before, declined = decision.before, decision.declined
    return {
        **_decision(decision),
        "after": _beside(before, decision.after),
        "declined": None if declined is None else _beside(before, declined),
    }


def _beside(before: Subscription, after: Subscription) -> dict[str, Any]:
    """What differs; the whole of it, which has an id, where it is not the same subscription."""
    whole, old = after.id != before.id, vars(before)
    return {
        name: None if value is None else _CHANGES[name][0](value)
        for name, value in vars(after).items()
        if whole or (value is not old[name] and value != old[name])
    }


def _decode_decision(document: dict[str, Any], _: Any) -> Decision:
    before, whole = document["before"], dict(document)
    for name in ("after", "declined"):
        snapshot = document.get(name)
        if snapshot is not None and "id" not in snapshot:
            whole[name] = {**before, **snapshot}
    decision: Decision = _whole_decision(whole, Decision)
    return decision


converter.register_unstructure_hook(Decision, _encode_decision)
converter.register_structure_hook(Decision, _decode_decision)


def _structured(decoder: Callable[[Any, Any], Any], kind: type, document: dict[str, Any]) -> Any:
    return decoder(document, kind)


KINDS: Final[Mapping[str, type]] = {
    kind.__name__: kind
    for kind in (
        (Subscription, Entry, Attempt, Answer, Command, Stored, Write, Decision, Applied, AwaitingPayment)
        + (payment.CaptureRequest, payment.Captured, payment.Declined, payment.ActionRequired, payment.Processing)
        + (payment.ChargedBack, payment.ChargebackReversed, payment.Refunded, payment.RefundFailed, payment.Payment)
        + (PaymentMethod, Plan, Money, BillingSchedule, Actor, Charge, Debt, InvoiceLine, Terms)
    )
}
_ENCODERS: Final = {tag: converter.get_unstructure_hook(kind) for tag, kind in KINDS.items()}
_DECODERS: Final = {
    tag: functools.partial(_structured, converter.get_structure_hook(kind), kind) for tag, kind in KINDS.items()
}
