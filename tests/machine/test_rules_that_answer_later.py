"""A coroutine and a generator are true whatever they would say: no rule and no guard may answer one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.machine.tables import HERE, THERE, Call, begun, lifecycle

from subscription_lifecycle import Actor, DefinitionError, Guard, Role, Transition

AT = datetime(2024, 3, 1, tzinfo=UTC)
BY = Actor("anybody", Role.SUPPORT)


async def later(context: Any) -> bool:
    return False


async def later_still(word: str, context: Any) -> bool:
    return False


def yields(context: Any) -> Iterator[bool]:
    yield False


def hides(context: Any) -> Any:
    return later(context)


class Later:
    async def __call__(self, context: Any) -> bool:
        return False


LATE: dict[str, Callable[..., Any]] = {
    "async def": later,
    "a part of async def": functools.partial(later_still, "word"),
    "a call that is async": Later(),
    "a generator": yields,
}


@pytest.mark.parametrize("rule", LATE.values(), ids=LATE.keys())
def test_a_guard_that_answers_later_is_refused_when_the_table_is_made(rule: Callable[..., Any]) -> None:
    row = Transition(Call, HERE, THERE, guards=[Guard("later", "Nobody.", rule)])
    with pytest.raises(DefinitionError, match="guard later answers later, and would let everybody pass"):
        lifecycle.extend(row)


@pytest.mark.parametrize("column", ["charge", "billing_date", "commitment", "until", "due", "effects", "claims"])
@pytest.mark.parametrize("rule", LATE.values(), ids=LATE.keys())
def test_a_rule_that_answers_later_is_refused_when_the_table_is_made(rule: Callable[..., Any], column: str) -> None:
    more: dict[str, Any] = {column: [rule] if column in ("charge", "effects") else rule}
    with pytest.raises(DefinitionError, match="answers later: rules are pure"):
        lifecycle.extend(Transition(Call, HERE, THERE, **more))


def test_a_guard_that_hides_that_it_answers_later_lets_nobody_pass() -> None:
    """Nothing tells of a function that calls another until it is asked."""
    hidden = Guard[Any]("hidden", "Nobody.", hides)
    asked = lifecycle.guarded(Call, hidden)
    with pytest.raises(DefinitionError, match=r"guard hidden answers .*, which is true whatever it would say"):
        asked.decide(begun, Call(), by=BY, at=AT)
