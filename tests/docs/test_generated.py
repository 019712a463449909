"""The generated parts of the documentation say what the code says."""

import re

import pytest
from tests.docs.generated import BLOCK, PAGES, PARTS, ROOT, rewritten

from subscription_lifecycle import STANDARD


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_what_the_code_says(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert text == rewritten(text), f"{page} is out of date: run `python -m tests.docs.generated`."


def test_every_part_stands_on_a_page_once() -> None:
    found = [part for page in PAGES for _, part, _ in BLOCK.findall((ROOT / page).read_text("utf-8"))]
    assert sorted(found) == sorted(PARTS)


def test_the_table_has_a_line_for_every_row_and_fits_a_wall() -> None:
    lines = STANDARD.to_markdown().strip().splitlines()
    assert len(lines) == len(STANDARD.rows) + 2 <= 110


LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def test_links_inside_the_project_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
