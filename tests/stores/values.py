"""Strategies for everything that is stored, and a command of a user's own."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from zoneinfo import available_timezones

import attrs
import pytest
from hypothesis import strategies as st

from subscription_lifecycle import (
    Actor,
    BillingPeriod,
    BillingSchedule,
    Cause,
    Charge,
    Command,
    Debt,
    Entry,
    InvoiceLine,
    Money,
    Payment,
    PaymentMethod,
    Period,
    Plan,
    Reminder,
    Role,
    State,
    Subscription,
    Terms,
)
from subscription_lifecycle.machine.decision import Decision
from subscription_lifecycle.model import command
from subscription_lifecycle.model.charge import ChargeLine, RefundDue, Settlement
from subscription_lifecycle.model.command import ConfirmRefund, FailPayment, FailRefund, SettlePayment
from subscription_lifecycle.model.currencies import EXPONENTS
from subscription_lifecycle.model.entry import Change
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    ChargebackReversed,
    ChargedBack,
    Declined,
    Processing,
    Refunded,
)
from subscription_lifecycle.model.subscription import LastPause, ScheduledCancellation, ScheduledPause
from subscription_lifecycle.ports import Answer, Attempt
from subscription_lifecycle.standard import commands as standard


class Size(enum.Enum):
    SMALL = "small"
    LARGE = 2


class Span(NamedTuple):
    start: date
    price: Money


@attrs.frozen
class Hibernate(Command):
    """What a user's own command may hold."""

    until: date
    size: Size
    fee: Money | None = None
    dates: tuple[date, ...] = ()
    pair: tuple[str, int] = ("", 0)
    spans: tuple[Span, ...] = ()
    when: Literal["now", "later"] | date | Money | None = None
    at: datetime | None = None
    rate: Decimal = Decimal(0)
    share: float = 0.5
    tags: frozenset[str] = frozenset()
    prices: Mapping[str, Money] = attrs.field(factory=dict, hash=False)
    notes: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    method: PaymentMethod | None = None


