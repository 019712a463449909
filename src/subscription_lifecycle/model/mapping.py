"""A mapping nobody can change: what snapshots and policies hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenMapping(dict[K, V]):
    """A dict that refuses changes, equals a plain dict and pickles."""

    if not TYPE_CHECKING:

        def _refuse(self, *_: Any, **__: Any) -> NoReturn:
            raise TypeError("this mapping belongs to an immutable value; make a new one instead")

        __setitem__ = __delitem__ = __ior__ = _refuse
        clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenMapping, (dict(self),)


def frozen_mapping(mapping: Mapping[K, V]) -> Mapping[K, V]:
    return mapping if isinstance(mapping, FrozenMapping) else FrozenMapping(mapping)
