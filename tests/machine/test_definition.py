"""Every fault of a table is named when it is made, all at once; and tables are made of other tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest
from tests.machine.tables import (
    AWAY,
    GONE,
    HERE,
    LOST,
    STOLEN,
    THERE,
    Begin,
    Bring,
    Call,
    Drop,
    Find,
    Lose,
    Take,
    begun,
    lifecycle,
    never,
)

from subscription_lifecycle import (
    INTERRUPTED_STATE,
    SAME_STATE,
    STANDARD,
    Access,
    Actor,
    Cause,
    Charge,
    Command,
    Condition,
    DefinitionError,
    InvalidValue,
    Lifecycle,
    NotPossible,
    Policy,
    Refused,
    Role,
    State,
    Transition,
)
from subscription_lifecycle.machine.dispatch import drive, trigger
from subscription_lifecycle.standard import nothing, one_period

AT = datetime(2024, 3, 1, tzinfo=UTC)
BY = Actor("anybody", Role.SUPPORT)


def always(subscription: Any, policy: Policy) -> datetime | None:
    return AT


def problems(*rows: Any, policies: Any = None, base: Lifecycle = lifecycle) -> tuple[str, ...]:
    """What is said of a table with these rows besides."""
    with pytest.raises(DefinitionError) as caught:
        Lifecycle((*base.rows, *rows), policies=base.policies if policies is None else policies, name="wrong")
    return caught.value.problems


SHAPES: Mapping[str, tuple[Any, str]] = {
    "no row": ("ring", "'ring' is no Transition."),
    "an instance as a command": (Transition(Call(), HERE, THERE), "on=Call() is no Command class."),  # type: ignore[arg-type]
    "another class as a command": (Transition(State, HERE, THERE), "is no Command class."),  # type: ignore[type-var]
    "no source": (Transition(Call, (), THERE), "source=() is no State"),
    "a string as a source": (Transition(Call, "here", THERE), "source='here' is no State."),
    "a string as a target": (Transition(Call, HERE, "there"), "target='there' is no State."),  # type: ignore[arg-type]
    "a string where a decline leads": (
        Transition(Call, HERE, THERE, charge=one_period, declined="there"),  # type: ignore[arg-type]
        "declined='there' is no State.",
    ),
    "a string as a cause": (Transition(Call, HERE, THERE, cause="lost"), "'lost' is no Cause."),
    "a state as a cause to add": (Transition(Call, HERE, THERE, adds=AWAY), f"{AWAY!r} is no Cause."),  # type: ignore[arg-type]
    "a string as a cause to lift": (Transition(Call, HERE, THERE, lifts="lost"), "'lost' is no Cause."),
    "a function as a guard": (Transition(Call, HERE, THERE, guards=[always]), "is no Guard; make one with @guard."),
    "an unknown term": (Transition(Call, HERE, THERE, term="soon"), "term='soon' is not one of"),  # type: ignore[arg-type]
    "an unknown date": (Transition(Call, HERE, THERE, date="soon"), "date='soon' is not one of"),  # type: ignore[arg-type]
    "a number as a charge": (Transition(Call, HERE, THERE, charge=20), "20 is no rule."),
    "no charge rule": (Transition(Call, HERE, THERE, charge=()), "charge=() is no rule"),
    "a date as a deadline": (Transition(Call, HERE, THERE, until=date(2024, 1, 1)), "is no rule."),  # type: ignore[arg-type]
    "an instant as due": (Transition(Call, HERE, THERE, due=AT), "is no rule."),  # type: ignore[arg-type]
    "a mapping as an effect": (Transition(Call, HERE, THERE, effects=[{"quantity": 1}]), "is no rule."),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_of_the_wrong_shape_is_named_by_its_number(shape: str) -> None:
    row, problem = SHAPES[shape]
    found = problems(row)
    assert any(one.startswith(f"row {len(lifecycle.rows) + 1}: ") and problem in one for one in found), found


def test_a_policy_must_be_one() -> None:
    assert problems(policies={"default": {"expired_days": 3}}) == ("policy {'expired_days': 3} is no Policy.",)


_also_here = State("here", access=Access.NONE)
_other_call = attrs.frozen(type("Call", (Command,), {}))
_loud_call, _renew, _state = (attrs.frozen(type(name, (Command,), {})) for name in ("CALL", "Renew", "State"))

TABLES: Mapping[str, tuple[list[Transition[Any]], str]] = {
    "two states of one name": ([Transition(Drop, _also_here, GONE)], "there are two different states 'here'."),
    "two commands of one name": (
        [Transition(_other_call, AWAY, GONE)],
        "there are 2 commands 'Call'; entries could not tell them apart.",
    ),
    "two commands of one trigger": (
        [Transition(_loud_call, AWAY, GONE)],
        "the commands Call and CALL have one trigger, 'call'; rename one of them.",
    ),
    "a command with the name of ours": (
        [Transition(_renew, AWAY, GONE)],
        "Renew has the stored name of a command of this library; rename it.",
    ),
    "a command called as the machine calls its state": (
        [Transition(_state, AWAY, GONE)],
        "a command cannot be called State",
    ),
    "two rows chosen alike": (
        [Transition(Call, HERE, GONE)],
        "call: here: 2 rows are chosen by the same things.",
    ),
    "a row that leaves a final state": ([Transition(Call, GONE, HERE)], "call: gone: GONE is final; no row may leave"),
    "a charge of the clock without a way out": (
        [Transition(Drop, THERE, SAME_STATE, due=always, charge=one_period)],
        "drop: there: a row that the clock takes and that charges must say where a decline leads",
    ),
    "a decline without a charge": (
        [Transition(Drop, THERE, HERE, declined=GONE)],
        "drop: there: declined=GONE without a charge.",
    ),
    "a deadline for no decline": (
        [Transition(Drop, THERE, HERE, declined_until=lambda context: None)],
        "drop: there: declined_until without declined.",
    ),
    "nothing and something": (
        [Transition(Drop, THERE, HERE, charge=(nothing, one_period))],
        "drop: there: nothing and something are charged at once.",
    ),
    "a cause with two states": (
        [Transition(Lose, THERE, GONE, adds=LOST)],
        "the cause LOST must always lead to one state, not to AWAY, GONE.",
    ),
    "a cause that leads nowhere": (
        [Transition(Drop, THERE, SAME_STATE, adds=Cause("late"))],
        "the cause LATE must always lead to one state",
    ),
    "a cause that no row adds": (
        [Transition(Drop, THERE, HERE, cause=Cause("late"))],
        "drop: there, late: no row adds the cause LATE.",
    ),
    "a lifted cause that no row adds": (
        [Transition(Drop, THERE, HERE, lifts=Cause("late"))],
        "drop: there: no row adds the cause LATE.",
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_a_fault_of_the_table_is_named(table: str) -> None:
    rows, problem = TABLES[table]
    found = problems(*rows)
    assert any(problem in one for one in found), found


def test_two_commands_of_one_trigger_are_refused_whatever_their_letters() -> None:
    """Their rows would be found by one name, and one of them would pass by the guards of the other."""
    camel, snake = (attrs.frozen(type(name, (Command,), {})) for name in ("HangUp", "Hang_up"))
    found = problems(Transition(camel, HERE, THERE), Transition(snake, HERE, AWAY, guards=[never]))
    assert found == ("the commands HangUp and Hang_up have one trigger, 'hang_up'; rename one of them.",)


def test_rows_and_a_policy_there_must_be() -> None:
    with pytest.raises(DefinitionError) as caught:
        Lifecycle([], policies={}, name="empty")
    assert caught.value.problems == ("there are no rows.", "there is no policy.")


def test_a_way_back_needs_a_way_out() -> None:
    with pytest.raises(DefinitionError, match="leads back to the interrupted state, but no row interrupts one"):
        Lifecycle([Transition(Call, HERE, INTERRUPTED_STATE)], policies=Policy(), name="wrong")


OVERLAPS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], str]] = {
    "a cause and any": ({"cause": LOST}, {}, "away, cause lost"),
    "two terms": ({"term": "running"}, {}, "term running"),
    "two dates": ({"date": "passed"}, {}, "date passed"),
    "a case and any": ({"case": "loud"}, {}, "case loud"),
    "one of two causes": ({"cause": (LOST, STOLEN)}, {"cause": STOLEN}, "cause stolen"),
    "a date within a term": ({"date": "ahead"}, {"term": "running"}, "term running, date ahead"),
}


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_overlaps_are_found_by_trying_every_place(overlap: str) -> None:
    one, two, where = OVERLAPS[overlap]
    found = problems(Transition(Drop, AWAY, HERE, **one), Transition(Drop, (AWAY, HERE), GONE, **two))
    (problem,) = [problem for problem in found if problem.startswith("more than one row applies at")]
    assert where in problem.lower()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"cause": LOST}, {"cause": STOLEN}),
        ({"term": "running"}, {"term": "over"}),
        ({"date": "ahead"}, {"date": "passed"}),
        ({"case": "loud"}, {"case": "soft"}),
        ({"cause": LOST, "term": "over"}, {"cause": LOST, "term": "running"}),
    ],
)
def test_rows_that_share_no_place_stand_together(one: Any, two: Any) -> None:
    rows = Transition(Drop, AWAY, GONE, **one), Transition(Drop, AWAY, HERE, **two)
    assert lifecycle.extend(*rows).rows[-2:] == rows


def test_every_problem_is_named_at_once() -> None:
    found = problems(
        Transition(Drop, THERE, HERE, cause=Cause("late"), declined=GONE),
        Transition(Call, GONE, HERE),
        Transition(Call, HERE, THERE),
    )
    for problem in ("cause LATE", "without a charge", "is final", "more than one row"):
        assert any(problem in one for one in found), (problem, found)
    with pytest.raises(DefinitionError) as caught:
        lifecycle.extend(Transition(Call, GONE, HERE), Transition(Drop, THERE, HERE, declined=GONE))
    assert str(caught.value).count("\n- ") == len(caught.value.problems) > 1


def test_what_is_odd_and_not_wrong_is_remarked_on() -> None:
    assert lifecycle.remarks == ()
    moon = State("moon")
    assert lifecycle.extend(Transition(Call, moon, GONE)).remarks == ("the state MOON cannot be reached.",)
    (remark,) = lifecycle.extend(Transition(Drop, THERE, moon)).remarks
    assert remark == "nothing leads out of MOON, and it is not final."


# -- conditions


def test_conditions_are_what_can_occur() -> None:
    assert lifecycle.conditions == (
        Condition(HERE, None),
        Condition(THERE, None),
        Condition(AWAY, STOLEN),
        Condition(AWAY, LOST),
        Condition(GONE, STOLEN),
        Condition(GONE, LOST),
    )
    without = lifecycle.without(Find, AWAY, cause=STOLEN).without(Take, HERE)
    assert Condition(AWAY, STOLEN) not in without.conditions


# -- a table of another


def decided(table: Lifecycle, command: Command, subscription: Any = begun) -> State:
    return table.decide(subscription, command, by=BY, at=AT).after.state


def test_extend_adds_rows_at_the_end_and_leaves_the_first_alone() -> None:
    row = Transition(Drop, THERE, HERE)
    longer = lifecycle.extend(row, name="longer", version=2)
    assert (longer.rows, longer.name, longer.version) == ((*lifecycle.rows, row), "longer", 2)
    assert row not in lifecycle.rows
    there = begun.changed({"state": THERE})
    assert decided(longer, Drop(), there) == HERE
    with pytest.raises(NotPossible):
        decided(lifecycle, Drop(), there)


def test_replace_changes_columns_of_one_row() -> None:
    assert decided(lifecycle.replace(Call, HERE, target=GONE), Call()) == GONE
    assert decided(lifecycle, Call()) == THERE


def test_replace_leaves_the_other_sources_as_they_were() -> None:
    """Bring starts at HERE and THERE; only THERE is meant."""
    changed = lifecycle.replace(Bring, THERE, target=GONE)
    there = begun.changed({"state": THERE})
    assert (decided(changed, Bring(), there), decided(changed, Bring())) == (GONE, HERE)
    assert {row.source for row in changed.rows if row.on is Bring} == {(HERE,), (THERE,)}


def test_replace_leaves_the_other_causes_as_they_were() -> None:
    """Find is one row for both causes; only STOLEN is meant."""
    changed = lifecycle.replace(Find, AWAY, cause=STOLEN, guards=[never])
    lost = begun.changed({"state": AWAY, "causes": (LOST,), "interrupted": HERE})
    assert decided(changed, Find(), lost) == HERE
    with pytest.raises(Refused) as caught:
        decided(changed, Find(), lost.changed({"causes": (STOLEN,)}))
    assert [refusal.code for refusal in caught.value.refusals] == ["never"]


def test_replace_and_without_say_what_they_did_not_find() -> None:
    with pytest.raises(DefinitionError, match="tests has no row for call from AWAY"):
        lifecycle.replace(Call, AWAY, target=GONE)
    with pytest.raises(DefinitionError, match="tests has no row for find from AWAY"):
        lifecycle.without(Find, AWAY, term="over")
    with pytest.raises(InvalidValue, match="price"):
        lifecycle.replace(Call, HERE, price=one_period)


def test_a_table_of_another_is_verified_too() -> None:
    with pytest.raises(DefinitionError, match="no row adds the cause STOLEN"):
        lifecycle.without(Take, HERE)
    with pytest.raises(DefinitionError, match="declined=GONE without a charge"):
        lifecycle.replace(Call, HERE, declined=GONE)


def test_without_takes_one_source_and_one_cause_away() -> None:
    there = begun.changed({"state": THERE})
    shorter = lifecycle.without(Bring, THERE)
    assert decided(shorter, Bring()) == HERE
    with pytest.raises(NotPossible):
        decided(shorter, Bring(), there)
    lost = begun.changed({"state": AWAY, "causes": (LOST,), "interrupted": HERE})
    only_lost = lifecycle.without(Find, AWAY, cause=STOLEN)
    assert decided(only_lost, Find(), lost) == HERE
    with pytest.raises(NotPossible):
        decided(only_lost, Find(), lost.changed({"causes": (STOLEN,)}))


def test_guarded_adds_guards_to_every_row_or_to_one_source() -> None:
    there = begun.changed({"state": THERE})
    everywhere, somewhere = lifecycle.guarded(Bring, never), lifecycle.guarded(Bring, never, source=THERE)
    for table, subscription in ((everywhere, begun), (everywhere, there), (somewhere, there)):
        with pytest.raises(Refused):
            decided(table, Bring(), subscription)
    assert decided(somewhere, Bring()) == HERE


def test_with_policies_replaces_and_adds() -> None:
    strict, patient = Policy(retry_days=1), Policy(retry_days=60)
    changed = STANDARD.with_policies(strict, patient=patient)
    assert (changed.policies["default"], changed.policies["patient"]) == (strict, patient)
    assert changed.policies["germany"] == STANDARD.policies["germany"]
    assert STANDARD.with_policies({"default": patient}).policies["default"] == patient
    assert "patient" not in STANDARD.policies
    with pytest.raises(DefinitionError, match="tests has no policy 'nobody', which sub names"):
        decided(lifecycle, Call(), begun.changed({"policy": "nobody"}))


def test_a_stored_state_that_is_not_known_is_named_until_it_is_renamed() -> None:
    stored = begun.changed({"state": State("yonder"), "interrupted": State("elsewhere")})
    with pytest.raises(DefinitionError, match="tests has no state 'yonder'; say in `renamed` what it is now"):
        decided(lifecycle, Call(), stored)
    renamed = Lifecycle(lifecycle.rows, policies=Policy(), name="tests", renamed={"yonder": HERE})
    with pytest.raises(DefinitionError, match="no state 'elsewhere'"):
        decided(renamed, Call(), stored)
    both = Lifecycle(lifecycle.rows, policies=Policy(), name="tests", renamed={"yonder": HERE, "elsewhere": THERE})
    assert decided(both, Call(), stored) == THERE
    assert both.known(stored).interrupted == THERE
    assert both.extend(Transition(Drop, THERE, HERE)).renamed == both.renamed


def test_a_stored_cause_that_is_not_known_is_named() -> None:
    with pytest.raises(DefinitionError, match="tests has no row that adds the cause 'late'"):
        decided(lifecycle, Call(), begun.changed({"causes": (Cause("late"),)}))


def test_a_way_back_without_a_way_out_is_made_of_the_row_that_interrupts() -> None:
    """A snapshot that does not say what it left returns to the first state that its cause interrupts."""
    lost = begun.changed({"state": AWAY, "causes": (LOST,)})
    assert decided(lifecycle, Find(), lost) == HERE
    both = lost.changed({"causes": (STOLEN, LOST), "interrupted": THERE})
    assert decided(lifecycle, Find(), both) == AWAY
    assert decided(lifecycle, Find(), lifecycle.decide(both, Find(), by=BY, at=AT).after) == THERE


# -- the table as something else


def test_the_machine_serves_a_model_of_ones_own_and_ours_is_left_alone() -> None:
    class Model:
        state = "here"

    machine, model = lifecycle.to_transitions(), Model()
    machine.add_model(model, initial="here")
    assert model.is_here()  # type: ignore[attr-defined]
    machine.add_transition("jump", "here", "gone")
    assert model.jump()  # type: ignore[attr-defined]
    assert model.state == "gone"
    assert machine is not lifecycle.machine
    assert "jump" not in lifecycle.machine.events
    assert (lifecycle.machine.models, begun.state) == ([], HERE)
    assert sorted(lifecycle.machine.events) == sorted(trigger(command) for command in lifecycle.commands)
    assert drive(lifecycle.machine, "jump", model) is None  # type: ignore[arg-type]
    assert not any(name.startswith("to_") for name in lifecycle.machine.events)


@pytest.mark.parametrize("table", [lifecycle, STANDARD], ids=lambda table: table.name)
def test_pictures_show_each_state_and_each_way(table: Lifecycle) -> None:
    mermaid, dot = table.to_mermaid(), table.to_dot()
    assert mermaid.lstrip("-\n").splitlines()[0]
    for state in table.states:
        assert state in mermaid
        assert f'"{state}";' in dot
    for row in table.rows:
        for source in row.source:
            target = source if row.target is SAME_STATE else row.target
            targets = [target] if isinstance(target, State) else table.interruptible
            for reached in targets:
                assert f'"{source.name}" -> "{reached.name}"' in dot
                assert any(
                    f"{source.name} --> {reached.name}" in line and trigger(row.on) in line.replace(" ", "_")
                    for line in mermaid.splitlines()
                ), (source, reached)


@pytest.mark.parametrize("table", [lifecycle, STANDARD], ids=lambda table: table.name)
def test_the_page_has_a_line_for_each_row(table: Lifecycle) -> None:
    lines = table.to_markdown().splitlines()
    assert len(lines) == 2 + len(table.rows)
    for line, row in zip(lines[2:], table.rows, strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0] == row.on.title
        assert cells[1] == ", ".join(state.name for state in row.source)
        assert all(guard.code in cells[4] for guard in row.guards)
        assert row.target is SAME_STATE or row.target is INTERRUPTED_STATE or row.target.name in cells[3]
        assert row.assumed is None or row.assumed in cells[-1]


def test_what_is_no_charge_asks_for_nothing() -> None:
    assert nothing(None) == Charge()  # type: ignore[arg-type]
    assert not Transition(Begin, HERE, HERE).charges
