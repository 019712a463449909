"""The compiled table against `transitions` itself: random tables and random lives, and a broken compiler is caught."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from subscription_lifecycle import (
    INTERRUPTED_STATE,
    MONTHLY,
    SAME_STATE,
    Actor,
    BillingSchedule,
    Cause,
    Command,
    Context,
    DefinitionError,
    Guard,
    Lifecycle,
    Money,
    Plan,
    Policy,
    Refused,
    Role,
    State,
    Subscription,
    Transition,
)
from subscription_lifecycle.machine import dispatch, verify
from subscription_lifecycle.machine.guard import BillingDates
from subscription_lifecycle.machine.transition import position

FIRST = date(2024, 3, 1)
BY = Actor("anybody", Role.SUPPORT)
POLICY = Policy()
STATES = tuple(State(f"s{number}") for number in range(4))
FINAL = State("over", final=True)
CAUSES = tuple(Cause(f"cause_{number}", rank=number) for number in range(3))
WORDS = ("left", "right", "")

PREDICATES: Mapping[str, Callable[[Any], Any]] = {
    "yes": lambda context: True,
    "no": lambda context: False,
    "even_day": lambda context: context.today.day % 2 == 0,
    "rest_of_the_day": lambda context: context.today.day % 3,
    "word": lambda context: context.command.word,
    "match": lambda context: re.match("le", context.command.word),
    "causes": lambda context: context.subscription.causes,
    "few": lambda context: [] if context.subscription.quantity > 2 else [0],
}
GUARDS = tuple(Guard(code, f"Not {code}.", check) for code, check in PREDICATES.items())


def _command(name: str) -> type[Command]:
    fields = {"word": attrs.field(default=""), "case": property(lambda command: command.word or None)}
    return attrs.frozen(type(name, (Command,), {**fields, "__annotations__": {"word": str}}))


COMMANDS = tuple(_command(f"Random{letter}") for letter in "ABC")

rows_of_any_kind = st.builds(
    Transition,
    st.sampled_from(COMMANDS),
    st.lists(st.sampled_from(STATES), min_size=1, max_size=2, unique=True),
    st.sampled_from((*STATES, FINAL, SAME_STATE, INTERRUPTED_STATE)),
    cause=st.lists(st.sampled_from(CAUSES), max_size=2, unique=True),
    term=st.sampled_from((None, "running", "over")),
    date=st.sampled_from((None, "ahead", "passed")),
    case=st.sampled_from((None, "left", "right")),
    guards=st.lists(st.sampled_from(GUARDS), max_size=2),
)


@st.composite
def tables(draw: st.DrawFn, guards: bool = True) -> Lifecycle:
    """The rows of a random list, one after the other, that make a lifecycle together."""
    leads_to = dict(zip(CAUSES, draw(st.tuples(*[st.sampled_from(STATES[2:])] * len(CAUSES))), strict=True))
    rows: list[Transition[Any]] = []
    for row in draw(st.lists(rows_of_any_kind, min_size=3, max_size=10)):
        adds = draw(st.none() | st.sampled_from(CAUSES))
        if adds is not None:
            row = attrs.evolve(row, target=leads_to[adds], adds=adds)
        elif row.target is not SAME_STATE:
            row = attrs.evolve(row, lifts=draw(st.sampled_from(((), (), *CAUSES))))
        row = row if guards else attrs.evolve(row, guards=())
        rows += [row] if _is_possible([*rows, row]) else []
    if not rows:
        rows.append(Transition(COMMANDS[0], STATES[0], STATES[1]))
    return Lifecycle(rows, policies=POLICY, name="random")


def _is_possible(rows: list[Transition[Any]]) -> bool:
    try:
        Lifecycle(rows, policies=POLICY, name="random")
    except DefinitionError:
        return False
    return True


@attrs.frozen
class Ask:
    command: Command
    day: int


asks = st.builds(
    Ask,
    st.builds(lambda kind, word: kind(word), st.sampled_from(COMMANDS), st.sampled_from(WORDS)),
    st.integers(0, 70),
)


@attrs.frozen
class Life:
    """A table, and what is asked of one subscription under it."""

    lifecycle: Lifecycle
    subscription: Subscription
    asks: list[Ask]


@st.composite
def lives(draw: st.DrawFn, guards: bool = True) -> Life:
    lifecycle = draw(tables(guards))
    return Life(lifecycle, draw(beginnings(lifecycle)), draw(st.lists(asks, min_size=1, max_size=15)))


@st.composite
def beginnings(draw: st.DrawFn, lifecycle: Lifecycle) -> Subscription:
    """Half of them are interrupted already."""
    states = [state for state in lifecycle.states.values() if not state.final and state not in lifecycle.interruptions]
    causes = (*lifecycle.causes.values(), *([None] if states else []))
    cause = draw(st.sampled_from(causes)) if draw(st.booleans()) or not states else None
    return Subscription(
        id="random",
        customer="anybody",
        plan=Plan("plan", Money(100, "EUR"), MONTHLY),
        state=draw(st.sampled_from(states)) if cause is None else lifecycle.state_of(cause),
        causes=() if cause is None else (cause,),
        schedule=BillingSchedule(FIRST, MONTHLY),
        next_billing_date=FIRST + timedelta(days=draw(st.integers(1, 60))),
        paid_through=FIRST,
        term_start=FIRST,
        term_end=FIRST + timedelta(days=draw(st.integers(1, 60))),
        quantity=draw(st.integers(1, 4)),
        version=1,
    )


def agree(life: Life) -> None:
    """At each step the compiled table goes where the machine goes, or neither moves."""
    lifecycle, subscription = life.lifecycle, life.subscription
    for ask in life.asks:
        at = datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC) + timedelta(days=ask.day)
        expected = by_the_machine(lifecycle, subscription, ask.command, at)
        try:
            decision = lifecycle.decide(subscription, ask.command, by=BY, at=at)
        except (Refused, DefinitionError):
            assert expected is None, f"{ask} of {subscription} was refused; the machine goes to {expected}"
            continue
        found = decision.after.state.name
        assert found == expected, f"{ask} of {subscription} leads to {found}, in the machine to {expected}"
        subscription = decision.after


def by_the_machine(lifecycle: Lifecycle, subscription: Subscription, command: Command, at: datetime) -> str | None:
    """Where `transitions` leads, and from there to the state of a cause that stands still."""
    today = at.date()
    dates = BillingDates(subscription.schedule, subscription.next_billing_date)
    row = lifecycle.rows[0]
    term = subscription.term_start, subscription.term_end
    context = Context(subscription, command, BY, at, today, at, POLICY, {}, row, subscription.state, dates, term)
    left = subscription.interrupted or _left_for(lifecycle, subscription.cause)
    cursor = dispatch.Cursor(subscription.state.name, context, command.case, left and left.name)
    reached = dispatch.drive(lifecycle.machine, dispatch.trigger(type(command)), cursor)
    where = position(subscription, today)
    rows = [row for row in lifecycle.rows if row.on is type(command) and subscription.state in row.source]
    taken = [row for row in rows if row.selects(command.case, subscription.cause, *where)]
    if reached is None or not _leads_out(lifecycle, taken[0]):
        return reached
    lifted = taken[0].lifts or (subscription.causes[:1] if taken[0].cause else ())
    standing = [cause for cause in subscription.causes if cause not in lifted]
    return lifecycle.state_of(standing[0]).name if standing else reached


def _leads_out(lifecycle: Lifecycle, row: Transition[Any]) -> bool:
    return row.target is INTERRUPTED_STATE or not (
        row.target is SAME_STATE or row.target == FINAL or row.target in lifecycle.interruptions
    )


def _left_for(lifecycle: Lifecycle, cause: Cause | None) -> State | None:
    try:
        return lifecycle.interrupted_by(cause)
    except DefinitionError:
        return None


@given(lives())
def test_the_compiled_table_goes_where_the_machine_goes(life: Life) -> None:
    agree(life)


@pytest.mark.long
@settings(max_examples=2_000)
@given(lives())
def test_the_compiled_table_goes_where_the_machine_goes_at_length(life: Life) -> None:
    agree(life)


@given(tables())
def test_the_compiled_table_is_the_rows_in_their_order(lifecycle: Lifecycle) -> None:
    table = dispatch.compile_table(lifecycle.machine)
    for command in lifecycle.commands:
        for state in lifecycle.states.values():
            rows = tuple(row for row in lifecycle.rows if row.on is command and state in row.source)
            assert table[dispatch.trigger(command)].get(state.name, ()) == rows


# -- a compiler that is broken on purpose

compile_table, select = dispatch.compile_table, dispatch.select


def _rewritten(change: Callable[[dispatch.Rows], dispatch.Rows]) -> Callable[[dispatch.RowMachine], dispatch.Table]:
    def compiled(machine: dispatch.RowMachine) -> dispatch.Table:
        table = compile_table(machine)
        return {name: {state: change(rows) for state, rows in found.items()} for name, found in table.items()}

    return compiled


def _wrong_source(machine: dispatch.RowMachine) -> dispatch.Table:
    """Each source state gets the rows of the next one."""
    table = {}
    for name, found in compile_table(machine).items():
        states = list(found)
        table[name] = {state: found[states[(number + 1) % len(states)]] for number, state in enumerate(states)}
    return table


def _without(column: str) -> Callable[..., Any]:
    def broken(rows: dispatch.Rows, *where: Any) -> Transition[Any] | None:
        empty: Any = () if column == "cause" else None
        return next((row for row in rows if attrs.evolve(row, **{column: empty}).selects(*where)), None)

    return broken


def _term_swapped(rows: dispatch.Rows, case: Any, cause: Any, term: str, date: str) -> Transition[Any] | None:
    return select(rows, case, cause, "over" if term == "running" else "running", date)


BROKEN: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "the first row is dropped": ("compile_table", _rewritten(lambda rows: rows[1:])),
    "guards are ignored": (
        "compile_table",
        _rewritten(lambda rows: tuple(attrs.evolve(row, guards=()) for row in rows)),
    ),
    "the last guard is ignored": (
        "compile_table",
        _rewritten(lambda rows: tuple(attrs.evolve(row, guards=row.guards[:-1]) for row in rows)),
    ),
    "rows of another source": ("compile_table", _wrong_source),
    "the case is ignored": ("select", _without("case")),
    "the cause is ignored": ("select", _without("cause")),
    "the date is ignored": ("select", _without("date")),
    "the term is swapped": ("select", _term_swapped),
}

CATCHES = settings(
    max_examples=1_000,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_compiler_is_caught(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, mutant = BROKEN[broken]
    monkeypatch.setattr(dispatch, name, mutant)
    with pytest.raises(AssertionError, match="machine"):
        CATCHES(given(lives())(agree))()


def test_rows_in_another_order_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verified tables have at most one row for a place; only where several may apply is the order to be seen."""
    monkeypatch.setattr(verify, "_overlaps", lambda definition: iter(()))
    settings(CATCHES, max_examples=60)(given(lives(guards=False))(agree))()
    monkeypatch.setattr(dispatch, "compile_table", _rewritten(lambda rows: rows[::-1]))
    with pytest.raises(AssertionError, match="machine"):
        CATCHES(given(lives(guards=False))(agree))()
