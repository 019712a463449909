"""Says at the end how many published cases were replayed, by file and kind, and how many were not, and why."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, title in (("replayed", "published cases replayed"), ("left out", "published cases left out")):
        counted = Counter(
            str(value)
            for report in terminalreporter.getreports("passed")
            for told, value in report.user_properties
            if told == name and report.when == "call"
        )
        if counted:
            terminalreporter.section(title)
            for group, number in sorted(counted.items()):
                terminalreporter.write_line(f"{number:5} {group}")
            terminalreporter.write_line(f"{counted.total():5} in all")
