"""Hypothesis strategies for every value: small enough to shrink, wide enough to hurt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
from hypothesis import strategies as st

from subscription_lifecycle.machine.decision import Applied, AwaitingPayment, Decision
from subscription_lifecycle.machine.guard import Refusal
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.machine.planned import Later, PlannedCommand
from subscription_lifecycle.model.actor import SYSTEM, Actor, Role
from subscription_lifecycle.model.calendar import local_day
from subscription_lifecycle.model.charge import Charge, ChargeLine, Debt, InvoiceLine, Reminder, Terms
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    Declined,
    Payment,
    PaymentOutcome,
    Processing,
)
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.plan import Plan
from subscription_lifecycle.model.policy import NOTICES, DunningStep, Policy
from subscription_lifecycle.model.schedule import (
    DAILY,
    MONTHLY,
    QUARTERLY,
    WEEKLY,
    YEARLY,
    Align,
    BillingPeriod,
    BillingSchedule,
    Period,
)
from subscription_lifecycle.model.state import Access, Cause, Condition, State
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard import commands
from subscription_lifecycle.standard.causes import PROVIDER
from subscription_lifecycle.standard.table import STANDARD

CUSTOMER_ID = "contoso"
ZONES = ("UTC", "Europe/Amsterdam", "America/Los_Angeles", "Africa/Cairo", "Pacific/Apia", "Asia/Kolkata")

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=12)
currencies = st.sampled_from(("EUR", "JPY", "KWD"))
days = st.dates(date(2020, 1, 1), date(2032, 12, 31))
instants = st.datetimes(datetime(2020, 1, 1), datetime(2032, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 (Hypothesis takes naive bounds)
zones = st.sampled_from(ZONES)
countries = st.sampled_from(("NL", "US", "JP"))
billings = st.sampled_from((DAILY, WEEKLY, Period(2, "week"), MONTHLY, QUARTERLY, Period(6, "month"), YEARLY))
roles = st.sampled_from((Role.GLOBAL_ADMIN, Role.BILLING_ADMIN, Role.SUPPORT, Role.PROVIDER, Role("owner")))


def money(currency: str | None = None, *, least: int = 0, most: int = 100_000) -> st.SearchStrategy[Money]:
    """Amounts of one currency, or of any."""
    chosen = currencies if currency is None else st.just(currency)
    return st.builds(Money, st.integers(least, most), chosen)


periods = st.builds(Period, st.integers(1, 36), st.sampled_from(("day", "week", "month", "year")))
billing_periods = st.builds(
    lambda start, count: BillingPeriod(start, start + timedelta(count)), days, st.integers(1, 400)
)


@st.composite
def schedules(draw: st.DrawFn, every: Period | None = None) -> BillingSchedule:
    """Both alignments, both month ends."""
    step = draw(billings) if every is None else every
    natural = (step.unit, step.count) in {
        ("day", 1),
        ("week", 1),
        ("month", 1),
        ("month", 3),
        ("month", 6),
        ("year", 1),
    }
    align: Align = draw(st.sampled_from(("anniversary", "calendar"))) if natural else "anniversary"
    return BillingSchedule(draw(days), step, align, draw(st.sampled_from(("clamp", "sticky"))))


@st.composite
def plans(draw: st.DrawFn, currency: str | None = None, trials: bool = True) -> Plan:
    """With and without a term of several periods, a trial, and an end."""
    billing = draw(billings)
    term = draw(st.sampled_from((None, None, Period(billing.count * 3, billing.unit))))
    trial = draw(st.sampled_from((None, None, None, Period(14, "day")))) if trials else None
    cycles = draw(st.sampled_from((None, None, None, 1, 3)))
    return Plan(draw(names), draw(money(currency, least=1, most=50_000)), billing, term, trial, cycles)


payment_methods = st.one_of(
    st.builds(PaymentMethod.card, names, country=countries, expires=st.none() | days),
    st.builds(PaymentMethod.bank_account, names, country=countries),
    st.builds(PaymentMethod.invoice, country=countries),
)
actors = st.builds(Actor, names, st.frozensets(roles, max_size=3), customer=st.none() | names)
policies = st.builds(
    Policy,
    expired_days=st.integers(0, 90),
    disabled_days=st.integers(0, 120),
    cancelled_days=st.integers(0, 120),
    retry_days=st.integers(1, 60),
    arrears=st.sampled_from(("collect", "keep", "forgive")),
    served_unpaid=st.sampled_from(("free", "owed")),
    rounding=st.sampled_from(("last", "daily")),
    dunning=st.sampled_from(((), (DunningStep(3, "reminded"), DunningStep(10, "suspended", Access.NONE)))),
    when_retries_end=st.sampled_from(("disable", "cancel", "keep")),
    after_hard_decline=st.sampled_from(("stop", "retry")),
    recovery=st.sampled_from(("keep", "restart")),
    catch_up=st.sampled_from(("each", "latest", "hold")),
    resume=st.sampled_from(("move", "keep", "restart")),
    pause_days=st.integers(1, 120),
    pause_credit=st.booleans(),
    notice_days=st.sampled_from((0, 0, 14)),
    reactivation_days=st.none() | st.integers(0, 60),
    notices=st.dictionaries(st.sampled_from(NOTICES), st.integers(0, 30)),
    self_service=st.booleans(),
    invoice=st.booleans(),
    no_bank_account_in=st.frozensets(countries),
)

# What people in a scenario are: one who may, one who may not, one of another customer, support, and the clock.
ALICE = Actor("alice", Role.BILLING_ADMIN, customer=CUSTOMER_ID)
NOBODY = Actor("nora", customer=CUSTOMER_ID)
STRANGER = Actor("mallory", Role.GLOBAL_ADMIN, customer="fabrikam")
SUPPORT = Actor("sam", Role.SUPPORT)
people = st.sampled_from((ALICE, ALICE, ALICE, SUPPORT, SUPPORT, NOBODY, STRANGER, SYSTEM))

JUMPS = (
    timedelta(minutes=1),
    timedelta(hours=5),
    timedelta(days=1),
    timedelta(days=3, hours=7),
    timedelta(days=8),
    timedelta(days=31),
    timedelta(days=95),
    timedelta(days=400),
)
FATES = ("decline", "decline hard", "action", "process", "time out", "time out charged", "other amount")
"""What may become of the next payment."""

_texts = st.sampled_from(("", "asked by phone"))
_refunds = st.sampled_from(("none", "prorated", "full"))
_pauses = st.one_of(st.just("now"), st.just("period_end"), days)
_moments = st.one_of(st.sampled_from(("now", "term_end")), days)


def pauses() -> st.SearchStrategy[Callable[[Subscription, datetime], commands.Pause]]:
    """What to ask of a subscription at an instant: a pause now, at its period's end or in some days, for some days."""

    def pause(begins: int | None, days: int | None) -> Callable[[Subscription, datetime], commands.Pause]:
        def asked(subscription: Subscription, at: datetime) -> commands.Pause:
            today = local_day(at, subscription.time_zone)
            first = subscription.next_billing_date if begins is None else today + timedelta(days=begins)
            until = None if days is None else first + timedelta(days=days)
            if begins:
                return commands.Pause(first, until)
            return commands.Pause("period_end" if begins is None else "now", until)

        return asked

    return st.builds(pause, st.sampled_from((0, 0, None, 1, 9)), st.none() | st.integers(1, 40))


