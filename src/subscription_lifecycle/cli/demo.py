"""Plays the story through the public face, on a store of its own, and prints what the library says came of it."""

from __future__ import annotations

import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs
from rich.console import Console
from rich.text import Text

from subscription_lifecycle import (
    STANDARD,
    Applied,
    AwaitingPayment,
    LifecycleError,
    Money,
    PaymentDeclined,
    Period,
    Reminder,
    Subscriptions,
    Terms,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.cli.story import BEGINS, CUSTOMER, ENDS, SHOP, STORY, ZONE, Asks, BankReports, Life
from subscription_lifecycle.cli.timeline import Note, timeline
from subscription_lifecycle.ports import Captured, CaptureRequest, PaymentOutcome
from subscription_lifecycle.testing import FakeClock, FakeGateway

SWEEPS_AT = time(6, tzinfo=ZoneInfo(ZONE))


class StoryGateway(FakeGateway):
    """The fake gateway, where a card is declined after it expired and a bank debit takes days. No money moves."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.clock = clock

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        method = request.payment_method
        if method.expires is not None and method.expires < self.clock().date():
            self.decline_next(code="expired_card", retryable=False)
        elif method.kind == "bank_account":
            self.process_next()
        return super().capture(request)


@attrs.define
class Stage:
    """Everything the story is played with, and what was said that is not on record."""

    subs: Subscriptions
    clock: FakeClock
    gateway: StoryGateway
    notes: dict[str, list[Note]] = attrs.field(factory=lambda: defaultdict(list))
    reminders: dict[str, tuple[Reminder, ...]] = attrs.field(factory=dict)

    def play(self) -> None:
        """Every day a sweep, and then what people do that day."""
        steps = sorted(((step.instant, life, step) for life in STORY for step in life.steps), key=lambda each: each[0])
        for day in (BEGINS + timedelta(days=number) for number in range((ENDS - BEGINS).days + 1)):
            self.clock.set(datetime.combine(day, SWEEPS_AT))
            self.subs.sweep()
            while steps and steps[0][0].date() == day:
                instant, life, step = steps.pop(0)
                self.clock.set(instant)
                self.take(life, step)

    def take(self, life: Life, step: Asks | BankReports) -> None:
        if isinstance(step, BankReports):
            reference = next(e.payment.reference for e in reversed(self.subs.history(life.id)) if e.payment)
            outcome = Captured(f"ch_{reference}", step.instant)
            self.gateway.report(reference, outcome)
            self.subs.report_payment(reference, outcome)
            return
        try:
            self.remember(self.give(life, step))
        except PaymentDeclined:
            return  # the attempt and its decline are on record
        except LifecycleError as error:
            self.note(life, step, None, error)

    def give(self, life: Life, step: Asks) -> Applied | AwaitingPayment:
        agreed = None
        if step.reads_terms:
            agreed = self.subs.preview(life.id, step.command, by=step.by).terms
            self.note(life, step, agreed, None)
        return self.subs.execute(life.id, step.command, by=step.by, idempotency_key=step.at, agreed=agreed)

    def remember(self, outcome: Applied | AwaitingPayment) -> None:
        self.reminders[outcome.entries[-1].id] = outcome.reminders

    def note(self, life: Life, step: Asks, terms: Terms | None, error: LifecycleError | None) -> None:
        version = self.subs.history(life.id)[-1].version
        subscription = self.subs.get(life.id)
        self.notes[life.id].append(Note(version, step.instant, step.by, step.command, subscription, terms, error))


def run(path: Path, out: Console) -> None:
    """Play the story on a new SQLite file and print each subscription's timeline."""
    clock = FakeClock(datetime.combine(BEGINS, SWEEPS_AT))
    gateway = StoryGateway(clock)
    lifecycle = STANDARD.with_policies(shop=SHOP)
    with closing(SQLStore(f"sqlite:///{path}")) as store:
        stage = Stage(Subscriptions(store, gateway, lifecycle=lifecycle, clock=clock), clock, gateway)
        stage.play()
        _print_opening(out, path)
        for life in STORY:
            _print_life(out, stage, life)
        _print_closing(out, stage, path)


def _print_opening(out: Console, path: Path) -> None:
    out.print(Text(f"{len(STORY)} subscriptions of {CUSTOMER}, from {BEGINS} to {ENDS} ({ZONE})", style="bold"))
    out.print("The clock is a fake one and so is the payment gateway: no money moves. The database is real:")
    out.print(Text(f"  {path}"), soft_wrap=True)
    out.print("alice is a billing administrator, bob has no role, sam is support; the clock acts by itself.")
    out.print(
        f"The seller keeps an expired subscription {SHOP.expired_days} days and a disabled one {SHOP.disabled_days},"
        f" retries a declined renewal for {SHOP.retry_days} days,"
        f" and takes no bank accounts from {', '.join(sorted(SHOP.no_bank_account_in))}."
    )


def _print_life(out: Console, stage: Stage, life: Life) -> None:
    subscription = stage.subs.get(life.id)
    plan = subscription.plan
    committed = f", committed for a {_span(plan.term)}" if plan.term else ""
    out.print()
    out.print(Text(f"{life.id} ", style="bold reverse").append(f" {life.about}", style="bold not reverse"))
    out.print(Text(f"{plan.price} every {_span(plan.billing)}{committed}", style="dim"))
    out.print(timeline(stage.subs.lifecycle, stage.subs.history(life.id), stage.notes[life.id], stage.reminders))


def _span(period: Period) -> str:
    return period.unit if period.count == 1 else str(period)


def _print_closing(out: Console, stage: Stage, path: Path) -> None:
    gateway = stage.gateway
    out.print()
    out.print(Text("money ", style="bold reverse").append(" What the gateway and the invoice saw", "bold not reverse"))
    out.print(f"{len(gateway.captures)} payments captured, {_sum(c.amount for c in gateway.captures)} together")
    out.print(f"{len(gateway.refunds)} refund, {_sum(refund.amount for refund in gateway.refunds)}")
    lines = stage.subs.take_invoice_lines(customer=CUSTOMER, invoice="INV-1")
    out.print(f"{len(lines)} lines on invoice INV-1, {_sum(line.amount for line in lines)} together")
    out.print()
    out.print("Look again at any of them:")
    command = [sys.executable, "-m", "subscription_lifecycle", "timeline", str(path), STORY[0].id]
    out.print(f"  {shlex.join(command)}", soft_wrap=True)


def _sum(amounts: Iterable[Money]) -> Money:
    return sum(amounts, Money.zero("EUR"))
