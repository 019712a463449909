"""What somebody asks: the base of every command.

Entries hold the command they answer, so the base class lives among the values; the standard commands are in
`standard/commands.py`.
"""

from __future__ import annotations

import re
import weakref
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
"""By the name it is stored under, the class that was made last; a command of this library keeps its name."""

_IN_USE: dict[str, weakref.WeakKeyDictionary[Any, type[Command]]] = {}
"""By the same name, the class that each lifecycle uses which is still there, in the order in which they were made."""


def stored_class(name: str) -> type[Command] | None:
    """The class whose commands are stored under a name. None: there is none.

    It is this library's own, else that of the first lifecycle that uses one of that name, else the one made last: what
    is merely defined somewhere in the process takes no name from a lifecycle. Of a class that was made anew, as by a
    module that is loaded again, it is the last.
    """
    found = REGISTRY.get(name)
    if name not in _IN_USE or (found is not None and is_ours(found)):
        return found
    in_use = list(_IN_USE[name].values())
    return [kind for kind in in_use if qualified(kind) == qualified(in_use[0])][-1] if in_use else found


def use(lifecycle: object, commands: Iterable[type[Command]]) -> None:
    """Keep the stored names of a lifecycle's commands for it, for as long as it is there."""
    for command in commands:
        if not is_ours(command):
            _IN_USE.setdefault(command.__name__, weakref.WeakKeyDictionary())[lifecycle] = command


def is_ours(kind: type) -> bool:
    """Whether a class is this library's own."""
    return kind.__module__.startswith("subscription_lifecycle.")


def qualified(kind: type) -> str:
    """A class as its module calls it."""
    return f"{kind.__module__}.{kind.__qualname__}"


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
        before = REGISTRY.get(cls.__name__)
        if stored and (before is None or is_ours(cls) or not is_ours(before)):
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
