"""What is true of one subscription now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Self, final

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.charge import Debt, RefundDue, Settlement, Submitted
from subscription_lifecycle.model.mapping import FrozenMapping, frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.plan import Plan
from subscription_lifecycle.model.schedule import BillingSchedule
from subscription_lifecycle.model.state import Cause, State

MOST_UNITS = 1_000_000


def _causes(causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    if not isinstance(causes, tuple) or not all(isinstance(cause, Cause) for cause in causes):
        raise InvalidValue(
            "causes", f"{validation.brief(causes)} is not a tuple of Cause", "Pass a tuple such as (CUSTOMER,)."
        )
    return causes if len(causes) < 2 else tuple(sorted(set(causes), key=lambda cause: (cause.rank, cause.name)))


def _since(value: datetime | None) -> datetime | None:
    return None if value is None else validation.instant("since", value)


def _recorded_at(value: datetime | None) -> datetime | None:
    return None if value is None else validation.instant("recorded_at", value)


def _metadata(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidValue(
            "metadata", f"{validation.brief(value)} is not a mapping", "Pass a mapping of text to JSON values."
        )
    return value if isinstance(value, FrozenMapping) else frozen_mapping(validation.json_value("metadata", dict(value)))


def _noticed(value: Mapping[str, date]) -> Mapping[str, date]:
    return value if isinstance(value, FrozenMapping) else frozen_mapping(value)


@attrs.frozen
class ScheduledPause:
    """A pause asked for from a later local day on, until another, or for as long as policy allows."""

    on: date
    until: date | None = None


@attrs.frozen
class LastPause:
    """Its first local day, how many periods had been billed by then, and the day it was asked to end on."""

    since: date
    cycles: int
    until: date | None = None


@attrs.frozen
class ScheduledCancellation:
    """A cancellation asked for on a later local day, with the refund it asked for."""

    on: date
    refund: str


_day = validation.a_day
_optional_day = validation.an_optional_day
_flag = validation.a(bool)


@final
@attrs.frozen(kw_only=True, slots=False)  # A dict is copied at once: every decision makes a snapshot of thirty fields.
class Subscription:
    """An immutable snapshot. Every entry makes a new one, with `version` + 1.

    Dates are local days in `time_zone`, ends are exclusive. `next_billing_date` is the first day no bill was raised
    for, `paid_through` the first day not covered by money, an invoice line or a trial. `term_start` and `term_end` are
    the commitment. `causes` say why service is interrupted, the deciding one first; `interrupted` is the state it left,
    `held_until` that state's deadline while a block holds its clock. `until` is the promised deadline of `state`,
    `since` the instant it was entered. `arrears` are billed and unpaid, oldest first; `credit` is owed to the customer;
    `settlements` are paid and not over; `refunds` are on their way back, `submitted` debits on their way here.
    `cycles` counts the periods that were billed; `pause` is asked for and to come, `paused` the last one;
    `declined_method` was declined for good, a payment by `disputed_method` is disputed; `noticed` says, by kind, for
    which day an announcement was last made.
    `metadata` is the caller's own. `recorded_at` is when the last entry was written.

    Raises InvalidValue, naming the field, for a value of the wrong type, an unknown zone, or mixed currencies.
    """

    id: str = attrs.field(validator=validation.name)
    customer: str = attrs.field(validator=validation.name)
    plan: Plan = attrs.field(validator=validation.a(Plan))
    state: State = attrs.field(validator=validation.a(State))
    schedule: BillingSchedule = attrs.field(validator=validation.a(BillingSchedule))
    next_billing_date: date = attrs.field(validator=_day)
    paid_through: date = attrs.field(validator=_day)
    term_start: date = attrs.field(validator=_day)
    term_end: date = attrs.field(validator=_day)
    causes: tuple[Cause, ...] = attrs.field(default=(), converter=_causes)
    interrupted: State | None = attrs.field(default=None, validator=validation.optional(validation.a(State)))
    since: datetime | None = attrs.field(default=None, converter=_since)
    until: date | None = attrs.field(default=None, validator=_optional_day)
    held_until: date | None = attrs.field(default=None, validator=_optional_day)
    trial_end: date | None = attrs.field(default=None, validator=_optional_day)
    trial_extended: bool = attrs.field(default=False, validator=_flag)
    cycles: int = attrs.field(default=0, validator=validation.between(0, 2**31))
    recurring_billing: bool = attrs.field(default=True, validator=_flag)
    cancellation: ScheduledCancellation | None = attrs.field(
        default=None, validator=validation.optional(validation.a(ScheduledCancellation))
    )
    pause: ScheduledPause | None = attrs.field(
        default=None, validator=validation.optional(validation.a(ScheduledPause))
    )
    paused: LastPause | None = attrs.field(default=None, validator=validation.optional(validation.a(LastPause)))
    payment_method: PaymentMethod | None = attrs.field(
        default=None, validator=validation.optional(validation.a(PaymentMethod))
    )
    declined_method: PaymentMethod | None = attrs.field(
        default=None, validator=validation.optional(validation.a(PaymentMethod))
    )
    disputed_method: PaymentMethod | None = attrs.field(
        default=None, validator=validation.optional(validation.a(PaymentMethod))
    )
    quantity: int = attrs.field(default=1, validator=validation.between(1, MOST_UNITS))
    arrears: tuple[Debt, ...] = attrs.field(default=(), validator=validation.tuple_of(Debt))
    credit: Money | None = attrs.field(default=None, validator=validation.optional(validation.a(Money)))
    settlements: tuple[Settlement, ...] = attrs.field(default=(), validator=validation.tuple_of(Settlement))
    refunds: tuple[RefundDue, ...] = attrs.field(default=(), validator=validation.tuple_of(RefundDue))
    submitted: tuple[Submitted, ...] = attrs.field(default=(), validator=validation.tuple_of(Submitted))
    attempted_on: date | None = attrs.field(default=None, validator=_optional_day)
    noticed: Mapping[str, date] = attrs.field(factory=dict, converter=_noticed, hash=False)
    time_zone: str = attrs.field(default="UTC", validator=validation.time_zone)
    policy: str = attrs.field(default="default", validator=validation.name)
    metadata: Mapping[str, Any] = attrs.field(factory=dict, converter=_metadata, hash=False)
    recorded_at: datetime | None = attrs.field(default=None, converter=_recorded_at)
    version: int = attrs.field(default=0, validator=validation.between(0, 2**62))

    def __attrs_post_init__(self) -> None:
        self._one_currency()
        if self.term_end < self.term_start:
            raise InvalidValue("term_end", f"{self.term_end} is before term_start {self.term_start}", "Swap them.")

    def _one_currency(self) -> None:
        currency = self.plan.price.currency
        amounts = {
            "credit": [] if self.credit is None else [self.credit],
            "arrears": [debt.amount for debt in self.arrears],
            "settlements": [settlement.amount for settlement in self.settlements],
            "submitted": [debit.amount for debit in self.submitted],
        }
        for field, found in amounts.items():
            for money in found:
                if money.currency != currency:
                    raise InvalidValue(field, f"{money} is not in the plan's {currency}", f"Convert it to {currency}.")

    @property
    def cause(self) -> Cause | None:
        """The cause that decides the way back."""
        return self.causes[0] if self.causes else None

    @property
    def currency(self) -> str:
        return self.plan.price.currency

    @property
    def owed(self) -> Money:
        """The sum of all arrears."""
        return sum((debt.amount for debt in self.arrears), Money.zero(self.currency))

    @property
    def price(self) -> Money:
        """One billing period, for the whole quantity."""
        return self.plan.price * self.quantity

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The next snapshot. Only what changes is checked again: the rest was checked when it was made."""
        new, old = object.__new__(type(self)), self.__dict__
        new.__dict__.update(old)
        new.__dict__.update(changes)
        money = False
        for name, value in changes.items():
            if value is not old[name]:
                money = money or name in _MONEY
                if name in _CHECKED:
                    validator, attribute = _CHECKED[name]
                    validator(new, attribute, value)
        if money:
            new._one_currency()
        return new

    def __str__(self) -> str:
        cause = f" ({self.cause})" if self.cause else ""
        return f"{self.id}: {self.state}{cause}, next billing date {self.next_billing_date}"


_MONEY = {"credit", "arrears", "settlements", "submitted"}
_CHECKED = {field.name: (field.validator, field) for field in attrs.fields(Subscription) if field.validator is not None}
