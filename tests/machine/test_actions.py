"""What `actions` offers, and how often it asks the guards for it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import attrs
import pytest
from tests.machine.tables import begun

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    CUSTOMER,
    DISABLED,
    EXPIRED,
    PAST_DUE,
    PROVIDER,
    STANDARD,
    Actor,
    Command,
    Context,
    Guard,
    Lifecycle,
    NotPossible,
    Role,
    State,
    Subscription,
)

AT = datetime(2024, 3, 10, tzinfo=UTC)
BY = Actor("anybody", Role.BILLING_ADMIN)


def counting(counts: Counter[str]) -> Lifecycle:
    """The standard lifecycle, whose guards count how often each row asks them."""

    def counted(guard: Guard[Command]) -> Guard[Command]:
        def check(context: Context[Command]) -> bool:
            counts[f"{context.row.id} asks {guard.code}"] += 1
            return guard.check(context)

        return attrs.evolve(guard, check=check)

    rows = [attrs.evolve(row, guards=[counted(guard) for guard in row.guards]) for row in STANDARD.rows]
    return Lifecycle(rows, policies=STANDARD.policies, name="counting")


def standing_in(state: State) -> Subscription:
    causes = {DISABLED: (PROVIDER,), CANCELLED: (CUSTOMER,)}.get(state, ())
    return begun.changed({"state": state, "causes": causes, "interrupted": ACTIVE if causes else None})


@pytest.mark.parametrize("state", [ACTIVE, PAST_DUE, DISABLED, EXPIRED, CANCELLED], ids=str)
def test_actions_ask_each_guard_of_a_row_once(state: State) -> None:
    """However many of the commands have no row here: the remedy of each of them names all that are possible."""
    counts: Counter[str] = Counter()
    table = counting(counts)
    offered = table.actions(standing_in(state), by=BY, at=AT)
    refused = [action for action in offered if [refusal.code for refusal in action.refusals] == ["not_possible"]]
    assert len(refused) > 3
    assert set(counts.values()) == {1}


def test_a_command_without_a_row_asks_each_guard_once() -> None:
    counts: Counter[str] = Counter()
    table = counting(counts)
    expired = standing_in(EXPIRED)
    nowhere = next(
        action.command
        for action in STANDARD.actions(expired, by=BY, at=AT)
        if [refusal.code for refusal in action.refusals] == ["not_possible"]
    )
    with pytest.raises(NotPossible):
        table.decide(expired, nowhere.of_case(None), by=BY, at=AT)
    assert set(counts.values()) == {1}


def test_the_remedy_of_what_is_not_possible_names_what_is_offered() -> None:
    offered = STANDARD.actions(standing_in(ACTIVE), by=BY, at=AT)
    available = ", ".join(action.command.title for action in offered if action.availability == "available")
    remedies = {refusal.remedy for action in offered for refusal in action.refusals if refusal.code == "not_possible"}
    assert remedies == {f"Possible: {available}."}
