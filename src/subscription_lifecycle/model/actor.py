"""Who asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation


@attrs.frozen(order=True)
class Role:
    """A role in the seller's own words; what it may do is said by `Policy` and guards (S7)."""

    name: str = attrs.field(validator=validation.name)

    GLOBAL_ADMIN: ClassVar[Role]
    BILLING_ADMIN: ClassVar[Role]
    SUPPORT: ClassVar[Role]
    PROVIDER: ClassVar[Role]
    CLOCK: ClassVar[Role]

    def __str__(self) -> str:
        return self.name.replace("_", " ")


Role.GLOBAL_ADMIN = Role("global_admin")
Role.BILLING_ADMIN = Role("billing_admin")
Role.SUPPORT = Role("support")
Role.PROVIDER = Role("provider")
Role.CLOCK = Role("clock")


def _roles(roles: Role | Iterable[Role]) -> frozenset[Role]:
    found = (roles,) if isinstance(roles, Role) else roles
    try:
        frozen = frozenset(found)
    except TypeError:
        frozen = frozenset()
    empty = isinstance(found, (tuple, frozenset)) and not found
    if (not frozen and not empty) or not all(isinstance(role, Role) for role in frozen):
        raise InvalidValue(
            "roles",
            f"{validation.brief(roles)} is not a Role or several",
            "Pass Role.BILLING_ADMIN, or a tuple of roles.",
        )
    return frozen


@attrs.frozen
class Actor:
    """Somebody, or the clock, with an id, one or several roles, and the customer they act for (None: any)."""

    id: str = attrs.field(validator=validation.name)
    roles: frozenset[Role] = attrs.field(default=frozenset(), converter=_roles)
    customer: str | None = attrs.field(default=None, kw_only=True, validator=validation.optional(validation.name))

    def __str__(self) -> str:
        return self.id


SYSTEM = Actor("system", Role.CLOCK)
"""The clock: it may take the rows that are due, and nothing else."""
