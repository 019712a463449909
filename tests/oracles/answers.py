"""What followed, field by field, in the vocabulary of the documented cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dateutil.relativedelta import relativedelta
from tests.oracles.lives import Life

from subscription_lifecycle import TRIALING
from subscription_lifecycle.errors import NotPossible, Refused
from subscription_lifecycle.model.payment import Declined
from subscription_lifecycle.model.schedule import BillingPeriod


class Answered(Life):
    """`answer` takes what they say only to know which words to answer in."""

    def billed(self) -> BillingPeriod | None:
        """The last period that was billed since it was asked."""
        return next((entry.billed for entry in reversed(self.history[self.told :]) if entry.billed), None)

    def charged(self) -> str:
        taken = [capture.amount for capture in self.gateway.captures[self.taken :]]
        if not taken:
            return "none"
        assert self.billed() is not None
        return "new_period" if taken == [self.now.price] else f"{taken}"

    def answer(self, field: str, asked: Any) -> Any:
        return ANSWERS[field](self, asked)

    def outcome(self, asked: Any) -> str:
        return "ok" if self.error is None else "refused"

    def next_billing(self, asked: str) -> str:
        now, before = self.now.next_billing_date, self.before.next_billing_date
        if asked == "unchanged":
            return "unchanged" if now == before else now.isoformat()
        if asked.startswith("old date advanced by whole periods"):
            whole = [before + relativedelta(months=count) for count in range(100)]
            return asked if now == next(day for day in whole if day > self.today) else now.isoformat()
        return now.isoformat()

    def period(self, asked: Any) -> Any:
        found, old = self.billed(), self.before.next_billing_date
        if isinstance(asked, str):
            assert asked == "[old end, old end + 1 interval on the anchor day)"
            return asked if found == BillingPeriod(old, old + relativedelta(months=1)) else str(found)
        return None if found is None else [found.start.isoformat(), found.end.isoformat()]

    def period_start(self, asked: Any) -> str:
        found = self.billed()
        start = found.start if found is not None else self.now.schedule.period_containing(self.today).start
        return "now" if start == self.today else start.isoformat()

    def cycle(self, asked: Any) -> str:
        found, anchor = self.billed(), self.now.schedule.anchor
        return "restart_at_recovery" if found and found.start == anchor == self.today else f"{found}"

    def grace_charged(self, asked: Any) -> bool:
        return self.charged() != "new_period" or bool(self.now.arrears)

    def http(self, asked: Any) -> int:
        assert isinstance(self.error, Refused)
        return self.error.http_status

    def code(self, asked: Any) -> str:
        assert isinstance(self.error, Refused)
        return self.system.codes[self.error.refusals[0].code]

    def use(self, asked: str) -> str:
        assert isinstance(self.error, NotPossible)
        return asked if asked in self.error.possible else f"{self.error.possible}"

    def invoice(self, asked: Any) -> str:
        if any(isinstance(told, Declined) and told.code == "voided" for told in self.gateway.ledger.values()):
            return "void"
        return "created" if self.now.arrears else "none"

    def invoices(self, asked: str) -> str:
        given_up = self.billed() is not None and not self.now.arrears and self.charged() == "none"
        return "mark_uncollectible" if given_up else "collected"

    def new_period(self, asked: Any) -> bool:
        found = self.billed()
        return found is not None and found.start == self.today

    def events(self, asked: Any) -> list[str]:
        named = [(type(entry.command).__name__, entry.event) for entry in self.history[self.told :]]
        return [event for name in named for event in self.system.events.get(name, ())]


ANSWERS: Mapping[str, Callable[[Answered, Any], Any]] = {
    "outcome": Answered.outcome,
    "status": lambda life, _: life.status(),
    "next_billing": Answered.next_billing,
    "new_period": Answered.new_period,
    "period": Answered.period,
    "period_start": Answered.period_start,
    "renewal_day": lambda life, _: life.now.next_billing_date.day,
    "anchor": lambda life, _: "unchanged" if life.now.schedule == life.before.schedule else "changed",
    "charge": lambda life, _: life.charged(),
    "amount": lambda life, _: life.gateway.captures[-1].amount.minor / 100,
    "events": Answered.events,
    "access_gap": lambda life, _: life.gap,
    "cycle": Answered.cycle,
    "grace_service_charged": Answered.grace_charged,
    "pending_pause": lambda life, _: life.pending_pause(),
    "in_trial": lambda life, _: life.now.state == TRIALING,
    "http": Answered.http,
    "code": Answered.code,
    "use": Answered.use,
    "dates": lambda life, _: [capture.at.date().isoformat() for capture in life.gateway.captures],
    "terminal": lambda life, _: life.now.state.final,
    "invoice": Answered.invoice,
    "invoices": Answered.invoices,
}
