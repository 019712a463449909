"""States, the causes of an interruption, and the access they give."""

from __future__ import annotations

import enum
from typing import NamedTuple

import attrs

from subscription_lifecycle.model import validation


class Access(enum.StrEnum):
    """What users may reach. REDUCED: administrators and their data only (S16)."""

    FULL = "full"
    REDUCED = "reduced"
    NONE = "none"

    @property
    def width(self) -> int:
        """How far it reaches: less than FULL is REDUCED, less than that NONE."""
        return (Access.NONE, Access.REDUCED, Access.FULL).index(self)


def _published(state: State) -> str:
    return str(state.name).replace("_", " ").capitalize()


@attrs.frozen
class State:
    """A condition a subscription is in: an adjective. Its name is its identity, in code and in stored history.

    `published` is the label customers see; `settled` the state it turns into on its return from an interruption when
    nothing is owed any more; no row leaves a `final` state.
    """

    name: str = attrs.field(validator=validation.name)
    access: Access = attrs.field(default=Access.FULL, eq=False, kw_only=True, validator=validation.a(Access))
    published: str = attrs.field(
        default=attrs.Factory(_published, takes_self=True), eq=False, kw_only=True, validator=validation.name
    )
    settled: State | None = attrs.field(default=None, eq=False, kw_only=True, repr=False)
    final: bool = attrs.field(default=False, eq=False, kw_only=True, validator=validation.a(bool))

    def __str__(self) -> str:
        return self.name.upper()


@attrs.frozen
class Cause:
    """Why service is interrupted. Of several, the one with the lowest `rank` decides the way back."""

    name: str = attrs.field(validator=validation.name)
    rank: int = attrs.field(default=50, eq=False, validator=validation.between(0, 1000))

    def __str__(self) -> str:
        return self.name.upper()


class Condition(NamedTuple):
    """A state and the cause that decides in it: what a host's own statuses must map to."""

    state: State
    cause: Cause | None

    def __str__(self) -> str:
        return f"{self.state} ({self.cause})" if self.cause else str(self.state)
