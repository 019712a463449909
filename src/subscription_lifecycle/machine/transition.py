"""One row of the table."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import attrs

from subscription_lifecycle.machine.guard import BillingDates, Context, Guard
from subscription_lifecycle.model.charge import NO_CHARGE, Charge, Reminder
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.model.state import Access, Cause, State
from subscription_lifecycle.model.subscription import Subscription

C = TypeVar("C", bound=Command)


@attrs.frozen
class Target:
    """A target that depends on the subscription."""

    title: str


INTERRUPTED_STATE: Final = Target("the state it left")
"""The state that service was interrupted in; while another cause stands, the state of that cause."""
SAME_STATE: Final = Target("the same state")
"""The state the subscription is in already."""

ChargeRule: TypeAlias = Callable[[Context[C]], Charge]
BillingDateRule: TypeAlias = Callable[[Context[C]], BillingDates]
CommitmentRule: TypeAlias = Callable[[Context[C]], tuple[date, date]]
UntilRule: TypeAlias = Callable[[Context[C]], date | None]
DueRule: TypeAlias = Callable[[Subscription, Policy], datetime | None]
Effect: TypeAlias = Callable[[Context[C]], Mapping[str, Any]]
ClaimRule: TypeAlias = Callable[[Context[C]], str | None]
AccessRule: TypeAlias = Callable[[Subscription, Policy, date], Access]
ReminderRule: TypeAlias = Callable[[Context[C], Subscription, Charge], Reminder | None]


def by_state(subscription: Subscription, policy: Policy, today: date) -> Access:
    """What the state says."""
    return subscription.state.access


def nothing(context: Context[Command]) -> Charge:
    """No money is asked for."""
    return NO_CHARGE


def unchanged(context: Context[Command]) -> BillingDates:
    """The next billing date stays as it is (S26, S27)."""
    return BillingDates(context.subscription.schedule, context.subscription.next_billing_date)


def same(context: Context[Command]) -> tuple[date, date]:
    """The commitment stays as it is."""
    return context.subscription.term_start, context.subscription.term_end


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else (value,)


def _states(value: State | Iterable[State]) -> tuple[State, ...]:
    return _several(value)


def _causes(value: Cause | Iterable[Cause] | None) -> tuple[Cause, ...]:
    return () if value is None else _several(value)


def _guards(value: Guard[C] | Iterable[Guard[C]]) -> tuple[Guard[C], ...]:
    return _several(value)


def _charges(value: ChargeRule[C] | Iterable[ChargeRule[C]]) -> tuple[ChargeRule[C], ...]:
    return _several(value)


def _effects(value: Effect[C] | Iterable[Effect[C]]) -> tuple[Effect[C], ...]:
    return _several(value)


def _reminders(value: ReminderRule[C] | Iterable[ReminderRule[C]]) -> tuple[ReminderRule[C], ...]:
    return _several(value)


@attrs.frozen
class Transition(Generic[C]):
    """What one command does from one condition.

    Which row applies is said by `source`, `cause`, `term` ("running", "over"), `date` (next billing date "ahead",
    "passed") and the command's own `case`; at most one may, and that is verified. `guards` refuse. `charge` says what
    to ask for, `declined` where a decline leads (absent: nothing moves). `billing_date` and `commitment` say where
    billing and the term stand afterwards, `until` and `declined_until` which deadline the state entered gets. `due`
    makes the row automatic. `adds` and `lifts` are the causes that begin and end with it; a row chosen by its cause
    lifts that cause when it leads out of the interruption. `effects` change further fields of the snapshot, also
    when the period that is billed is declined or held, and owed then: its state, dates and debts are not theirs.
    `interrupts`: a person may pre-empt an open payment with it. `claims`: a key that is unique in the store.
    `reminders` are told with the outcome. `assumed`: why the effect is chosen, where the founding article is silent.
    """

    on: type[C]
    source: tuple[State, ...] = attrs.field(converter=_states)
    target: State | Target
    cause: tuple[Cause, ...] = attrs.field(default=(), converter=_causes, kw_only=True)
    term: Literal["running", "over"] | None = attrs.field(default=None, kw_only=True)
    date: Literal["ahead", "passed"] | None = attrs.field(default=None, kw_only=True)
    case: Hashable = attrs.field(default=None, kw_only=True)
    guards: tuple[Guard[C], ...] = attrs.field(default=(), converter=_guards, kw_only=True)
    charge: tuple[ChargeRule[C], ...] = attrs.field(default=(nothing,), converter=_charges, kw_only=True)
    declined: State | None = attrs.field(default=None, kw_only=True)
    billing_date: BillingDateRule[C] = attrs.field(default=unchanged, kw_only=True)
    commitment: CommitmentRule[C] = attrs.field(default=same, kw_only=True)
    until: UntilRule[C] | None = attrs.field(default=None, kw_only=True)
    declined_until: UntilRule[C] | None = attrs.field(default=None, kw_only=True)
    due: DueRule | None = attrs.field(default=None, kw_only=True)
    adds: Cause | None = attrs.field(default=None, kw_only=True)
    lifts: tuple[Cause, ...] = attrs.field(default=(), converter=_causes, kw_only=True)
    effects: tuple[Effect[C], ...] = attrs.field(default=(), converter=_effects, kw_only=True)
    interrupts: bool = attrs.field(default=False, kw_only=True)
    claims: ClaimRule[C] | None = attrs.field(default=None, kw_only=True)
    reminders: tuple[ReminderRule[C], ...] = attrs.field(default=(), converter=_reminders, kw_only=True)
    assumed: str | None = attrs.field(default=None, kw_only=True)

    @functools.cached_property
    def id(self) -> str:
        """Derived from what selects the row; stored in each entry."""
        parts = [*(state.name for state in self.source), *(cause.name for cause in self.cause)]
        parts += [f"term {self.term}"] if self.term else []
        parts += [f"date {self.date}"] if self.date else []
        parts += [str(self.case).lower().replace("_", " ")] if self.case is not None else []
        return f"{self.on.title}: {', '.join(part.replace('_', ' ') for part in parts)}"

    @property
    def charges(self) -> bool:
        """Whether the row may ask for money."""
        return any(rule is not nothing for rule in self.charge)

    def selects(self, case: Hashable, cause: Cause | None, term: str, date: str) -> bool:
        """Whether this is the row for a subscription in one of its source states at that position."""
        return (
            (self.case is None or self.case == case)
            and (not self.cause or cause in self.cause)
            and (self.term is None or self.term == term)
            and (self.date is None or self.date == date)
        )


def position(subscription: Subscription, today: date) -> tuple[Literal["running", "over"], Literal["ahead", "passed"]]:
    """Where a local day lies: before the term's end or not, before the next billing date or not."""
    return (
        "running" if today < subscription.term_end else "over",
        "ahead" if today < subscription.next_billing_date else "passed",
    )
