"""What somebody asks: the base of every command.

Entries hold the command they answer, so the base class lives among the values; the standard commands are in
`standard/commands.py`.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model.charge import ChargeLine
from subscription_lifecycle.model.money import Money

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from subscription_lifecycle.model.entry import Entry
    from subscription_lifecycle.model.subscription import Subscription

REGISTRY: dict[str, type[Command]] = {}
"""Every command class by the name it is stored under."""


@attrs.frozen
class Command:
    """Derive from it with `@attrs.frozen`; the fields are the typed inputs and must survive JSON.

    A command whose rows differ by one of its inputs says which through `case`; `of_case` is the way back, for rows that
    the clock takes. A command that `creates` makes the first snapshot itself; one that `reads_history` is decided with
    what `facts` finds there; one that `announces` only says what is to come.
    """

    creates: ClassVar[bool] = False
    reads_history: ClassVar[bool] = False
    announces: ClassVar[bool] = False
    title: ClassVar[str] = "command"

    def __init_subclass__(cls, *, stored: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.title = re.sub("(?<=[a-z0-9])(?=[A-Z])", " ", cls.__name__).lower()
        if stored:
            REGISTRY[cls.__name__] = cls

    @property
    def case(self) -> Hashable:
        return None

    @classmethod
    def of_case(cls, case: Hashable) -> Self:
        return cls()

    def facts(self, history: Iterable[Entry]) -> Mapping[str, Any]:
        """What a command that `reads_history` needs to know of it, as JSON: part of the facts it is decided with."""
        return {}

    def create(self, id: str, at: datetime) -> Subscription:
        """The snapshot, at version 0, that the command's row then starts from."""
        raise InvalidValue("command", f"{type(self).__name__} creates no subscription", "Use Start or Adopt.")


@attrs.frozen
class ConfirmRefund(Command):
    """The gateway took a refund on: recorded by the clock, no row of a table."""

    reference: str


@attrs.frozen
class FailRefund(Command):
    """The gateway reported that a refund did not arrive: recorded by the clock, no row of a table."""

    reference: str
    gateway_id: str
    code: str


@attrs.frozen
class SettlePayment(Command):
    """The gateway reported that money came that nobody waits for any more, or came back.

    Where the table has a row for it, the row says which debts `amount` pays; all of it, and what that leads to, or,
    with `restores=False`, the debts alone. What pays nothing goes back, or becomes credit where money of that payment
    went back before and it is not `refundable` any more.
    """

    reference: str
    amount: Money | None = None
    restores: bool = True
    refundable: bool = True

    @property
    def case(self) -> Hashable:
        return "restores" if self.restores else "pays"


@attrs.frozen
class FailPayment(Command):
    """The gateway reported that money which was counted on is not there; `lines` are what it had paid for.

    Where the table has a row for it, the row says what follows; `disables` where policy ends service for it.
    """

    reference: str
    amount: Money
    lines: tuple[ChargeLine, ...] = ()
    disables: bool = False

    @property
    def case(self) -> Hashable:
        return "disables" if self.disables else "owes"
