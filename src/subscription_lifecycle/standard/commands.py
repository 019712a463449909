"""What can be asked of a standard subscription: imperatives, with typed inputs that are checked when they are made."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Literal, Self

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.charge import InvoiceLine
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.plan import Plan
from subscription_lifecycle.model.schedule import BillingSchedule
from subscription_lifecycle.model.state import Cause
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard.causes import PROVIDER
from subscription_lifecycle.standard.states import SCHEDULED

_method = validation.a(PaymentMethod)
_optional_method = validation.optional(_method)
_text = validation.text


def _metadata(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidValue(
            "metadata", f"{validation.brief(value)} is not a mapping", "Pass a mapping of text to JSON values."
        )
    return frozen_mapping(validation.json_value("metadata", dict(value)))


def _optional_metadata(value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if value is None else _metadata(value)


def _on_schedule(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    validation.a(Subscription)(_, attribute, value)
    if value.next_billing_date != value.term_start and not value.schedule.is_date(value.next_billing_date):
        raise InvalidValue(
            "next_billing_date", f"{value.next_billing_date} is no date of the schedule", "Anchor the schedule on it."
        )


def _steps_as_billed(schedule: BillingSchedule, plan: Plan) -> None:
    """Else a price would be asked for more often than the plan says, or less."""
    if schedule.every.steps != plan.billing.steps:
        raise InvalidValue(
            "schedule", f"it steps by {schedule.every}, the plan by {plan.billing}", "Use the plan's billing period."
        )


def _positive(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Money) or value.minor <= 0:
        raise InvalidValue(attribute.name, f"{validation.brief(value)} is no sum of money", "Pass a Money above zero.")


def _known_moment(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    if not validation.is_a(value, date) and not (isinstance(value, str) and value in ("now", "term_end")):
        raise InvalidValue("when", f"{validation.brief(value)} is no moment", 'Pass "now", "term_end" or a date.')


def _moment_of_a_pause(_: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    if not validation.is_a(value, date) and not (isinstance(value, str) and value in ("now", "period_end")):
        raise InvalidValue("when", f"{validation.brief(value)} is no moment", 'Pass "now", "period_end" or a date.')


@attrs.frozen(kw_only=True)
class Start(Command):
    """Begin a subscription today, or on a later local day. With a trial in the plan, the trial comes first.

    Without a schedule the billing dates are anchored on the first day that is billed. Raises InvalidValue for a start
    in the past (adopt what already runs) and for a schedule that steps differently from the plan.
    """

    creates: ClassVar[bool] = True
    customer: str = attrs.field(validator=validation.name)
    plan: Plan = attrs.field(validator=validation.a(Plan))
    payment_method: PaymentMethod | None = attrs.field(default=None, validator=_optional_method)
    quantity: int = attrs.field(default=1, validator=validation.between(1, 1_000_000))
    start_on: date | None = attrs.field(default=None, validator=validation.an_optional_day)
    schedule: BillingSchedule | None = attrs.field(
        default=None, validator=validation.optional(validation.a(BillingSchedule))
    )
    time_zone: str = attrs.field(default="UTC", validator=validation.time_zone)
    recurring_billing: bool = attrs.field(default=True, validator=validation.a(bool))
    policy: str = attrs.field(default="default", validator=validation.name)
    metadata: Mapping[str, Any] = attrs.field(factory=dict, converter=_metadata, hash=False)

    def __attrs_post_init__(self) -> None:
        if self.schedule is not None:
            _steps_as_billed(self.schedule, self.plan)
        if self.start_on is not None and self.plan.trial is not None:
            raise InvalidValue(
                "start_on", "a trial starts when it is asked for", "Leave it out, or use a plan without trial."
            )

    @property
    def case(self) -> Hashable:
        return "paid" if self.plan.trial is None else "trial"

    def create(self, id: str, at: datetime) -> Subscription:
        today = local_day(at, self.time_zone)
        start = self.start_on or today
        if start < today:
            raise InvalidValue(
                "start_on", f"{start} is before today, {today}", "Adopt a subscription that runs already."
            )
        trial_end = None if self.plan.trial is None else BillingSchedule(start, self.plan.trial).next_date(start)
        billed_from = trial_end or start
        return Subscription(
            id=id,
            customer=self.customer,
            plan=self.plan,
            state=SCHEDULED,
            schedule=self.schedule or BillingSchedule(billed_from, self.plan.billing),
            next_billing_date=billed_from,
            paid_through=billed_from,
            term_start=start,
            term_end=billed_from,
            trial_end=trial_end,
            recurring_billing=self.recurring_billing,
            payment_method=self.payment_method,
            quantity=self.quantity,
            time_zone=self.time_zone,
            policy=self.policy,
            metadata=self.metadata,
            since=at,
        )


@attrs.frozen
class Adopt(Command):
    """Bring in a subscription that lives elsewhere, as it is: charges nothing, its history starts here.

    Raises InvalidValue when its next billing date is no date of its schedule, and when its schedule steps differently
    from its plan.
    """

    creates: ClassVar[bool] = True
    subscription: Subscription = attrs.field(validator=_on_schedule)

    def create(self, id: str, at: datetime) -> Subscription:
        _steps_as_billed(self.subscription.schedule, self.subscription.plan)
        return self.subscription.changed({"version": 0, "since": self.subscription.since or at})


@attrs.frozen
class Renew(Command):
    """Bill the next period, on its date. The clock's."""