def starts(currency: str | None = "EUR", policy: str = "default") -> st.SearchStrategy[commands.Start]:
    """Beginnings that can succeed."""
    return plans(currency).flatmap(
        lambda plan: st.builds(
            commands.Start,
            customer=st.just(CUSTOMER_ID),
            plan=st.just(plan),
            payment_method=payment_methods,
            quantity=st.integers(1, 3),
            schedule=st.none() | schedules(plan.billing),
            time_zone=zones,
            recurring_billing=st.booleans(),
            policy=st.just(policy),
        )
    )


def standard_commands() -> Mapping[type[Command], st.SearchStrategy[Any]]:
    """One strategy per command a person can give to a standard subscription."""
    return {
        commands.Renew: st.just(commands.Renew()),
        commands.Expire: st.just(commands.Expire()),
        commands.Reactivate: st.builds(
            commands.Reactivate,
            st.none() | payment_methods | payment_methods,
            keep_or_refuse=st.sampled_from((False, False, True)),
            start_on=st.sampled_from((None, None, None)) | days,
        ),
        commands.Pause: st.builds(commands.Pause, _pauses, st.none() | st.none() | days),
        commands.Resume: st.builds(commands.Resume, st.none() | payment_methods),
        commands.ExtendTrial: st.builds(commands.ExtendTrial, st.none() | st.none() | days),
        commands.ConvertTrial: st.builds(commands.ConvertTrial, st.none() | payment_methods),
        commands.Cancel: st.builds(commands.Cancel, _moments, _refunds),
        commands.Disable: st.builds(commands.Disable, st.just(PROVIDER), _texts),
        commands.Enable: st.builds(commands.Enable, _texts),
        commands.Delete: st.just(commands.Delete()),
        commands.SetRecurringBilling: st.builds(commands.SetRecurringBilling, st.booleans()),
        commands.RetryPayment: st.just(commands.RetryPayment()),
        commands.PayArrears: st.builds(commands.PayArrears, st.none() | payment_methods),
        commands.WriteOff: st.builds(commands.WriteOff, _texts),
        commands.Refund: st.builds(commands.Refund, names, st.none() | money("EUR", least=1), _texts),
        commands.ForgiveArrears: st.builds(commands.ForgiveArrears, _texts),
        commands.ChangePaymentMethod: st.builds(commands.ChangePaymentMethod, payment_methods),
        commands.Correct: st.builds(
            commands.Correct,
            reason=_texts,
            next_billing_date=st.none() | days,
            credit=st.none() | st.none() | money("EUR", least=1),
        ),
    }


