"""Says at the end how many published cases were replayed, by file and kind."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counted = Counter(
        str(value)
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "replayed" and report.when == "call"
    )
    if counted:
        terminalreporter.section("published cases replayed")
        for group, number in sorted(counted.items()):
            terminalreporter.write_line(f"{number:5} {group}")
        terminalreporter.write_line(f"{counted.total():5} in all")