def forget_class(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a program that has no class of that name any more."""
    monkeypatch.delitem(command.REGISTRY, name)
    monkeypatch.delitem(command._IN_USE, name, raising=False)


names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
days = st.dates()
instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
counts = st.integers(1, 1000)
plain = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts
json = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
metadata = st.dictionaries(texts, json, max_size=3)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def several(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=3).map(tuple)


def in_short(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The same, but without the long name that a strategy of strategies has."""
    return st.just(None).flatmap(lambda _: strategy)


def money_in(currency: str) -> st.SearchStrategy[Money]:
    return st.integers(-(10**18), 10**18).map(lambda minor: Money(minor, currency))


currencies = st.sampled_from(sorted(EXPONENTS))
money = currencies.flatmap(money_in)
prices = st.builds(Money, st.integers(0, 10**12), currencies)
billing = st.builds(Period, st.integers(1, 12), st.sampled_from(["day", "week", "month", "year"]))
plans = st.builds(Plan, names, prices, billing, st.none(), optional(billing)) | st.builds(
    lambda plan, times: attrs.evolve(plan, term=Period(plan.billing.count * times, plan.billing.unit)),
    st.builds(Plan, names, prices, billing),
    st.integers(1, 50),
)
plans = in_short(plans)
schedules = st.builds(BillingSchedule, days, billing, st.just("anniversary"), st.sampled_from(["clamp", "sticky"]))
schedules = in_short(schedules)
periods = st.builds(BillingPeriod, days, days)
methods = st.builds(
    PaymentMethod, names, optional(names), country=st.sampled_from(["NL", "DE", "CN"]), expires=optional(days)
)
methods = in_short(methods)
roles = st.frozensets(
    st.sampled_from([Role.SUPPORT, Role.BILLING_ADMIN, Role.CLOCK]) | st.builds(Role, names), max_size=3
)
actors = st.builds(Actor, names, roles, customer=optional(names))
states = names.map(lambda name: State(name, published=name))
causes = st.builds(Cause, names, st.integers(0, 1000))
debts = st.builds(Debt, periods, money, days, st.booleans(), optional(names))
debts = in_short(debts)
lines = st.builds(ChargeLine, st.sampled_from(["period", "arrears", "recharge"]), money, periods)
lines = in_short(lines)
invoice_lines = st.builds(InvoiceLine, names, names, names, money, periods, texts, optional(names))
invoice_lines = in_short(invoice_lines)
charges = st.builds(
    Charge, several(lines), several(debts), several(debts), several(debts), optional(money), optional(money)
)
charges = in_short(charges)
terms = st.builds(Terms, money, days)
reminders = st.builds(Reminder, names, texts)
zones = st.sampled_from(sorted(available_timezones() - {"localtime"}))
payments = st.builds(
    Payment,
    names,
    money,
    methods,
    st.sampled_from(["captured", "declined", "customer_action", "processing", "unknown", "submitted"]),
    optional(names),
    optional(instants),
    optional(names),
    st.booleans(),
    optional(metadata),
)
payments = in_short(payments)
outcomes = st.one_of(
    st.builds(Captured, names, instants),
    st.builds(Declined, names, st.booleans(), optional(names)),
    st.builds(ActionRequired, names, metadata),
    *(st.builds(kind, names) for kind in (Processing, ChargedBack, ChargebackReversed, Refunded)),
)


@st.composite
def subscriptions(draw: st.DrawFn) -> Subscription:
    plan = draw(plans)
    amounts = money_in(plan.price.currency)
    settlements = st.builds(
        Settlement, periods, amounts, optional(names), st.booleans(), optional(amounts), st.booleans(),
        optional(amounts), optional(days),
    )  # fmt: skip
    start, end = sorted((draw(days), draw(days)))
    return Subscription(
        id=draw(names),
        customer=draw(names),
        plan=plan,
        state=draw(states),
        schedule=draw(schedules),
        next_billing_date=draw(days),
        paid_through=draw(days),
        term_start=start,
        term_end=end,
        causes=tuple(draw(st.lists(causes, max_size=3, unique_by=lambda cause: cause.name))),
        interrupted=draw(optional(states)),
        since=draw(optional(instants)),
        until=draw(optional(days)),
        held_until=draw(optional(days)),
        trial_end=draw(optional(days)),
        recurring_billing=draw(st.booleans()),
        trial_extended=draw(st.booleans()),
        cycles=draw(counts),
        pause=draw(optional(st.builds(ScheduledPause, days, optional(days)))),
        paused=draw(optional(st.builds(LastPause, days, counts, optional(days)))),
        declined_method=draw(optional(methods)),
        noticed=draw(st.dictionaries(st.sampled_from(["renewal", "deletion"]), days)),
        cancellation=draw(optional(st.builds(ScheduledCancellation, days, st.sampled_from(["none", "full"])))),
        payment_method=draw(optional(methods)),
        quantity=draw(counts),
        arrears=draw(several(st.builds(Debt, periods, amounts, days, st.booleans(), optional(names)))),
        credit=draw(optional(amounts)),
        settlements=draw(several(settlements)),
        refunds=draw(several(st.builds(RefundDue, names, amounts, texts))),
        attempted_on=draw(optional(days)),
        time_zone=draw(zones),
        policy=draw(names),
        metadata=draw(metadata),
        recorded_at=draw(optional(instants)),
        version=draw(st.integers(0, 2**62)),
    )


adoptable = subscriptions().map(lambda found: found.changed({"next_billing_date": found.schedule.anchor}))
starts = st.builds(
    lambda plan, trial, **given: standard.Start(
        plan=plan if trial else attrs.evolve(plan, trial=None), **(given | ({"start_on": None} if trial else {}))
    ),
    plans,
    st.booleans(),
    customer=names,
    payment_method=optional(methods),
    quantity=counts,
    start_on=optional(days),
    time_zone=zones,
    recurring_billing=st.booleans(),
    policy=names,
    metadata=metadata,
)
starts = in_short(starts)
hibernations = st.builds(
    Hibernate,
    days,
    st.sampled_from(Size),
    optional(money),
    several(days),
    st.tuples(texts, st.integers()),
    several(st.builds(Span, days, money)),
    optional(days | money | st.sampled_from(["now", "later"])),
    optional(instants),
    st.decimals(allow_nan=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.frozensets(texts, max_size=3),
    st.dictionaries(texts, money, max_size=2),
    metadata,
    optional(methods),
)
hibernations = in_short(hibernations)
nothing_more: list[type[Command]] = [
    standard.Renew,
    standard.Expire,
    standard.CancelAsScheduled,
    standard.CancelForNonPayment,
    standard.Delete,
    standard.PauseAsScheduled,
    standard.ResumeAsScheduled,
    standard.RetryPayment,
]
commands = st.one_of(
    starts,
    st.builds(standard.Adopt, adoptable),
    st.builds(standard.Reactivate, optional(methods), keep_or_refuse=st.booleans(), start_on=optional(days)),
    st.builds(standard.Pause, st.sampled_from(["now", "period_end"]) | days, optional(days)),
    st.builds(standard.Resume, optional(methods)),
    st.builds(standard.ExtendTrial, optional(days)),
    st.builds(standard.ConvertTrial, optional(methods)),
    st.builds(standard.Notify, st.sampled_from(["renewal", "dunning"])),
    st.builds(standard.Cancel, st.sampled_from(["now", "term_end"]) | days, st.sampled_from(["none", "full"])),
    st.builds(standard.Disable, causes, texts),
    st.builds(standard.Enable, texts),
    st.builds(standard.SetRecurringBilling, st.booleans()),
    st.builds(standard.PayArrears, optional(methods)),
    st.builds(standard.ForgiveArrears, texts),
    st.builds(standard.ChangePaymentMethod, methods),
    st.builds(standard.ReportInvoice, names, st.booleans(), several(invoice_lines)),
    st.builds(
        standard.Correct,
        reason=texts,
        next_billing_date=optional(days),
        term_end=optional(days),
        until=optional(days),
        credit=optional(money),
        metadata=optional(metadata),
    ),
    st.builds(ConfirmRefund, names),
    st.builds(standard.WriteOff, texts),
    st.builds(standard.Refund, names, optional(money.filter(lambda amount: amount.minor > 0)), texts),
    st.builds(FailRefund, names, names, names),
    st.builds(SettlePayment, names, optional(money), st.booleans()),
    st.builds(FailPayment, names, money, several(lines), st.booleans()),
    st.sampled_from([kind() for kind in nothing_more]),
    hibernations,
)
commands = in_short(commands)


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Change]:
    """Between two snapshots, or from nothing."""
    before, after = draw(optional(subscriptions())), draw(subscriptions())
    fields = draw(st.sets(st.sampled_from([field.name for field in attrs.fields(Subscription)])))
    return {
        name: Change(None if before is None else getattr(before, name), getattr(after, name)) for name in sorted(fields)
    }


entries = st.builds(
    Entry,
    subscription=names,
    version=counts,
    event=st.sampled_from(["applied", "held", "attempted", "declined", "late", "refunded"]),
    row=texts,
    command=commands,
    by=actors,
    effective_at=instants,
    recorded_at=instants,
    changes=changes(),
    lifecycle=st.tuples(names, counts),
    policy=names,
    key=optional(names),
    facts=metadata,
    charge=optional(charges),
    terms=optional(terms),
    payment=optional(payments),
    billed=optional(periods),
    served_unpaid=several(periods),
    forgiven=several(debts),
    invoice_lines=several(invoice_lines),
)
entries = in_short(entries)
decisions = st.builds(
    Decision,
    lifecycle=st.tuples(names, counts),
    row=texts,
    command=commands,
    by=actors,
    at=instants,
    now=instants,
    before=subscriptions(),
    after=subscriptions(),
    declined=optional(subscriptions()),
    event=st.sampled_from(["applied", "held"]),
    charge=charges,
    collected=st.sampled_from(["nothing", "capture", "invoice"]),
    submitted=st.booleans(),
    method=optional(methods),
    settlements=several(st.builds(Settlement, periods, money)),
    facts=metadata,
    billed=optional(periods),
    served_unpaid=several(periods),
    claims=optional(texts),
    interrupts=st.booleans(),
    timed=st.booleans(),
    reminders=several(reminders),
)
decisions = in_short(decisions)
attempts = st.builds(
    Attempt,
    reference=names,
    key=names,
    decision=decisions,
    payment=payments,
    first_version=counts,
    opened_at=instants,
    check_at=instants,
    gives_up_at=instants,
)
attempts = in_short(attempts)
answers = st.builds(
    Answer, names, commands, st.sampled_from(["open", "applied", "declined"]), counts, counts, several(reminders)
)
answers = in_short(answers)