@attrs.frozen
class Expire(Command):
    """End the term, where recurring billing is off. The clock's."""


@attrs.frozen
class CancelAsScheduled(Command):
    """Carry out a cancellation that was asked for on a date. The clock's."""


@attrs.frozen
class CancelForNonPayment(Command):
    """End service when the retries end, where policy says so. The clock's."""


@attrs.frozen
class Reactivate(Command):
    """Bring service back. The payment method is chosen, added or amended, never taken from the file (S12, S18, S19).

    `keep_or_refuse`: only where the next billing date stays as it is. `start_on`: where a new period is bought, the
    earlier local day it began on; support's.
    """

    payment_method: PaymentMethod | None = attrs.field(default=None, validator=_optional_method)
    keep_or_refuse: bool = attrs.field(default=False, validator=validation.a(bool), kw_only=True)
    start_on: date | None = attrs.field(default=None, validator=validation.an_optional_day, kw_only=True)


@attrs.frozen
class Pause(Command):
    """Interrupt service for a while: now, at the period's end, or on a local day.

    It resumes by itself on the local day `until`, or after as many days as policy allows. Of what is paused already,
    `until` is the new day of that.
    """

    when: Literal["now", "period_end"] | date = attrs.field(default="now", validator=_moment_of_a_pause)
    until: date | None = attrs.field(default=None, validator=validation.an_optional_day)

    @property
    def case(self) -> Hashable:
        return self.when if isinstance(self.when, str) else "date"

    @classmethod
    def of_case(cls, case: Hashable) -> Self:
        return cls("period_end" if case == "period_end" else "now")


@attrs.frozen
class Resume(Command):
    """End a pause, or withdraw one that was asked for; what there is to pay is paid by the method on file or this."""

    payment_method: PaymentMethod | None = attrs.field(default=None, validator=_optional_method)


@attrs.frozen
class PauseAsScheduled(Command):
    """Begin a pause that was asked for. The clock's."""


@attrs.frozen
class ResumeAsScheduled(Command):
    """End a pause on its day. The clock's."""


@attrs.frozen
class ExtendTrial(Command):
    """Give a trial more days, once, in its last days: as many as policy says, or up to an earlier local day."""

    until: date | None = attrs.field(default=None, validator=validation.an_optional_day)


@attrs.frozen
class ConvertTrial(Command):
    """End a trial early: the first paid period begins today."""

    payment_method: PaymentMethod | None = attrs.field(default=None, validator=_optional_method)


@attrs.frozen
class Notify(Command):
    """Announce what is to come, once: the entry goes to every listener. The clock's.

    `notice` is "renewal", "trial_end", "expiry", "deletion" or "card_expiry", as many days before as policy says, or
    "dunning", a rung of its ladder. For which day is in the entry's change of `noticed`.
    """

    announces: ClassVar[bool] = True
    notice: str = attrs.field(validator=validation.name)

    @property
    def case(self) -> Hashable:
        return self.notice

    @classmethod
    def of_case(cls, case: Hashable) -> Self:
        return cls(str(case))


@attrs.frozen
class Cancel(Command):
    """End service: now, at the term's end, or on a local day; recurring billing goes off with it."""

    when: Literal["now", "term_end"] | date = attrs.field(validator=_known_moment)
    refund: Literal["none", "prorated", "full"] = attrs.field(
        default="none", validator=validation.one_of("none", "prorated", "full")
    )

    @property
    def case(self) -> Hashable:
        return self.when if isinstance(self.when, str) else "date"

    @classmethod
    def of_case(cls, case: Hashable) -> Self:
        return cls("term_end" if case == "term_end" else "now")


