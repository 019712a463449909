"""The demo, run as a process: what it leaves in the database is what the founding article says."""

import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from subscription_lifecycle import (
    ACTIVE,
    CANCELLED,
    DELETED,
    DISABLED,
    EXPIRED,
    LAPSED,
    NON_PAYMENT,
    PAST_DUE,
    PROVIDER,
    Entry,
    Money,
    Reactivate,
    Subscription,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore
from subscription_lifecycle.model.entry import fold

pytestmark = pytest.mark.slow


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "subscription_lifecycle", *arguments]
    environment = os.environ | {"COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)


class Told:
    """One demo, and what it stored."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.process = run("demo", "--database", str(path))
        assert self.process.returncode == 0, self.process.stderr
        with closing(SQLStore(f"sqlite:///{path}")) as store:
            self.histories = {life: tuple(store.history(life)) for life in LIVES}

    def after(self, life: str, version: int) -> Subscription:
        snapshot = fold(self.histories[life][:version])
        assert snapshot is not None
        return snapshot

    def states(self, life: str) -> list[object]:
        found = [entry.changes["state"].after for entry in self.histories[life] if "state" in entry.changes]
        return [state for number, state in enumerate(found) if number == 0 or found[number - 1] != state]

    def reactivation(self, life: str) -> tuple[Subscription, Entry, Subscription]:
        """Before it, itself, and after it."""
        [done] = [
            entry
            for entry in self.histories[life]
            if isinstance(entry.command, Reactivate) and entry.event == "applied"
        ]
        return self.after(life, done.version - 1), done, self.after(life, done.version)


LIVES = ("chat", "storage", "crm", "calls", "mail", "sites", "print")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(tmp_path_factory.mktemp("demo") / "demo.sqlite")


def euros(amount: str) -> Money:
    return Money.of(amount, "EUR")


def captured(entry: Entry) -> Money:
    assert entry.payment is not None
    assert entry.payment.status == "captured"
    return entry.payment.amount


def test_expired_the_date_moves_by_one_period_and_the_card_is_charged(told: Told) -> None:
    before, done, after = told.reactivation("chat")
    assert told.states("chat")[-3:] == [ACTIVE, EXPIRED, ACTIVE]
    assert (before.state, before.next_billing_date) == (EXPIRED, date(2026, 2, 28))
    assert after.next_billing_date == date(2026, 3, 31)
    assert captured(done) == euros("20.00")
    assert not after.recurring_billing
    assert [entry.event for entry in told.histories["chat"] if isinstance(entry.command, Reactivate)] == [
        "attempted", "declined", "attempted", "applied",
    ]  # fmt: skip


def test_lapsed_a_new_period_begins_and_the_bank_is_asked(told: Told) -> None:
    before, done, after = told.reactivation("storage")
    assert (before.state, before.cause) == (DISABLED, LAPSED)
    assert (after.term_start, after.next_billing_date) == (date(2026, 4, 10), date(2027, 4, 10))
    assert done.payment is not None
    assert (done.payment.status, done.payment.amount) == ("submitted", euros("240.00"))
    assert told.histories["storage"][-1].event == "settled"


def test_cancelled_the_date_stays_and_what_was_refunded_is_paid_again(told: Told) -> None:
    before, done, after = told.reactivation("crm")
    assert before.state == CANCELLED
    assert after.next_billing_date == before.next_billing_date == date(2027, 2, 1)
    assert captured(done) == euros("212.38").prorated(313, 323), "of what was refunded for 323 days, the 313 to come"
    assert not before.refunds, "the refund was made before"


def test_cancelled_with_the_date_passed_the_rest_is_paid_by_days(told: Told) -> None:
    before, done, after = told.reactivation("calls")
    assert before.state == CANCELLED
    assert (before.next_billing_date, after.next_billing_date) == (date(2026, 3, 1), date(2026, 4, 1))
    assert captured(done) == euros("20.00").prorated(20, 31)
    assert after.term_end == before.term_end == date(2027, 2, 1)


def test_unpaid_what_is_owed_is_paid_and_the_date_stays(told: Told) -> None:
    before, done, after = told.reactivation("mail")
    assert told.states("mail")[-4:] == [ACTIVE, PAST_DUE, DISABLED, ACTIVE]
    assert (before.cause, before.owed) == (NON_PAYMENT, euros("20.00"))
    assert after.next_billing_date == before.next_billing_date == date(2026, 4, 1)
    assert captured(done) == euros("20.00")
    assert not after.arrears


def test_disabled_by_the_provider_support_brings_it_back_and_nothing_is_charged(told: Told) -> None:
    before, done, after = told.reactivation("sites")
    assert (before.state, before.cause, done.by.id) == (DISABLED, PROVIDER, "sam")
    assert after.next_billing_date == before.next_billing_date == date(2026, 3, 1)
    assert done.charge is None
    assert [line.amount for entry in told.histories["sites"] for line in entry.invoice_lines] == [euros("20.00")] * 6


def test_nobody_comes_back_for_the_last(told: Told) -> None:
    assert told.states("print")[-4:] == [ACTIVE, EXPIRED, DISABLED, DELETED]
    assert told.histories["print"][-1].effective_at == datetime(2026, 6, 29, 22, tzinfo=UTC)


def test_every_refusal_is_shown_with_what_helps(told: Told) -> None:
    refused = told.process.stdout.split("— refused")[1:]
    assert len(refused) == 7
    assert all("→ " in each for each in refused)


def test_the_timeline_of_one_is_read_from_the_file(told: Told) -> None:
    shown = run("timeline", str(told.path), "mail")
    assert shown.returncode == 0, shown.stderr
    assert "DISABLED (NON_PAYMENT)" in shown.stdout
    assert "access: reduced" in shown.stdout
    unknown = run("timeline", str(told.path), "nothing")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    strange = run("timeline", str(told.path), "mail", "--lifecycle", "subscription_lifecycle:Money")
    assert (strange.returncode, strange.stdout) == (2, "")
    missing = run("timeline", str(told.path.with_name("missing.sqlite")), "mail")
    assert missing.returncode == 2
    assert not told.path.with_name("missing.sqlite").exists()


def test_the_demo_never_writes_over_a_file(told: Told) -> None:
    assert run("demo", "--database", str(told.path)).returncode == 2


@pytest.mark.parametrize("format", ["markdown", "mermaid", "dot"])
def test_the_table_is_printed(format: str) -> None:
    shown = run("table", "--format", format)
    assert shown.returncode == 0, shown.stderr
    assert "past_due" in shown.stdout


def test_without_its_extra_the_command_line_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['typer'] = None; from subscription_lifecycle.__main__ import main; main()"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert shown.returncode == 1
    assert "subscription-lifecycle[cli]" in shown.stderr
    assert "Traceback" not in shown.stderr
