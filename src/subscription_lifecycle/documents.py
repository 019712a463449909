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
import marshal
import re
import types
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
from cattrs import Converter
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.machine.decision import Applied, AwaitingPayment, Decision
from subscription_lifecycle.model import payment, validation
from subscription_lifecycle.model.actor import Actor, Role
from subscription_lifecycle.model.charge import Charge, Debt, InvoiceLine, Terms
from subscription_lifecycle.model.command import REGISTRY, Command
from subscription_lifecycle.model.entry import Change, Entry
from subscription_lifecycle.model.mapping import FrozenMapping, frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.plan import Plan
from subscription_lifecycle.model.schedule import BillingSchedule
from subscription_lifecycle.model.state import Cause, State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.ports import Answer, Attempt, Stored, Write

__all__ = ["FORMAT", "UnknownCommand", "decode", "encode", "from_json", "to_json"]

FORMAT: Final = 1
"""How documents are written now. A version reads this format and every earlier one."""

T = TypeVar("T")


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
    if written != FORMAT:
        raise InvalidValue(
            "document",
            f"its format is {validation.brief(written)}; this version reads {FORMAT}",
            "It was written by a later version: upgrade subscription-lifecycle.",
        )
    value: T = _DECODERS[tag](fields)
    return value


def to_json(value: Any) -> str:
    """The document as text, in ASCII. Raises as `encode` does."""
    return _text(encode(value))


def from_json(kind: type[T], text: str) -> T:
    """The value of a text that `to_json` wrote of a `kind`. Raises as `decode` does."""
    return decode(kind, json.loads(text))


# Nothing that is written can hold itself: it is made of immutable values.
_text: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
_converter: Final = Converter(detailed_validation=False, forbid_extra_keys=True)


# -- single values


def _instant(value: datetime) -> str:
    if value.tzinfo is not UTC:
        value = validation.instant("instant", value)
    return value.isoformat()


def _same(value: Any, _: Any = None) -> Any:
    return value


# Few of them, met in every document.
_state: Final = functools.lru_cache(1024)(lambda name: State(name, published=name))
_role: Final = functools.lru_cache(1024)(Role)


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


for _scalar in (int, str, bool):
    _converter.register_structure_hook(_scalar, _same)
_converter.register_structure_hook(float, _same)
_ANY: Final[Any] = Any
_converter.register_structure_hook(_ANY, _same)
_converter.register_structure_hook_func(_is_literal, _same)
_converter.register_unstructure_hook(date, date.isoformat)
_converter.register_structure_hook(date, lambda text, _: date.fromisoformat(text))
_converter.register_unstructure_hook(datetime, _instant)
_converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
_converter.register_unstructure_hook(Decimal, str)
_converter.register_structure_hook(Decimal, lambda text, _: Decimal(text))
_converter.register_unstructure_hook(State, lambda state: state.name)
_converter.register_structure_hook(State, lambda name, _: _state(name))
_converter.register_unstructure_hook(Role, lambda role: role.name)
_converter.register_structure_hook(Role, lambda name, _: _role(name))
# A cause keeps its rank: the order of several follows it, also before a lifecycle has exchanged them for its own.
_converter.register_unstructure_hook(Cause, lambda cause: [cause.name, cause.rank])
_converter.register_structure_hook(Cause, lambda pair, _: Cause(pair[0], pair[1]))


# -- what is met again and again


def _shared(kind: Any) -> Callable[[Any, Any], Any]:
    """A decoder of immutable values of which there are few: an equal document gives the same object."""
    decoder = _converter.get_structure_hook(kind)
    made = functools.lru_cache(1024)(lambda key: decoder(marshal.loads(key), kind))

    def decode_shared(document: Any, _: Any) -> Any:
        try:
            # Bytes can be looked up, and keep 1 and true apart. The second format repeats whatever occurs twice, so
            # that equal documents are equal bytes.
            key = marshal.dumps(document, 2)
        except ValueError:
            # A mapping that is no plain dict.
            return decoder(document, kind)
        return made(key)

    return decode_shared


