"""Where the published cases are, and what every replay of a life needs: a gateway with moods and a daily sweep.

The cases are not part of this project: SUBSCRIPTION_LIFECYCLE_ORACLES names the folder that holds them.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from subscription_lifecycle import Actor, MemoryStore, PaymentMethod, Role, Subscription, Subscriptions
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.entry import Entry
from subscription_lifecycle.model.payment import CaptureRequest, Declined, PaymentOutcome
from subscription_lifecycle.model.schedule import Period
from subscription_lifecycle.testing import FakeClock, FakeGateway

NAMED = "SUBSCRIPTION_LIFECYCLE_ORACLES" in os.environ
WITHOUT = "SUBSCRIPTION_LIFECYCLE_ORACLES does not name a folder of published cases"
Case = dict[str, Any]

OWNER = Actor("owner", Role.BILLING_ADMIN)
SUPPORT = Actor("support", Role.SUPPORT)
CARD = PaymentMethod.card("tok", country="NL")


def read(name: str) -> dict[str, Any]:
    folder = Path(os.environ["SUBSCRIPTION_LIFECYCLE_ORACLES"])
    return json.loads((folder / name).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def period(text: str) -> Period:
    """What "1 month" and "30 days" mean."""
    count, unit = text.split()
    return Period(int(count), unit.removesuffix("s"))  # type: ignore[arg-type]


class MoodyGateway(FakeGateway):
    """Declines every new payment while `failing`."""

    failing = False

    def _outcome(self, request: CaptureRequest, told: Any) -> PaymentOutcome:
        return super()._outcome(request, Declined("insufficient_funds") if self.failing else told)


class Replay:
    """One subscription (or some) of a lifecycle, whose clock is moved day by day and swept on each of them."""

    def __init__(self, lifecycle: Lifecycle, begins: datetime, id: str = "case") -> None:
        self.clock = FakeClock(begins)
        self.gateway = MoodyGateway(self.clock)
        self.subs = Subscriptions(MemoryStore(), self.gateway, lifecycle=lifecycle, clock=self.clock)
        self.id = id
        self._keys = 0

    @property
    def today(self) -> date:
        return self.clock().date()

    @property
    def now(self) -> Subscription:
        return self.subs.get(self.id)

    @property
    def history(self) -> tuple[Entry, ...]:
        return self.subs.history(self.id)

    def do(self, command: Command, by: Actor = OWNER, id: str | None = None) -> None:
        self._keys += 1
        self.subs.execute(id or self.id, command, by=by, idempotency_key=f"key {self._keys}")

    def wait_until(self, moment: date | datetime) -> None:
        """To that instant, or that day at the hour it is now; swept at this hour of every day between, and then."""
        if not isinstance(moment, datetime):
            moment = datetime.combine(moment, self.clock().timetz())
        while self.clock() < moment:
            self.clock.set(min(self.clock() + timedelta(days=1), moment))
            report = self.subs.sweep()
            assert not report.failed, report.failed
