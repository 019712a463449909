"""Every error of the library, in one tree.

    LifecycleError
    ├── Refused                    the guards said no; every one of them is in `refusals`
    │   └── NotPossible            no row of the table leads on from here; `possible` lists what does
    ├── PaymentDeclined            the money was asked for and did not come
    ├── PaymentInProgress          an earlier payment must be settled first
    ├── ConcurrentChange           somebody else wrote between our reading and our writing
    ├── IdempotencyKeyReused       the key belongs to another command
    ├── UnknownSubscription        (LookupError)
    ├── UnknownPayment             (LookupError)
    ├── AlreadyExists
    ├── Interrupted                failed in mid-command: `money` says what is known
    ├── InvalidValue               (ValueError) `field`, `problem`, `fix`
    └── DefinitionError            (ValueError) every problem of a table at once

Each answers the two questions of whoever is on call: `money` ("untouched", "captured", "unknown") and
`repeat` ("never", "same_key", "new_key"); `http_status` and `as_dict()` serve web handlers. Raised means that
state, dates and money are as they were, except where `money` says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

if TYPE_CHECKING:
    from subscription_lifecycle.machine.guard import Refusal

Money = Literal["untouched", "captured", "unknown"]
Repeat = Literal["never", "same_key", "new_key"]

__all__ = [
    "AlreadyExists",
    "ConcurrentChange",
    "DefinitionError",
    "IdempotencyKeyReused",
    "Interrupted",
    "InvalidValue",
    "LifecycleError",
    "NotPossible",
    "PaymentDeclined",
    "PaymentInProgress",
    "Refused",
    "UnknownPayment",
    "UnknownSubscription",
]


class LifecycleError(Exception):
    """Whatever this library raises on purpose."""

    code: ClassVar[str] = "lifecycle_error"
    money: Money = "untouched"
    repeat: Repeat = "never"
    http_status: int = 500

    def as_dict(self) -> dict[str, Any]:
        """Code, message, money, repeat and the error's own fields, ready for JSON."""
        kind: Any = type(self)
        fields = attrs.fields(kind) if attrs.has(kind) else ()
        own = {field.name: _plain(getattr(self, field.name)) for field in fields}
        return {"code": self.code, "message": str(self), "money": self.money, "repeat": self.repeat, **own}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if hasattr(value, "as_dict"):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


@attrs.define(eq=False)
class Refused(LifecycleError):
    """One or more guards said no. Nothing was moved; the key is not used up."""

    code = "refused"
    refusals: tuple[Refusal, ...]

    @property
    def http_status(self) -> int:  # type: ignore[override]
        """403 when each refusal is about who asks, else 409."""
        return 403 if all(refusal.allowed_roles for refusal in self.refusals) else 409

    def __str__(self) -> str:
        return " ".join(str(refusal) for refusal in self.refusals)


@attrs.define(eq=False)
class NotPossible(Refused):
    """No row of the table starts at this condition for this command; `possible` names the commands that have one."""

    code = "not_possible"
    possible: tuple[str, ...] = ()


@attrs.define(eq=False)
class PaymentDeclined(LifecycleError):
    """The gateway declined. State, dates, debts and method are as they were; the attempt and its decline are entries.

    `decline` is the gateway's own code, `retryable` its word on whether the same method may succeed later.
    """

    code = "payment_declined"
    repeat = "new_key"
    http_status = 402
    subscription: str
    reference: str
    decline: str
    retryable: bool = False

    def __str__(self) -> str:
        return f"The payment {self.reference} of {self.subscription} was declined ({self.decline})."


@attrs.define(eq=False)
class PaymentInProgress(LifecycleError):
    """A payment is open and holds the subscription; settle it, or wait for `sweep`, then repeat."""

    code = "payment_in_progress"
    repeat = "same_key"
    http_status = 409
    subscription: str
    reference: str

    def __str__(self) -> str:
        return f"The payment {self.reference} of {self.subscription} is still open."


@attrs.define(eq=False)
class ConcurrentChange(LifecycleError):
    """Somebody else changed the subscription first. Nothing of this command was written."""

    code = "concurrent_change"
    repeat = "same_key"
    http_status = 409
    subscription: str

    def __str__(self) -> str:
        return f"{self.subscription} was changed by somebody else; repeat with the same key."


@attrs.define(eq=False)
class IdempotencyKeyReused(LifecycleError):
    """The key was used before, for another command on this subscription."""

    code = "idempotency_key_reused"
    http_status = 422
    subscription: str
    key: str

    def __str__(self) -> str:
        return f"The key {self.key!r} of {self.subscription} belongs to another command; use a new one."


@attrs.define(eq=False)
class UnknownSubscription(LifecycleError, LookupError):
    """No subscription of that id is stored."""

    code = "unknown_subscription"
    http_status = 404
    subscription: str

    def __str__(self) -> str:
        return f"There is no subscription {self.subscription!r}."


@attrs.define(eq=False)
class UnknownPayment(LifecycleError, LookupError):
    """No payment of that reference was ever asked for here."""

    code = "unknown_payment"
    http_status = 404
    reference: str

    def __str__(self) -> str:
        return f"There is no payment {self.reference!r}."


@attrs.define(eq=False)
class AlreadyExists(LifecycleError):
    """A subscription of that id is stored already."""

    code = "already_exists"
    http_status = 409
    subscription: str

    def __str__(self) -> str:
        return f"The subscription {self.subscription!r} exists already."


@attrs.define(eq=False)
class Interrupted(LifecycleError):
    """The command failed half way; `__cause__` is the reason, `money` what is known of the payment.

    Repeat with the same key, or let `sweep` finish it: both find the stored intent and charge nothing twice.
    """

    code = "interrupted"
    repeat = "same_key"
    http_status = 503
    subscription: str
    reference: str
    money: Money = "unknown"

    def __str__(self) -> str:
        return f"The command on {self.subscription} was interrupted; the money of {self.reference} is {self.money}."


@attrs.define(eq=False)
class InvalidValue(LifecycleError, ValueError):
    """A value cannot be right, whatever the state. Nothing was written."""

    code = "invalid_value"
    http_status = 400
    field: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}. {self.fix}"


@attrs.define(eq=False)
class DefinitionError(LifecycleError, ValueError):
    """A lifecycle's table is wrong; every problem is listed at once."""

    code = "definition_error"
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(("The lifecycle is not well defined:", *(f"- {problem}" for problem in self.problems)))