# -- several values: these hooks do what cattrs' own do for any iterable, and know that documents hold lists


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType) and len(set(get_args(kind)) - {type(None)}) == 1


def _of_optional(kind: Any) -> Any:
    [member] = set(get_args(kind)) - {type(None)}
    return member


def _optional_encoder(kind: Any) -> Callable[[Any], Any]:
    encoder = _converter.get_unstructure_hook(_of_optional(kind))
    return encoder if encoder is identity else lambda value: None if value is None else encoder(value)


def _optional_decoder(kind: Any) -> Callable[[Any, Any], Any]:
    member = _of_optional(kind)
    decoder = _converter.get_structure_hook(member)
    return decoder if decoder is _same else lambda value, _: None if value is None else decoder(value, member)


_converter.register_unstructure_hook_factory(_is_optional, _optional_encoder)
_converter.register_structure_hook_factory(_is_optional, _optional_decoder)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _tuple_encoder(kind: Any) -> Callable[[Any], Any]:
    encoder = _converter.get_unstructure_hook(get_args(kind)[0])
    return lambda items: [encoder(item) for item in items]


def _tuple_decoder(kind: Any) -> Callable[[Any, Any], Any]:
    item = get_args(kind)[0]
    decoder = _converter.get_structure_hook(item)
    return lambda items, _: tuple([decoder(each, item) for each in items])


_converter.register_unstructure_hook_factory(_is_tuple, _tuple_encoder)
_converter.register_structure_hook_factory(_is_tuple, _tuple_decoder)


def _is_mapping(kind: Any) -> bool:
    return (get_origin(kind) or kind) in (Mapping, FrozenMapping)


def _mapping_encoder(kind: Any) -> Callable[[Any], Any]:
    item = (*get_args(kind), Any, Any)[1]
    if item is Any:
        return dict
    encoder = _converter.get_unstructure_hook(item)
    return lambda mapping: {key: encoder(value) for key, value in mapping.items()}


def _mapping_decoder(kind: Any) -> Callable[[Any, Any], Any]:
    item = (*get_args(kind), Any, Any)[1]
    if item is Any:
        return lambda mapping, _: frozen_mapping(mapping)
    decoder = _converter.get_structure_hook(item)
    return lambda mapping, _: frozen_mapping({key: decoder(value, item) for key, value in mapping.items()})


_converter.register_unstructure_hook_factory(_is_mapping, _mapping_encoder)
_converter.register_structure_hook_factory(_is_mapping, _mapping_decoder)

_SETS: Final[Any] = (set, frozenset)


def _is_set(kind: Any) -> bool:
    return get_origin(kind) in _SETS or kind in _SETS


def _set_encoder(kind: Any) -> Callable[[Any], Any]:
    encoder = _converter.get_unstructure_hook((*get_args(kind), Any)[0])
    return lambda items: sorted(map(encoder, items), key=_text)


_converter.register_unstructure_hook_factory(_is_set, _set_encoder)


def _is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def _named_tuple_encoder(kind: Any) -> Callable[[Any], Any]:
    encoders = [_converter.get_unstructure_hook(item) for item in get_type_hints(kind).values()]
    return lambda value: [encoder(item) for encoder, item in zip(encoders, value, strict=True)]


def _named_tuple_decoder(kind: Any) -> Callable[[Any, Any], Any]:
    decoders = [(_converter.get_structure_hook(item), item) for item in get_type_hints(kind).values()]
    return lambda items, _: kind(*[decoder(value, of) for (decoder, of), value in zip(decoders, items, strict=True)])


_converter.register_unstructure_hook_factory(_is_named_tuple, _named_tuple_encoder)
_converter.register_structure_hook_factory(_is_named_tuple, _named_tuple_decoder)


# -- one of several types: what JSON has is written plainly, anything else under its type's name


def _is_choice(kind: Any) -> bool:
    several = get_origin(kind) in (Union, types.UnionType) and len(set(get_args(kind)) - {type(None)}) > 1
    return several and bool(_members(kind))


