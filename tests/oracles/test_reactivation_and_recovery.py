"""What the documentation of other systems says of coming back, replayed on lifecycles made of rows and a policy.

Every field that a case expects is compared; what we answer otherwise is in EXCEPTIONS, by case and field, with the
reason, and is asserted to differ.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.oracles.answers import Answered
from tests.oracles.published import NAMED, WITHOUT, Case, read

if not NAMED:
    pytest.skip(WITHOUT, allow_module_level=True)

CASES: list[Case] = read("documented_reactivation_and_recovery.json")["cases"]

HOURS = "Stripe counts 23 hours; we count whole days, and give up an unfinished payment after one"
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("stripe-incomplete-23h", "status"): HOURS,
    ("stripe-incomplete-23h", "terminal"): HOURS,
    ("stripe-incomplete-23h", "invoice"): HOURS,
    ("yuno-reactivate-window-closed", "http"): "Yuno answers 400; support could do it, so we answer 403",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_documented_case(case: Case, record_property: Callable[[str, object], None]) -> None:
    life = Answered(case)
    life.lead_up()
    life.ask()
    asked = {field for name, field in EXCEPTIONS if name == case["id"]}
    theirs = {field: value for field, value in case["expect"].items() if field not in asked}
    assert {field: life.answer(field, value) for field, value in theirs.items()} == theirs
    for field in asked:
        said = case["expect"][field]
        assert life.answer(field, said) != said, f"no exception any more: {EXCEPTIONS[case['id'], field]}"
    days = "days chosen here" if life.chose else "days as told"
    record_property("replayed", f"documented {days}{': differs' if asked else ''}")


def test_what_is_given_up_after_a_day() -> None:
    """The exception of 23 hours is one of an hour."""
    (case,) = [case for case in CASES if case["id"] == "stripe-incomplete-23h"]
    life = Answered(case)
    life.lead_up()
    life.when = life.when | {"hours": 24}
    life.ask()
    assert {field: life.answer(field, value) for field, value in case["expect"].items()} == case["expect"]


def test_every_exception_is_expected_of_a_case() -> None:
    assert set(EXCEPTIONS) <= {(case["id"], field) for case in CASES for field in case["expect"]}


def test_the_page_says_so() -> None:
    """docs/published_cases.md names each reason."""
    page = (Path(__file__).parents[2] / "docs" / "published_cases.md").read_text(encoding="utf-8")
    assert [reason for reason in EXCEPTIONS.values() if reason not in page] == []
    assert f"{len(EXCEPTIONS)} of {sum(len(case['expect']) for case in CASES)} fields" in page
