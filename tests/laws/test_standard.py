"""Random lives under the standard lifecycle, and under policies that hurt; and the same life, swept three ways."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from subscription_lifecycle import (
    STANDARD,
    SYSTEM,
    WEEKLY,
    Access,
    Actor,
    Cancel,
    Command,
    Delete,
    Disable,
    DunningStep,
    Entry,
    Lifecycle,
    LifecycleError,
    MemoryStore,
    Money,
    PaymentDeclined,
    PaymentMethod,
    Plan,
    Policy,
    Renew,
    Start,
    Subscriptions,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.model.payment import CaptureRequest, PaymentOutcome
from subscription_lifecycle.model.policy import NOTICES
from subscription_lifecycle.standard.commands import CancelAsScheduled
from subscription_lifecycle.testing import FakeClock, FakeGateway, lifecycle_machine, strategies

LADDER = (DunningStep(3, "told"), DunningStep(9, "less", Access.REDUCED), DunningStep(20, "nothing", Access.NONE))
HOSTILE = STANDARD.with_policies(
    at_once=Policy(expired_days=0, disabled_days=0, cancelled_days=0),
    keeps_debts=Policy(arrears="keep", served_unpaid="owed", rounding="daily"),
    forgives=Policy(arrears="forgive", full_refund_days=14),
    by_support_only=Policy(self_service=False, invoice=False),
    slow=Policy(expired_days=90, disabled_days=90, cancelled_days=90),
    impatient=Policy(retry_days=0, retry_after=(1, 2, 3)),
    keeps_dates=Policy(resume="keep", pause_days=40),
    credits_pauses=Policy(resume="keep", pause_credit=True),
    restarts=Policy(resume="restart"),
    restarts_for_credit=Policy(resume="restart", pause_credit=True, rounding="daily"),
    credits_each=Policy(resume="keep", pause_credit=True, catch_up="each"),
    keeps_and_cancels=Policy(resume="keep", served_unpaid="owed", when_retries_end="cancel"),
    ladder=Policy(
        dunning=LADDER,
        retry_after=(2, 5, 40),
        recovery="restart",
        when_retries_end="cancel",
        notices=dict.fromkeys(NOTICES, 10),
        catch_up="each",
    ),
    holds=Policy(
        dunning=LADDER, retry_after=(2, 5, 15, 40), retry_days=10, recovery="restart", notices={"deletion": 120}
    ),
    never_ends=Policy(
        retry_after=(3, 12, 35, 70), when_retries_end="keep", notices=dict.fromkeys(NOTICES, 5), catch_up="latest"
    ),
    without_windows=Policy(expired_days=0, disabled_days=0, cancelled_days=0, retry_days=0, notices={"deletion": 7}),
    limits=Policy(notice_days=10, reactivation_days=20, after_hard_decline="retry", catch_up="latest", arrears="keep"),
)

Standard = lifecycle_machine(STANDARD)
Hostile = lifecycle_machine(HOSTILE)
OnSQLite = lifecycle_machine(STANDARD, store=lambda: SQLStore("sqlite://"))

TestStandard = pytest.mark.slow(Standard.TestCase)
TestHostile = pytest.mark.slow(Hostile.TestCase)


@pytest.mark.slow
def test_on_sqlite() -> None:
    run_state_machine_as_test(OnSQLite, settings=settings(OnSQLite.TestCase.settings, max_examples=6))


@pytest.mark.long
@pytest.mark.parametrize("machine", [Standard, Hostile], ids=["standard", "hostile"])
def test_at_length(machine: Any) -> None:
    run_state_machine_as_test(
        machine, settings=settings(machine.TestCase.settings, max_examples=2_000, stateful_step_count=60)
    )


# -- when the sweep ran never changes an answer


@attrs.frozen
class Line:
    """So many hours later, somebody asks for something."""

    hours: int
    command: Command
    by: Actor


class MoodyGateway(FakeGateway):
    """Declines some payments by their names, whenever they are asked for."""

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        if request.reference not in self.ledger and int(request.reference[-1], 16) < 5:
            self.decline_next()
        return super().capture(request)


scripts = st.lists(
    st.builds(
        Line,
        st.integers(1, 1_500),
        st.one_of(*strategies.standard_commands().values()),
        st.sampled_from((strategies.ALICE, strategies.ALICE, strategies.SUPPORT)),
    ),
    min_size=1,
    max_size=7,
)


def swept_every(hours: int) -> Callable[[Subscriptions, FakeClock, datetime], None]:
    def wait(subs: Subscriptions, clock: FakeClock, until: datetime) -> None:
        while clock() + timedelta(hours=hours) <= until:
            clock.advance(hours=hours)
            assert not subs.sweep().failed
        clock.set(until)

    return wait


def swept_late(subs: Subscriptions, clock: FakeClock, until: datetime) -> None:
    clock.set(until)


Wait = Callable[[Subscriptions, FakeClock, datetime], None]


def played(
    start: Start, script: list[Line], at: datetime, wait: Wait, lifecycle: Lifecycle = STANDARD
) -> tuple[list[str], tuple[Entry, ...]]:
    """Whether each command was done, and the history."""
    clock = FakeClock(at)
    subs = Subscriptions(MemoryStore(), MoodyGateway(clock), lifecycle=lifecycle, clock=clock)
    answers: list[str] = []
    try:
        subs.execute("sub", start, by=strategies.ALICE, idempotency_key="start")
    except PaymentDeclined:
        return answers, subs.history("sub")
    for number, line in enumerate(script):
        wait(subs, clock, clock() + timedelta(hours=line.hours))
        try:
            subs.execute("sub", line.command, by=line.by, idempotency_key=f"key-{number}")
        except PaymentDeclined:
            answers.append("declined")
        except LifecycleError:
            # The reason may be another: a charge that is due and not made yet is taken as paid.
            answers.append("refused")
        else:
            answers.append("done")
    wait(subs, clock, clock() + timedelta(days=6))
    assert not subs.sweep().failed
    return answers, subs.history("sub")


def _differently_meant(script: list[Line], at: datetime, one: list[str], two: list[str]) -> datetime | None:
    """When a command first met another world: a charge that is due was declined in one, and is taken as paid in the
    other."""
    for number, (answer, other) in enumerate(zip(one, two, strict=False)):
        if "refused" in (answer, other) and answer != other:
            return at + timedelta(hours=sum(line.hours for line in script[: number + 1]))
    return None


def until_they_may_differ(history: tuple[Entry, ...], before: datetime | None = None) -> list[tuple[Any, ...]]:
    """Up to the first charge that was held or row that hung on it, or the first deletion by the clock."""
    found = []
    for entry in history:
        if before is not None and entry.effective_at >= before:
            break
        if entry.event == "held" or (isinstance(entry.command, Delete) and entry.by == SYSTEM):
            break
        found.append(_what_it_says(entry))
    return found


def _what_it_says(entry: Entry) -> tuple[Any, ...]:
    """All but when it was written, and the deadlines that count from there."""
    # A block that is lifted brings the held deadline back.
    counted = isinstance(entry.command, Disable | CancelAsScheduled) or "provider" in entry.row
    hidden = {"recorded_at", *(["until", "held_until"] if counted else [])}
    changes = {name: change.after for name, change in entry.changes.items() if name not in hidden}
    # Money goes back when a sweep sends it.
    at = None if entry.event == "refunded" else entry.effective_at
    says = (entry.version, entry.event, entry.row, entry.command, entry.by, at, changes)
    return (*says, entry.charge, entry.terms, entry.billed, entry.served_unpaid, entry.payment and entry.payment.amount)


@given(strategies.starts(), scripts, strategies.instants)
@settings(max_examples=25)
def test_the_same_life_swept_hourly_daily_or_late(start: Start, script: list[Line], at: datetime) -> None:
    _same_whenever_swept(start, script, at)


@pytest.mark.long
@given(strategies.starts(), scripts, strategies.instants)
@settings(max_examples=1_000)
def test_the_same_life_swept_hourly_daily_or_late_at_length(start: Start, script: list[Line], at: datetime) -> None:
    _same_whenever_swept(start, script, at)


def test_what_a_scheduled_cancellation_gives_back_is_sent_by_whoever_sweeps() -> None:
    bank = PaymentMethod.bank_account("ba_1", country="NL")
    plan = Plan("weekly", Money(1, "EUR"), WEEKLY)
    start = Start(customer="contoso", plan=plan, payment_method=bank, recurring_billing=True)
    script = [Line(1, Cancel(date(2020, 7, 2), "prorated"), strategies.ALICE), Line(597, Renew(), strategies.ALICE)]
    _same_whenever_swept(start, script, datetime(2020, 7, 1, tzinfo=UTC))


# What is announced and lowered by itself, and charges that are all made, however late.
LADDER = (DunningStep(2, "reminded"), DunningStep(6, "reduced", Access.REDUCED), DunningStep(20, "none", Access.NONE))
TOLD = {"renewal": 7, "trial_end": 3, "expiry": 14, "card_expiry": 30}
BY_ITSELF = [
    STANDARD.with_policies(Policy(dunning=LADDER, notices=TOLD, catch_up="each", resume=rule, when_retries_end=end))
    for rule, end in (("move", "disable"), ("keep", "cancel"), ("restart", "keep"), ("keep", "disable"))
]


@given(strategies.starts(), scripts, strategies.instants, st.sampled_from(BY_ITSELF))
@settings(max_examples=25)
def test_the_same_life_with_ladders_notices_and_pauses(
    start: Start, script: list[Line], at: datetime, lifecycle: Lifecycle
) -> None:
    _same_whenever_swept(attrs.evolve(start, policy="default"), script, at, lifecycle)


@pytest.mark.long
@given(strategies.starts(), scripts, strategies.instants, st.sampled_from(BY_ITSELF))
@settings(max_examples=1_000)
def test_the_same_life_with_ladders_notices_and_pauses_at_length(
    start: Start, script: list[Line], at: datetime, lifecycle: Lifecycle
) -> None:
    _same_whenever_swept(attrs.evolve(start, policy="default"), script, at, lifecycle)


def _same_whenever_swept(start: Start, script: list[Line], at: datetime, lifecycle: Lifecycle = STANDARD) -> None:
    hourly = played(start, script, at, swept_every(1), lifecycle)
    for wait in (swept_every(24), swept_late):
        other = played(start, script, at, wait, lifecycle)
        meant = _differently_meant(script, at, hourly[0], other[0])
        one, two = until_they_may_differ(hourly[1], meant), until_they_may_differ(other[1], meant)
        common = min(len(one), len(two))
        assert one[:common] == two[:common]
        whole = len(one) == len(hourly[1]) and len(two) == len(other[1])
        assert not whole or (len(one), hourly[0]) == (len(two), other[0])


def test_a_life_in_which_much_is_due_is_the_same() -> None:
    """One that is neither short nor cut: it ends, lapses, comes back and is renewed."""
    commands = strategies.commands
    card = strategies.PaymentMethod.card("tok", country="NL")
    plan = strategies.Plan("plan", strategies.Money(2_000, "EUR"), strategies.MONTHLY)
    start = Start(customer="contoso", plan=plan, payment_method=card, recurring_billing=False)
    script = [
        Line(24 * 65, commands.Reactivate(card), strategies.ALICE),
        Line(24 * 10, commands.SetRecurringBilling(True), strategies.ALICE),
        Line(24 * 22, commands.ChangePaymentMethod(card), strategies.ALICE),
    ]
    at = datetime.fromisoformat("2024-01-31T09:00+00:00")
    hourly, daily, late = (played(start, script, at, wait) for wait in (swept_every(1), swept_every(24), swept_late))
    assert [_what_it_says(entry) for entry in hourly[1]] == [_what_it_says(entry) for entry in daily[1]]
    assert [_what_it_says(entry) for entry in hourly[1]] == [_what_it_says(entry) for entry in late[1]]
    assert hourly[0] == daily[0] == late[0] == ["done"] * 3
    rows = [entry.row.partition(":")[0] for entry in hourly[1]]
    assert {"expire", "disable", "reactivate", "renew"} <= set(rows)
