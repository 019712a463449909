"""Law 15: the simulation equals the run under a fake clock, with a sweep at each instant at which something is due."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.test_standard import HOSTILE, Line, scripts

from subscription_lifecycle import (
    ACTIVE,
    SAME_STATE,
    STANDARD,
    Command,
    Decision,
    Entry,
    LifecycleError,
    Money,
    PaymentMethod,
    Plan,
    Start,
    Subscriptions,
    Transition,
)
from subscription_lifecycle.engine.simulation import simulate
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.machine.planned import Later, PlannedCommand
from subscription_lifecycle.machine.timeline import Timeline
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    CaptureRequest,
    Declined,
    PaymentOutcome,
    Processing,
)
from subscription_lifecycle.model.schedule import MONTHLY, WEEKLY
from subscription_lifecycle.standard import commands
from subscription_lifecycle.testing import FakeClock, FakeGateway, strategies
from subscription_lifecycle.testing.lives import SUPPORT, RecordingStore


@attrs.frozen
class Mood:
    """What the gateway says to one payment, and what becomes of it so many hours later."""

    first: str = "captured"
    hours: int = 0
    then: str | None = None

    def later(self, at: datetime) -> tuple[datetime, Captured | Declined] | None:
        if self.then is None:
            return None
        end = at + timedelta(hours=self.hours)
        return end, Captured("ch", end) if self.then == "captured" else Declined("returned", retryable=False)


CALM = Mood()
moods = st.lists(
    st.one_of(
        st.just(CALM),
        st.just(CALM),
        st.just(Mood("declined")),
        st.just(Mood("lost card")),
        st.builds(
            Mood,
            st.sampled_from(("processing", "action")),
            st.integers(1, 500),
            st.sampled_from((None, "captured", "declined")),
        ),
    ),
    min_size=1,
    max_size=6,
)


CARD = PaymentMethod.card("tok_card", country="NL")
methods = st.sampled_from((CARD, CARD, PaymentMethod.bank_account("tok_bank", country="NL")))
starts = st.builds(
    Start,
    customer=st.just(strategies.CUSTOMER_ID),
    plan=st.builds(Plan, st.just("plan"), strategies.money("EUR", least=1), st.sampled_from((WEEKLY, MONTHLY))),
    payment_method=methods,
    time_zone=strategies.zones,
)
asked = st.one_of(
    st.builds(commands.Cancel, st.sampled_from(("now", "term_end")), st.sampled_from(("none", "prorated", "full"))),
    st.builds(commands.Reactivate, methods),
    st.builds(commands.Reactivate, methods),
    st.builds(commands.PayArrears, methods),
    st.builds(commands.ChangePaymentMethod, methods),
    st.builds(commands.SetRecurringBilling, st.booleans()),
    st.just(commands.Disable()),
    st.just(commands.Enable()),
    st.just(commands.RetryPayment()),
    st.just(commands.ForgiveArrears()),
    st.builds(commands.Correct, next_billing_date=strategies.days),
)
eventful = st.lists(st.builds(Line, st.integers(1, 900), asked, st.just(SUPPORT)), min_size=2, max_size=9)
after_the_first = moods.map(lambda found: [CALM, *found])
"""Lives in which most of what is asked for is done, and money is late or does not come."""


class Played(FakeGateway):
    """Says to the next new payment what its mood is, and remembers which of them end later."""

    def __init__(self, clock: FakeClock, mood: Sequence[Mood]) -> None:
        super().__init__(clock)
        self.clock, self.mood = clock, mood
        self.ends: dict[str, tuple[datetime, Captured | Declined]] = {}

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        if request.reference not in self.ledger:
            mood = self.mood[len(self.ledger) % len(self.mood)]
            if mood.first == "declined":
                self.decline_next()
            elif mood.first == "lost card":
                self.decline_next(code="lost_card", retryable=False)
            elif mood.first == "processing":
                self.process_next()
            elif mood.first == "action":
                self.require_action_next()
            end = mood.later(self.clock())
            if end is not None:
                self.ends[request.reference] = end
        return super().capture(request)


def answers(mood: Sequence[Mood]) -> Any:
    """The same, for a simulation."""
    count = 0

    def payments(decision: Decision) -> PaymentOutcome | Later:
        nonlocal count
        found, count = mood[count % len(mood)], count + 1
        end = found.later(decision.now)
        match found.first:
            case "declined":
                return Declined("insufficient_funds")
            case "lost card":
                return Declined("lost_card", retryable=False)
            case "captured":
                return Captured("ch", decision.now)
        waits = Processing("ch") if found.first == "processing" else ActionRequired("ch")
        return waits if end is None else Later(*end, meanwhile=waits)

    return payments


class Run:
    """The engine, swept at each instant at which something is due, and told of each payment when it ends."""

    def __init__(self, lifecycle: Lifecycle, at: datetime, mood: Sequence[Mood]) -> None:
        self.clock, self.store = FakeClock(at), RecordingStore()
        self.gateway = Played(self.clock, mood)
        self.subs = Subscriptions(self.store, self.gateway, lifecycle=lifecycle, clock=self.clock)
        self.not_done: list[tuple[datetime, str]] = []

    def play(self, planned: Sequence[PlannedCommand], until: datetime) -> None:
        for number, item in enumerate(planned):
            self.wait(item.at)
            self.clock.set(item.at)
            try:
                self.subs.execute("sub", item.command, by=item.by, idempotency_key=f"key-{number}")
            except LifecycleError as error:
                if error.code != "payment_declined":
                    self.not_done.append((item.at, error.code))
            self.sweep()
        self.wait(until, inclusive=True)

    def wait(self, until: datetime, *, inclusive: bool = False) -> None:
        while (following := min(self.instants(), default=None)) is not None and (
            following < until or (inclusive and following == until)
        ):
            self.clock.set(following)
            self.sweep()
        if not inclusive and following == until:
            self.clock.set(until)
            self.sweep()

    def instants(self) -> Iterator[datetime]:
        if not self.store.writes:
            return
        last = self.store.writes[-1]
        found = [at for at, _ in self.gateway.ends.values()]
        found += [last.attempt.gives_up_at] if last.attempt else []
        due = self.subs.lifecycle.due(last.subscription)
        found += [due.at] if due is not None and last.attempt is None else []
        found += [last.due_at] if last.due_at is not None else []
        yield from (at for at in found if at > self.clock())

    def sweep(self) -> None:
        for reference, (at, outcome) in list(self.gateway.ends.items()):
            if at <= self.clock():
                del self.gateway.ends[reference]
                if reference not in self.gateway.ledger or isinstance(self.gateway.ledger[reference], Declined):
                    continue
                self.gateway.report(reference, outcome)
                self.subs.report_payment(reference, outcome)
        for _, error in self.subs.sweep().failed:
            assert isinstance(error, LifecycleError), error
            assert error.code == "idempotency_key_reused", error


def both(
    lifecycle: Lifecycle, start: Start, script: Sequence[Line], at: datetime, mood: Sequence[Mood]
) -> tuple[Timeline, Run]:
    planned, now = [PlannedCommand(at, start, strategies.ALICE)], at
    for line in script:
        now += timedelta(hours=line.hours)
        planned.append(PlannedCommand(now, line.command, line.by))
    until = now + timedelta(days=100)
    run = Run(lifecycle, at, mood)
    run.play(planned, until)
    return simulate(lifecycle, None, until=until, commands=planned, payments=answers(mood)), run


REFERENCES = re.compile(r"pay_[0-9a-f]{40}|simulated_\d+")


def said(entries: Sequence[Entry]) -> list[str]:
    """Everything but ids, references and keys: references by the order in which they were met."""
    names: dict[str, str] = {}
    found = []
    for entry in entries:
        payment = entry.payment
        if payment is not None:
            names.setdefault(payment.reference, f"payment {len(names)}")
            payment = attrs.evolve(payment, gateway_id=None, next_action=None)
        lines = tuple(attrs.evolve(line, id="", subscription="") for line in entry.invoice_lines)
        shown = attrs.evolve(
            entry,
            subscription="sub",
            key=None,
            payment=payment,
            invoice_lines=[attrs.evolve(line, description=line.description) for line in lines],
            changes={name: change for name, change in entry.changes.items() if name != "id"},
        )
        found.append(REFERENCES.sub(lambda name: names.get(name[0], "?"), repr(shown)))
    return found


def assert_same(timeline: Timeline, run: Run) -> None:
    recorded = run.subs.history("sub") if run.store.writes else ()
    one, two = said(timeline.entries), said(recorded)
    for number, (ours, theirs) in enumerate(zip(one, two, strict=False)):
        assert ours == theirs, number
    assert len(one) == len(two), [str(entry) for entry in (*timeline.entries, *recorded)][-3:]
    by_clock = [each for each in timeline.refused if each.by != strategies.SYSTEM or each.command.title != "renew"]
    codes = [(each.at, each.error.code) for each in by_clock if each.error.code != "idempotency_key_reused"]
    assert codes == [pair for pair in run.not_done if pair[1] != "idempotency_key_reused"]


@given(strategies.starts(), scripts, strategies.instants, moods)
@settings(max_examples=40)
def test_the_simulation_equals_the_run(start: Start, script: list[Line], at: datetime, mood: list[Mood]) -> None:
    assert_same(*both(STANDARD, start, script, at, mood))


@given(starts, eventful, strategies.instants, after_the_first)
@settings(max_examples=60)
def test_the_simulation_equals_an_eventful_run(
    start: Start, script: list[Line], at: datetime, mood: list[Mood]
) -> None:
    assert_same(*both(STANDARD, start, script, at, mood))


@pytest.mark.parametrize("policy", [name for name in HOSTILE.policies if name != "default"])
@given(data=st.data())
@settings(max_examples=4)
def test_under_other_policies_too(policy: str, data: st.DataObject) -> None:
    start = data.draw(strategies.starts(policy=policy))
    script, at, mood = data.draw(scripts), data.draw(strategies.instants), data.draw(moods)
    assert_same(*both(HOSTILE, start, script, at, mood))


BANK = PaymentMethod.bank_account("tok_bank", country="NL")
FAILS_ON_THE_EIGHTH_DAY = Mood("processing", 24 * 8, "declined")
ARRIVES_ON_THE_THIRD_DAY = Mood("processing", 24 * 3, "captured")
CRAFTED: dict[str, tuple[list[Line], list[Mood], set[str]]] = {
    "a refund waits for the debit": (
        [Line(24, commands.Cancel("now", "prorated"), SUPPORT)],
        [ARRIVES_ON_THE_THIRD_DAY],
        {"settled", "refunded"},
    ),
    "what would go back did not come": (
        [Line(24, commands.Cancel("now", "full"), SUPPORT)],
        [FAILS_ON_THE_EIGHTH_DAY],
        {"failed"},
    ),
    "a debt is made while a reactivation is open": (
        [Line(24, commands.Cancel("now"), SUPPORT), Line(156, commands.Reactivate(BANK), SUPPORT)],
        [FAILS_ON_THE_EIGHTH_DAY, Mood("action", 48, "captured")],
        {"failed", "awaiting"},
    ),
    "nobody waits any more": (
        [Line(7 * 24 + 1, commands.ChangePaymentMethod(BANK), SUPPORT)],
        [CALM, Mood("action")],
        {"abandoned", "awaiting"},
    ),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_life_is_the_same(name: str) -> None:
    script, mood, reaches = CRAFTED[name]
    plan = Plan("plan", Money(700, "EUR"), WEEKLY)
    start = Start(customer=strategies.CUSTOMER_ID, plan=plan, payment_method=BANK)
    timeline, run = both(STANDARD, start, script, datetime(2026, 1, 31, tzinfo=UTC), mood)
    assert_same(timeline, run)
    assert reaches <= {entry.event for entry in timeline.entries}


@attrs.frozen
class SetBack(Command):
    """Set the next billing date back, which the standard table refuses."""


SET_BACK = STANDARD.extend(
    Transition(SetBack, ACTIVE, SAME_STATE, effects=[lambda context: {"next_billing_date": date(2026, 2, 7)}])
)


def test_a_renewal_is_charged_once_a_day_also_where_the_dates_are_set_back() -> None:
    plan = Plan("plan", Money(700, "EUR"), WEEKLY)
    start = Start(customer=strategies.CUSTOMER_ID, plan=plan, payment_method=CARD)
    script = [Line(7 * 24 + 1, SetBack(), SUPPORT), Line(1, commands.Cancel("now"), SUPPORT)]
    timeline, run = both(SET_BACK, start, script, datetime(2026, 1, 31, tzinfo=UTC), [CALM])
    assert_same(timeline, run)
    assert len(timeline.charges) == len(run.gateway.captures) == 2
    assert [each.error.code for each in timeline.refused] == ["idempotency_key_reused"] * 2
    assert [code for _, code in run.not_done] == ["idempotency_key_reused"]


@pytest.mark.long
@given(strategies.starts(), scripts, strategies.instants, moods)
@settings(max_examples=2_000)
def test_the_simulation_equals_the_run_at_length(
    start: Start, script: list[Line], at: datetime, mood: list[Mood]
) -> None:
    assert_same(*both(STANDARD, start, script, at, mood))


@pytest.mark.long
@given(starts, eventful, strategies.instants, after_the_first)
@settings(max_examples=4_000)
def test_the_simulation_equals_an_eventful_run_at_length(
    start: Start, script: list[Line], at: datetime, mood: list[Mood]
) -> None:
    assert_same(*both(STANDARD, start, script, at, mood))