def any_command() -> st.SearchStrategy[Command]:
    """Any standard command."""
    return st.one_of(starts(None), *standard_commands().values())


@st.composite
def subscriptions(draw: st.DrawFn, lifecycle: Lifecycle = STANDARD) -> Subscription:
    """Snapshots in every condition of a lifecycle, with dates, debts and causes that fit together."""
    plan = draw(plans())
    schedule = draw(schedules(plan.billing))
    condition = draw(st.sampled_from([found for found in lifecycle.conditions if not found.state.final]))
    billed = schedule.next_date(draw(days))
    last = schedule.period_containing(billed - timedelta(days=1))
    owing = condition.state.settled is not None or (
        condition.cause in lifecycle.causes.values() and draw(st.booleans())
    )
    debts = (Debt(last, plan.price, last.start),) if owing else ()
    interrupted = None if condition.cause is None else lifecycle.interrupted_by(condition.cause)
    return Subscription(
        id=draw(names),
        customer=CUSTOMER_ID,
        plan=plan,
        state=condition.state,
        schedule=schedule,
        next_billing_date=billed,
        paid_through=last.start if debts else billed,
        term_start=last.start,
        term_end=schedule.nth_after(last.start, plan.periods_per_term),
        causes=() if condition.cause is None else (condition.cause,),
        interrupted=interrupted,
        since=datetime(billed.year, billed.month, billed.day, tzinfo=UTC) - timedelta(days=draw(st.integers(0, 40))),
        until=draw(st.none() | st.just(billed + timedelta(days=30))),
        recurring_billing=draw(st.booleans()),
        payment_method=draw(st.none() | payment_methods),
        quantity=draw(st.integers(1, 5)),
        arrears=debts,
        credit=draw(st.none() | money(plan.price.currency, least=1)),
        time_zone=draw(zones),
        metadata=draw(st.dictionaries(names, st.integers(-(2**63), 2**63 - 1) | names, max_size=2)),
        version=draw(st.integers(1, 50)),
    )


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    """Real ones: what the standard table says to a beginning."""
    command = draw(starts(None))
    at = draw(instants)
    return STANDARD.decide(command.create(draw(names), at), command, by=ALICE, at=at)


