"""Who may come in is asked on every request: one statement, by the key, and right however late the sweep is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from subscription_lifecycle import (
    MONTHLY,
    STANDARD,
    Access,
    Actor,
    DunningStep,
    Money,
    PaymentMethod,
    Plan,
    Policy,
    Role,
    Subscriptions,
)
from subscription_lifecycle.adapters.sqlalchemy import SQLStore, migrate
from subscription_lifecycle.testing import FakeClock, FakeGateway

ALICE = Actor("alice", Role.BILLING_ADMIN)
CARD = PaymentMethod.card("tok", country="NL")
PLAN = Plan("business", Money(2000, "EUR"), MONTHLY)
LADDER = STANDARD.with_policies(Policy(dunning=(DunningStep(3, "reminded"), DunningStep(10, "shut out", Access.NONE))))


class Traced:
    """A store on a file, and every statement that reaches SQLite."""

    def __init__(self, path: Path) -> None:
        self.statements: list[str] = []
        engine = sa.create_engine(f"sqlite:///{path}")
        sa.event.listen(engine, "connect", self._connected)
        migrate(engine)
        self.store = SQLStore(engine)
        self.engine = engine

    def _connected(self, connection: Any, _: Any) -> None:
        connection.set_trace_callback(self.statements.append)

    def plan_of(self, statement: str) -> list[str]:
        with self.engine.connect() as connection:
            return [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]


def test_access_is_one_indexed_read(tmp_path: Path) -> None:
    traced, clock = Traced(tmp_path / "lifecycle.db"), FakeClock("2026-01-31T09:00Z")
    subs = Subscriptions(traced.store, FakeGateway(), clock=clock)
    subs.start("sub_1", customer="contoso", plan=PLAN, payment_method=CARD, by=ALICE, idempotency_key="start")
    traced.statements.clear()
    assert subs.access("sub_1") is Access.FULL
    (statement,) = [text for text in traced.statements if not text.startswith(("BEGIN", "COMMIT", "ROLLBACK"))]
    steps = traced.plan_of(statement)
    assert steps
    assert not any("SCAN" in step for step in steps), steps


def test_access_falls_down_the_ladder_without_a_sweep() -> None:
    clock, gateway = FakeClock("2026-01-31T09:00Z"), FakeGateway()
    subs = Subscriptions(SQLStore("sqlite://"), gateway, lifecycle=LADDER, clock=clock)
    subs.start("sub_1", customer="contoso", plan=PLAN, payment_method=CARD, by=ALICE, idempotency_key="start")
    clock.set("2026-02-28T00:00Z")
    gateway.decline_next(retryable=False)
    subs.sweep()
    versions = subs.get("sub_1").version
    for day, access in (("2026-03-02", Access.FULL), ("2026-03-09", Access.FULL), ("2026-03-10", Access.NONE)):
        clock.set(f"{day}T12:00Z")
        assert subs.access("sub_1") is access
    assert len(subs.history("sub_1")) == versions
    subs.pay_arrears("sub_1", payment_method=CARD, by=ALICE, idempotency_key="pay")
    assert subs.access("sub_1") is Access.FULL
