"""The page that lists clauses and their tests is the one that would be written now."""

from __future__ import annotations

import pytest
from tests.domain.write_clauses import CLAUSES, PAGE, clause_tests, with_table


@pytest.mark.parametrize("clause", CLAUSES)
def test_each_clause_has_a_test(clause: str) -> None:
    assert [test for of, test, said in clause_tests() if of == clause and said]


def test_no_test_is_of_a_clause_that_is_none() -> None:
    assert {clause for clause, _, _ in clause_tests()} <= set(CLAUSES)


def test_the_page_is_up_to_date() -> None:
    """After a change: python -m tests.domain.write_clauses"""
    page = PAGE.read_text("utf-8")
    assert page == with_table(page)