outcomes: st.SearchStrategy[PaymentOutcome] = st.one_of(
    st.builds(Captured, names, instants),
    st.builds(Declined, names, st.booleans(), st.none() | names),
    st.builds(ActionRequired, names, st.dictionaries(names, names, max_size=2)),
    st.builds(Processing, names),
)


@st.composite
def applied(draw: st.DrawFn) -> Applied:
    """What really follows from a decision whose money came."""
    result = draw(decisions()).apply(Captured("ch_1", draw(instants)))
    assert isinstance(result, Applied)
    return result


@st.composite
def awaiting(draw: st.DrawFn) -> AwaitingPayment:
    """What really follows from a decision whose money is open."""
    decision = draw(decisions().filter(lambda found: found.collected == "capture" and not found.submitted))
    result = decision.apply(draw(st.none() | st.builds(ActionRequired, names) | st.builds(Processing, names)))
    assert isinstance(result, AwaitingPayment)
    return result


entries = applied().flatmap(lambda result: st.sampled_from(result.entries))
charge_lines = st.builds(ChargeLine, st.sampled_from(("period", "arrears", "recharge")), money("EUR"), billing_periods)
invoice_lines = st.builds(InvoiceLine, names, names, names, money("EUR"), billing_periods, names, st.none() | names)
refusals = st.builds(Refusal, names, names, names, st.tuples(roles), st.dictionaries(names, names, max_size=2))


def by_type() -> Mapping[type[Any], st.SearchStrategy[Any]]:
    """Every public value and its strategy."""
    return {
        Access: st.sampled_from(Access),
        Actor: actors,
        Applied: applied(),
        AwaitingPayment: awaiting(),
        BillingPeriod: billing_periods,
        BillingSchedule: schedules(),
        Cause: st.sampled_from(tuple(STANDARD.causes.values())),
        Charge: st.builds(Charge, st.tuples(charge_lines)),
        Command: any_command(),
        Condition: st.sampled_from(STANDARD.conditions),
        Debt: st.builds(Debt, billing_periods, money("EUR"), days, st.booleans(), st.none() | names),
        Decision: decisions(),
        DunningStep: st.builds(DunningStep, st.integers(0, 90), names, st.sampled_from(Access)),
        Entry: entries,
        InvoiceLine: invoice_lines,
        Later: st.builds(Later, instants, st.builds(Captured, names, instants) | st.builds(Declined, names)),
        Money: money(),
        Payment: applied().map(lambda result: result.payment).filter(lambda found: found is not None),
        PaymentMethod: payment_methods,
        Period: periods,
        Plan: plans(),
        PlannedCommand: st.builds(PlannedCommand, instants, any_command(), actors),
        Policy: policies,
        Refusal: refusals,
        Reminder: st.builds(Reminder, names, names),
        Role: roles,
        State: st.sampled_from(tuple(STANDARD.states.values())),
        Subscription: subscriptions(),
        Terms: st.builds(Terms, money("EUR"), days),
        **standard_commands(),
        commands.ReportInvoice: st.builds(
            commands.ReportInvoice, names, st.booleans(), st.lists(invoice_lines, max_size=2).map(tuple)
        ),
        commands.Notify: st.builds(commands.Notify, st.sampled_from((*NOTICES, "dunning"))),
        commands.Start: starts(None),
        commands.Adopt: subscriptions().map(lambda found: commands.Adopt(attrs.evolve(found, version=0))),
    }


for _kind, _strategy in by_type().items():
    st.register_type_strategy(_kind, _strategy)
