"""How values of each shape are written and read: single ones, several, one of several types."""

from __future__ import annotations

import functools
import json
import marshal
import types
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from cattrs import Converter
from cattrs.fns import identity

from subscription_lifecycle.model import validation
from subscription_lifecycle.model.actor import Role
from subscription_lifecycle.model.mapping import FrozenMapping, frozen_mapping
from subscription_lifecycle.model.state import Cause, State

try:
    import orjson
except ImportError:
    # Documents are written in three times the time.
    orjson = None  # type: ignore[assignment]

__all__ = ["converter", "same", "shared", "text", "without_none"]

# Nothing that is written can hold itself: it is made of immutable values.
_plain_text: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
converter: Final = Converter(detailed_validation=False, forbid_extra_keys=True)


def text(document: Any) -> str:
    """JSON in ASCII, the same with orjson and without."""
    if orjson is not None:
        try:
            written = orjson.dumps(document).decode()
        except TypeError:
            # Numbers of more than 64 bits, and keys that are no text.
            return _plain_text(document)
        if written.isascii():
            return written
    return _plain_text(document)


# -- single values


def instant(value: datetime) -> str:
    if value.tzinfo is not UTC:
        value = validation.instant("instant", value)
    return value.isoformat()


def same(value: Any, _: Any = None) -> Any:
    return value


# Few of them, met in every document.
_state: Final = functools.lru_cache(1024)(lambda name: State(name, published=name))
_role: Final = functools.lru_cache(1024)(Role)


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


for _scalar in (int, str, bool):
    converter.register_structure_hook(_scalar, same)
converter.register_structure_hook(float, same)
_ANY: Final[Any] = Any
converter.register_structure_hook(_ANY, same)
converter.register_structure_hook_func(_is_literal, same)
converter.register_unstructure_hook(date, date.isoformat)
converter.register_structure_hook(date, lambda text, _: date.fromisoformat(text))
converter.register_unstructure_hook(datetime, instant)
converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
converter.register_unstructure_hook(Decimal, str)
converter.register_structure_hook(Decimal, lambda text, _: Decimal(text))
converter.register_unstructure_hook(State, lambda state: state.name)
converter.register_structure_hook(State, lambda name, _: _state(name))
converter.register_unstructure_hook(Role, lambda role: role.name)
converter.register_structure_hook(Role, lambda name, _: _role(name))
# A cause keeps its rank: the order of several follows it, also before a lifecycle has exchanged them for its own.
converter.register_unstructure_hook(Cause, lambda cause: [cause.name, cause.rank])
converter.register_structure_hook(Cause, lambda pair, _: Cause(pair[0], pair[1]))


# -- what is met again and again


def shared(kind: Any) -> Callable[[Any, Any], Any]:
    """A decoder of immutable values of which there are few: an equal document gives the same object."""
    decoder = converter.get_structure_hook(kind)
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


def without_none(kind: Any) -> Any:
    """The type that an optional one is, beside None."""
    if not _is_optional(kind):
        return kind
    [member] = set(get_args(kind)) - {type(None)}
    return member


def _optional_encoder(kind: Any) -> Callable[[Any], Any]:
    encoder = converter.get_unstructure_hook(without_none(kind))
    return encoder if encoder is identity else lambda value: None if value is None else encoder(value)


def _optional_decoder(kind: Any) -> Callable[[Any, Any], Any]:
    member = without_none(kind)
    decoder = converter.get_structure_hook(member)
    return decoder if decoder is same else lambda value, _: None if value is None else decoder(value, member)


converter.register_unstructure_hook_factory(_is_optional, _optional_encoder)
converter.register_structure_hook_factory(_is_optional, _optional_decoder)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _tuple_encoder(kind: Any) -> Callable[[Any], Any]:
    encoder = converter.get_unstructure_hook(get_args(kind)[0])
    return lambda items: [encoder(item) for item in items] if items else []


def _tuple_decoder(kind: Any) -> Callable[[Any, Any], Any]:
    item = get_args(kind)[0]
    decoder = converter.get_structure_hook(item)
    return lambda items, _: tuple([decoder(each, item) for each in items])


converter.register_unstructure_hook_factory(_is_tuple, _tuple_encoder)
converter.register_structure_hook_factory(_is_tuple, _tuple_decoder)


def _is_mapping(kind: Any) -> bool:
    return (get_origin(kind) or kind) in (Mapping, FrozenMapping)


def _mapping_encoder(kind: Any) -> Callable[[Any], Any]:
    item = (*get_args(kind), Any, Any)[1]
    if item is Any:
        return dict
    encoder = converter.get_unstructure_hook(item)
    return lambda mapping: {key: encoder(value) for key, value in mapping.items()}


def _mapping_decoder(kind: Any) -> Callable[[Any, Any], Any]:
    item = (*get_args(kind), Any, Any)[1]
    if item is Any:
        return lambda mapping, _: frozen_mapping(mapping)
    decoder = converter.get_structure_hook(item)
    return lambda mapping, _: frozen_mapping({key: decoder(value, item) for key, value in mapping.items()})


converter.register_unstructure_hook_factory(_is_mapping, _mapping_encoder)
converter.register_structure_hook_factory(_is_mapping, _mapping_decoder)

_SETS: Final[Any] = (set, frozenset)


def _is_set(kind: Any) -> bool:
    return get_origin(kind) in _SETS or kind in _SETS


def _set_encoder(kind: Any) -> Callable[[Any], Any]:
    encoder = converter.get_unstructure_hook((*get_args(kind), Any)[0])
    return lambda items: sorted(map(encoder, items), key=text)


converter.register_unstructure_hook_factory(_is_set, _set_encoder)


def _is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def _named_tuple_encoder(kind: Any) -> Callable[[Any], Any]:
    encoders = [converter.get_unstructure_hook(item) for item in get_type_hints(kind).values()]
    return lambda value: [encoder(item) for encoder, item in zip(encoders, value, strict=True)]


def _named_tuple_decoder(kind: Any) -> Callable[[Any, Any], Any]:
    decoders = [(converter.get_structure_hook(item), item) for item in get_type_hints(kind).values()]
    return lambda items, _: kind(*[decoder(value, of) for (decoder, of), value in zip(decoders, items, strict=True)])


converter.register_unstructure_hook_factory(_is_named_tuple, _named_tuple_encoder)
converter.register_structure_hook_factory(_is_named_tuple, _named_tuple_decoder)


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
    encoders = {tag: (run, converter.get_unstructure_hook(member)) for tag, (run, member) in _members(kind).items()}

    def encode_choice(value: Any) -> Any:
        for tag, (runtime, encoder) in encoders.items():
            if validation.is_a(value, runtime):
                return {tag: encoder(value)}
        return value

    return encode_choice


def _choice_decoder(kind: Any) -> Callable[[Any, Any], Any]:
    decoders = {tag: (converter.get_structure_hook(member), member) for tag, (_, member) in _members(kind).items()}

    def decode_choice(document: Any, _: Any) -> Any:
        if not isinstance(document, dict):
            return document
        [(tag, value)] = document.items()
        decoder, member = decoders[tag]
        return decoder(value, member)

    return decode_choice


converter.register_unstructure_hook_factory(_is_choice, _choice_encoder)
converter.register_structure_hook_factory(_is_choice, _choice_decoder)