def _members(kind: Any) -> dict[str, tuple[type, Any]]:
    """The members that need a tag, by the name of their type."""
    found: dict[str, tuple[type, Any]] = {}
    for member in get_args(kind):
        runtime = get_origin(member) or member
        if member in (str, int, bool, float, type(None)) or runtime is Literal:
            continue
        found[runtime.__name__] = runtime, member
    return found


def _choice_encoder(kind: Any) -> Callable[[Any], Any]:
    encoders = {tag: (run, _converter.get_unstructure_hook(member)) for tag, (run, member) in _members(kind).items()}

    def encode_choice(value: Any) -> Any:
        for tag, (runtime, encoder) in encoders.items():
            if validation.is_a(value, runtime):
                return {tag: encoder(value)}
        return value

    return encode_choice


def _choice_decoder(kind: Any) -> Callable[[Any, Any], Any]:
    decoders = {tag: (_converter.get_structure_hook(member), member) for tag, (_, member) in _members(kind).items()}

    def decode_choice(document: Any, _: Any) -> Any:
        if not isinstance(document, dict):
            return document
        [(tag, value)] = document.items()
        decoder, member = decoders[tag]
        return decoder(value, member)

    return decode_choice


_converter.register_unstructure_hook_factory(_is_choice, _choice_encoder)
_converter.register_structure_hook_factory(_is_choice, _choice_decoder)


# -- commands


def _encode_command(command: Command) -> dict[str, Any]:
    if isinstance(command, UnknownCommand):
        return {command.name: dict(command.fields)}
    kind: Any = type(command)  # mypy would take a command's __hash__ for that of its class
    if REGISTRY.get(kind.__name__) != kind:
        raise InvalidValue("command", f"there are two classes called {kind.__name__}", "Rename one of them.")
    if kind.__module__.startswith("subscription_lifecycle."):
        return {kind.__name__: _encoder_of(kind)(command)}
    return _surviving(kind, command)


def _surviving(kind: Any, command: Command) -> dict[str, Any]:
    """A user's command: what cannot be read again must not be written, and is found out before any money moves."""
    try:
        document = {kind.__name__: _encoder_of(kind)(command)}
        if _decode_fields(**json.loads(_text(document))) != command:
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
    return make_dict_unstructure_fn(kind, _converter)


@functools.cache
def _decoder_of(kind: type[Command]) -> Any:
    return make_dict_structure_fn(kind, _converter)


def _decode_fields(**document: Any) -> Any:
    [(name, fields)] = document.items()
    kind: Any = REGISTRY[name]
    return _decoder_of(kind)(fields, kind)


def _decode_command(document: dict[str, Any], _: Any) -> Any:
    try:
        return _decode_fields(**document)
    except Exception:
        [(name, fields)] = document.items()
        return UnknownCommand(name, fields)


def _is_command(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Command)


_converter.register_unstructure_hook_func(_is_command, _encode_command)
_converter.register_structure_hook_func(_is_command, _decode_command)


# -- snapshots, and what changed in them

for _kind in (Money, BillingSchedule, Plan, PaymentMethod, Actor):
    _converter.register_structure_hook(_kind, _shared(_kind))

_SNAPSHOT: Final = {
    field.name: (
        _converter.get_structure_hook(field.type),
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
        if value is None or value is default or decoder is _same:
            fields[name] = value
        else:
            fields[name] = decoder(value, kind) if value != [] else ()
    return subscription


_converter.register_structure_hook(Subscription, _decode_subscription)
_CHANGES: Final = {
    field.name: (_converter.get_unstructure_hook(field.type), _converter.get_structure_hook(field.type), field.type)
    for field in attrs.fields(Subscription)
}


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


_converter.register_unstructure_hook(
    Entry, make_dict_unstructure_fn(Entry, _converter, changes=override(unstruct_hook=_encode_changes))
)
_converter.register_structure_hook(
    Entry, make_dict_structure_fn(Entry, _converter, changes=override(struct_hook=_decode_changes))
)


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
_ENCODERS: Final = {tag: _converter.get_unstructure_hook(kind) for tag, kind in KINDS.items()}
_DECODERS: Final = {
    tag: functools.partial(_structured, _converter.get_structure_hook(kind), kind) for tag, kind in KINDS.items()
}