@attrs.frozen
class Disable(Command):
    """Interrupt service for a cause: PROVIDER for the provider's block; the others are the clock's."""

    cause: Cause = attrs.field(default=PROVIDER, validator=validation.a(Cause))
    reason: str = attrs.field(default="", validator=_text)

    @property
    def case(self) -> Hashable:
        return self.cause

    @classmethod
    def of_case(cls, case: Hashable) -> Self:
        return cls(case) if isinstance(case, Cause) else cls()


@attrs.frozen
class Enable(Command):
    """Lift the provider's block."""

    reason: str = attrs.field(default="", validator=_text)


@attrs.frozen
class Delete(Command):
    """End it for good; its data may be erased."""


@attrs.frozen
class SetRecurringBilling(Command):
    """Switch recurring billing; off, the term runs out and expires. On also withdraws a scheduled cancellation."""

    on: bool = attrs.field(validator=validation.a(bool))

    @property
    def case(self) -> Hashable:
        return "on" if self.on else "off"

    @classmethod
    def of_case(cls, case: Hashable) -> Self:
        return cls(case != "off")


@attrs.frozen
class RetryPayment(Command):
    """Try again to collect what is owed, by the method on file."""


@attrs.frozen
class PayArrears(Command):
    """Pay what is owed, all of it, oldest first; by the method on file unless another is given."""

    payment_method: PaymentMethod | None = attrs.field(default=None, validator=_optional_method)


@attrs.frozen
class WriteOff(Command):
    """Give up collecting what is owed. Unlike forgiving, it ends service where service went on."""

    reason: str = attrs.field(default="", validator=_text)


@attrs.frozen
class Refund(Command):
    """Give money of one payment back: all of it, or an amount; once a payment. Service and dates stay as they are."""

    reads_history: ClassVar[bool] = True
    reference: str = attrs.field(validator=validation.name)
    amount: Money | None = attrs.field(default=None, validator=validation.optional(_positive))
    reason: str = attrs.field(default="", validator=_text)

    def facts(self, history: Iterable[Entry]) -> Mapping[str, Any]:
        """`payment`: what was captured of it in minor units, and whether money of it went back; None: no such one."""
        captured: int | None = None
        returned = False
        for entry in history:
            payment, (before, after) = entry.payment, entry.changes.get("refunds", ((), ()))
            returned = returned or any(due.reference == self.reference for due in (*(before or ()), *after))
            if payment is not None and payment.reference == self.reference:
                captured = payment.amount.minor if payment.status == "captured" else None
        return {"payment": None if captured is None else {"captured": captured, "returned": returned}}


@attrs.frozen
class ForgiveArrears(Command):
    """Let go of what is owed, all of it."""

    reason: str = attrs.field(default="", validator=_text)


@attrs.frozen
class ChangePaymentMethod(Command):
    """Put another payment method on file."""

    payment_method: PaymentMethod = attrs.field(validator=_method)


@attrs.frozen
class ReportInvoice(Command):
    """Say of one of the host's invoices whether it was paid; `lines` are this subscription's own on it.

    `restores`: nothing else is owed, and service that ended for it comes back.
    """

    invoice: str = attrs.field(validator=validation.name)
    paid: bool = attrs.field(validator=validation.a(bool))
    lines: tuple[InvoiceLine, ...] = attrs.field(default=(), validator=validation.tuple_of(InvoiceLine))
    restores: bool = attrs.field(default=False, validator=validation.a(bool))

    @property
    def case(self) -> Hashable:
        if not self.paid:
            return "unpaid"
        return "restores" if self.restores else "paid"

    @classmethod
    def of_case(cls, case: Hashable) -> Self:
        return cls("invoice", case != "unpaid", restores=case == "restores")


@attrs.frozen(kw_only=True)
class Correct(Command):
    """Set right what is wrong on record; what is left None stays. The entry shows before, after, who and why."""

    reason: str = attrs.field(default="", validator=_text)
    next_billing_date: date | None = attrs.field(default=None, validator=validation.an_optional_day)
    term_end: date | None = attrs.field(default=None, validator=validation.an_optional_day)
    until: date | None = attrs.field(default=None, validator=validation.an_optional_day)
    credit: Money | None = attrs.field(default=None, validator=validation.optional(validation.a(Money)))
    metadata: Mapping[str, Any] | None = attrs.field(default=None, converter=_optional_metadata, hash=False)
