"""The ledger of a payment gateway, on disk; what happens to a payment follows from its reference."""

from __future__ import annotations

import hashlib
import pickle
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    CaptureRequest,
    ChargedBack,
    Declined,
    PaymentOutcome,
    Processing,
    Refunded,
)
from subscription_lifecycle.ports import LedgerLine

TABLES = """
CREATE TABLE payments (
    reference TEXT PRIMARY KEY, subscription TEXT, customer TEXT, minor INTEGER, currency TEXT, method BLOB,
    outcome BLOB, at TEXT, decided_later INTEGER DEFAULT 0);
CREATE TABLE captures (number INTEGER PRIMARY KEY, reference TEXT, minor INTEGER, currency TEXT);
CREATE TABLE refunds (number INTEGER PRIMARY KEY, reference TEXT, minor INTEGER, currency TEXT);
CREATE TABLE chargebacks (reference TEXT PRIMARY KEY, minor INTEGER, currency TEXT);
"""


class Ledger:
    """Every answer is on disk before it is given."""

    def __init__(self, path: str, *, seed: int, faults: bool, forgets: bool, slow: float) -> None:
        self._seed, self._faults, self._forgets, self._slow = seed, faults, forgets, slow
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        if not self._rows("SELECT 1 FROM sqlite_master"):
            self._database.executescript(TABLES)
        self._lock = threading.RLock()
        self._told: list[PaymentOutcome] = []
        self._times = Counter[tuple[str, str]]()

    def dealt(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """One request; None in place of an answer that is lost. Delays come before the ledger is touched, or after."""
        lost, early, late = self._fate(method, arguments)
        if lost == "asking":
            return None
        time.sleep(early)
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                answer = getattr(self, method)(*arguments)
            except Exception:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        time.sleep(late)
        return None if lost == "answering" else pickle.dumps(answer)

    def _fate(self, method: str, arguments: tuple[Any, ...]) -> tuple[str, float, float]:
        """What is lost of a request, and how long it takes, before and after: by its method, payment and number."""
        if not self._faults or method not in ("capture", "refund", "void"):
            return "nothing", 0, self._slow
        asked = method, arguments[0].reference if method == "capture" else arguments[0]
        self._times[asked] += 1
        what = f"{asked}:{self._times[asked]}"
        chance = self._dice(f"{what} lost")
        unheard = 25 if method == "refund" else 4
        lost = "asking" if chance < unheard else "answering" if chance < unheard + 8 else "nothing"
        # Who forgets what was asked must be asked in order.
        early = 0 if self._forgets else self._dice(f"{what} early") ** 2 / 1e6
        return lost, early, self._dice(f"{what} late") ** 2 / 1e6

    def _dice(self, what: str) -> int:
        """Less than a hundred."""
        return int.from_bytes(hashlib.sha256(f"{self._seed}:{what}".encode()).digest()[:4]) % 100

    # -- the port

    def capture(self, request: CaptureRequest, at: datetime) -> PaymentOutcome:
        known = self._rows(
            "SELECT minor, currency, method, outcome FROM payments WHERE reference = ?", request.reference
        )
        if known:
            minor, currency, method, outcome = known[0]
            if method is not None and (Money(minor, currency), pickle.loads(method)) != (
                request.amount,
                request.payment_method,
            ):
                raise RuntimeError(f"{request.reference} was asked before with other content")
            found: PaymentOutcome = pickle.loads(outcome)
            if self._forgets and isinstance(found, Captured):
                self._took(request.reference, request.amount)
            return found
        outcome = self._outcome(request, at)
        self._database.execute(
            "INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (
                request.reference,
                request.subscription,
                request.customer,
                request.amount.minor,
                request.amount.currency,
                pickle.dumps(request.payment_method),
                pickle.dumps(outcome),
                at.isoformat(),
            ),
        )
        if isinstance(outcome, Captured):
            self._took(request.reference, request.amount)
        return outcome

    def find(self, reference: str) -> PaymentOutcome | None:
        found = self._rows("SELECT outcome FROM payments WHERE reference = ?", reference)
        return pickle.loads(found[0][0]) if found else None

    def refund(self, reference: str, amount: Money) -> Refunded:
        if not self._rows("SELECT 1 FROM refunds WHERE reference = ?", reference):
            taken = self._rows("SELECT minor FROM captures WHERE reference = ?", reference)
            if not taken or amount.minor > taken[0][0]:
                raise RuntimeError(f"{amount} cannot be refunded of {reference}")
            if self._rows("SELECT 1 FROM chargebacks WHERE reference = ?", reference):
                raise RuntimeError(f"{reference} was charged back")
            self._database.execute(
                "INSERT INTO refunds (reference, minor, currency) VALUES (?, ?, ?)",
                (reference, amount.minor, amount.currency),
            )
        return Refunded(f"re_{reference}")

    def void(self, reference: str) -> bool:
        found = self.find(reference)
        if isinstance(found, Captured | ChargedBack) or (
            isinstance(found, Processing) and self._dice(f"void {reference}") < 50
        ):
            return False
        voided = pickle.dumps(Declined("voided", retryable=False, gateway_id=f"ch_{reference}"))
        self._database.execute(
            "INSERT INTO payments VALUES (?, '', '', 0, 'EUR', NULL, ?, ?, 0) "
            "ON CONFLICT (reference) DO UPDATE SET outcome = excluded.outcome",
            (reference, voided, datetime(2024, 1, 1, tzinfo=UTC).isoformat()),
        )
        return True

    def payments(self, since: datetime) -> list[LedgerLine]:
        return [line for line in self._lines() if line.at >= since]

    # -- what a test says

    def pending(self) -> list[str]:
        return [line.reference for line in self._lines() if isinstance(line.outcome, ActionRequired | Processing)]

    def captured(self) -> list[str]:
        found = self._rows("SELECT reference FROM captures ORDER BY number DESC LIMIT 8")
        return [reference for (reference,) in found]

    def settle(self, reference: str, outcome: PaymentOutcome) -> PaymentOutcome:
        before = self.find(reference)
        possible = (
            isinstance(before, Captured) and not self._rows("SELECT 1 FROM refunds WHERE reference = ?", reference)
            if isinstance(outcome, ChargedBack)
            else isinstance(before, ActionRequired | Processing)
        )
        if not possible:
            assert before is not None
            return before
        (minor, currency), *_ = self._rows("SELECT minor, currency FROM payments WHERE reference = ?", reference)
        if isinstance(outcome, Captured):
            self._took(reference, Money(minor, currency))
        if isinstance(outcome, ChargedBack):
            self._database.execute("INSERT INTO chargebacks VALUES (?, ?, ?)", (reference, minor, currency))
        self._database.execute(
            "UPDATE payments SET outcome = ?, decided_later = 1 WHERE reference = ?", (pickle.dumps(outcome), reference)
        )
        return outcome

    def decided(self) -> list[tuple[str, PaymentOutcome]]:
        found = self._rows("SELECT reference, outcome FROM payments WHERE decided_later ORDER BY reference")
        return [(reference, pickle.loads(outcome)) for reference, outcome in found]

    def next(self, outcome: PaymentOutcome) -> None:
        self._told.append(outcome)

    def calm(self) -> None:
        self._faults = False
        self._told.clear()

    # -- inside

    def _outcome(self, request: CaptureRequest, at: datetime) -> PaymentOutcome:
        if self._told:
            return attrs.evolve(self._told.pop(), gateway_id=f"ch_{request.reference}")
        gateway_id, fate = f"ch_{request.reference}", self._dice(request.reference) if self._faults else 99
        if fate < 14:
            return Declined("insufficient_funds", retryable=fate < 10, gateway_id=gateway_id)
        if fate < 22:
            return ActionRequired(gateway_id, {"type": "redirect", "url": f"https://bank.example/{gateway_id}"})
        if fate < 30:
            return Processing(gateway_id)
        return Captured(gateway_id, at)

    def _took(self, reference: str, amount: Money) -> None:
        self._database.execute(
            "INSERT INTO captures (reference, minor, currency) VALUES (?, ?, ?)",
            (reference, amount.minor, amount.currency),
        )

    def _lines(self) -> Iterator[LedgerLine]:
        for reference, minor, currency, outcome, at in self._rows(
            "SELECT reference, minor, currency, outcome, at FROM payments"
        ):
            found = pickle.loads(outcome)
            taken = Money(minor if isinstance(found, Captured) else 0, currency)
            given = self._rows("SELECT minor FROM refunds WHERE reference = ?", reference)
            refunded = Money(given[0][0] if given else 0, currency)
            yield LedgerLine(reference, f"ch_{reference}", found, taken, refunded, datetime.fromisoformat(at))

    def _rows(self, query: str, *values: Any) -> Sequence[Any]:
        return self._database.execute(query, values).fetchall()
