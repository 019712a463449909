"""What a documented case says in our words: the life before it, what is asked, and what is answered.

Where a case names no day, CHOSEN days stand in for it: it starts on CHOSEN, is stopped five days later, and "past" is
ten days behind the period's end. `chose` says that one of them was needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from dateutil.relativedelta import relativedelta
from tests.oracles.published import CARD, SUPPORT, Case, Replay, period
from tests.oracles.systems import SYSTEMS, PauseCollection, ReactivateIntoTrial

from subscription_lifecycle import ACTIVE, Access, Money, PaymentDeclined, PaymentMethod, Plan
from subscription_lifecycle.errors import Refused
from subscription_lifecycle.model.calendar import start_of_day
from subscription_lifecycle.model.payment import Captured
from subscription_lifecycle.model.schedule import Period
from subscription_lifecycle.standard.commands import (
    Cancel,
    ConvertTrial,
    Pause,
    PayArrears,
    Reactivate,
    ReportInvoice,
    Resume,
    SetRecurringBilling,
    Start,
)

CHOSEN: Final = date(2024, 1, 10)
HOUR: Final = time(9, tzinfo=UTC)
DAY: Final = timedelta(days=1)
BY_INVOICE: Final = PaymentMethod.invoice(country="NL")
TRIALS: Final = ("in_trial", "plan_has_trial", "cycle_in_trial_phase", "missing_payment_method")


class Life(Replay):
    """One case: `lead_up` to it, then `ask`; `answer` says what followed, in the vocabulary of the case."""

    def __init__(self, case: Case) -> None:
        self.given, self.when = case["given"], case["when"]
        self.name = case["id"].split("-")[0]
        self.system = SYSTEMS[self.name]
        named = [self.given[key] for key in ("created", "start", "anchor") if key in self.given]
        named += self.given.get("term", [])[:1]
        self.chose = not named
        day = date.fromisoformat(named[0]) if named else CHOSEN
        if "old_renewal_day" in self.given:
            day = day.replace(day=self.given["old_renewal_day"])
        super().__init__(self.system.lifecycle(case), datetime.combine(day, HOUR))
        self.error: Exception | None = None
        self.gap = False

    # -- before

    def lead_up(self) -> None:
        """Walk there by real commands, and check that it is where the case begins."""
        status = self.given.get("status")
        ROADS.get((self.name, status), Life.runs)(self)
        if status is not None:
            assert self.status() == status
        if (told := self.given.get("next_billing", "")).startswith("20"):
            assert self.now.next_billing_date == date.fromisoformat(told)
        if "pending_pause" in self.given:
            until = self.now.schedule.nth_after(self.now.next_billing_date, self.given["pending_pause"])
            self.do(Pause("period_end", until))
            assert self.pending_pause() == self.given["pending_pause"]
        if self.given.get("unpaid_invoice"):
            (lines,) = [self.subs.take_invoice_lines(customer="c", invoice="in_1")]
            self.do(ReportInvoice("in_1", False, lines), by=SUPPORT)
            assert self.now.arrears
        self._to_the_day()

    def _to_the_day(self) -> None:
        now, over = self.now, self._is_over()
        if self.when["op"] == "recover":
            return
        if "at" in self.when:
            self.wait_until(date.fromisoformat(self.when["at"]))
        elif self.given.get("next_billing") == "now+23h":
            self.wait_until(start_of_day(now.next_billing_date, "UTC") - timedelta(hours=23))
        elif self.given.get("availability") == "over":
            self.wait_until(self.today + timedelta(days=40))
        elif over:
            self.wait_until(now.next_billing_date + timedelta(days=10))
            if "day" in self.when:
                month = self.today if self.today.day <= self.when["day"] else self.today + relativedelta(months=1)
                self.wait_until(month.replace(day=self.when["day"]))

    def _is_over(self) -> bool:
        """Whether the case says, or needs, that the period it was in is over. A resumption is told of the long one."""
        given = self.given
        said = [given[key] for key in ("period_over",) if key in given] + [
            not given[key] for key in ("in_term",) if key in given
        ]
        if said:
            return bool(said[0])
        past = str(given.get("next_billing", given.get("period_end", ""))).startswith("past")
        return past or self.when["op"] == "resume"

    def _start(self, *, method: PaymentMethod | None = CARD) -> None:
        given = self.given
        trial = given.get("status") in ("trialing", "trial_ended") or any(given.get(key) for key in TRIALS)
        cycles = given["cycles_left"] + 1 if "cycles_left" in given else None
        plan = Plan(
            "plan",
            Money.of(Decimal(given.get("price", 10)), "USD"),
            period(given.get("interval", "1 month")),
            trial=Period(14, "day") if trial else None,
            cycles=1 if given.get("status") == "expired" else cycles,
        )
        self.do(Start(customer="c", plan=plan, payment_method=method))

    def runs(self) -> None:
        self._start(method=BY_INVOICE if self.given.get("unpaid_invoice") else CARD)
        if self.given.get("cancel_at_period_end"):
            self.do(Cancel("term_end"))

    def was_cancelled(self) -> None:
        self._start()
        if self.given.get("plan_has_trial"):
            self.do(ConvertTrial(CARD))
        told = self.given.get("canceled")
        self.wait_until(date.fromisoformat(told) if told else self.today + 5 * DAY)
        self.do(Cancel("now"))

    def tried(self) -> None:
        self._start(method=None)
        if self.given.get("canceled_mid_trial"):
            self.wait_until(self.today + 5 * DAY)
            self.do(Cancel("now"))
        elif self.given["status"] == "trial_ended":
            self.wait_until(self.now.next_billing_date + 5 * DAY)

    def ran_out(self) -> None:
        self._start()
        if self.given.get("cycles_left"):
            self.do(SetRecurringBilling(False))
        self.wait_until(self.now.next_billing_date + DAY)

    def was_paused(self) -> None:
        self.runs()
        self.wait_until(self.today + 5 * DAY)
        self.do(Pause("now"))

    def will_end(self) -> None:
        self._start()
        self.do(SetRecurringBilling(False))

    def never_paid(self) -> None:
        self.gateway.decline_next()
        try:
            self._start()
        except PaymentDeclined:
            return
        raise AssertionError("it was to be declined")

    def waits(self) -> None:
        self.gateway.require_action_next()
        self._start()

    def owes(self) -> None:
        self._start()
        self.gateway.failing = True
        self.wait_until(self.now.next_billing_date)

    def ended(self) -> None:
        self._start()
        self.do(Cancel("term_end"))
        self.wait_until(self.now.next_billing_date + 5 * DAY)

    # -- what is asked

    def ask(self) -> None:
        self.before, self.told = self.now, len(self.history)
        self.taken = len(self.gateway.captures)
        if self.when.get("payment") == "fails":
            self.gateway.failing = True
        try:
            OPERATIONS[self.when["op"]](self)
        except (Refused, PaymentDeclined) as error:
            self.error = error
            now = self.now
            stands = (now.state, now.next_billing_date, now.arrears, now.schedule, len(self.gateway.captures))
            before = self.before
            moved = (before.state, before.next_billing_date, before.arrears, before.schedule, self.taken)
            assert stands == moved, "refused, and yet something moved"

    def reactivate(self) -> None:
        if self.system.ending is not None and self.before.state == ACTIVE:
            return self.do(SetRecurringBilling(True))
        if self.when.get("include_trial"):
            return self.do(ReactivateIntoTrial(CARD))
        return self.do(Reactivate(CARD, keep_or_refuse=self.when.get("policy") == "keep_only"))

    def resume(self) -> None:
        self.do(Resume(CARD))

    def uncancel(self) -> None:
        self.do(SetRecurringBilling(True))

    def pause(self) -> None:
        if self.when.get("cycles") == 0:
            return self.do(Resume())
        if "resumes_at" not in self.when:
            return self.do(Pause("now"))
        assert self.when["resumes_at"] == "at or before current period end"
        last = self.before.next_billing_date
        assert self.subs.explain(self.id, Pause("period_end", last + DAY), by=SUPPORT) == ()
        assert self.subs.explain(self.id, Pause("period_end", last - DAY), by=SUPPORT)
        return self.do(Pause("period_end", last))

    def convert(self) -> None:
        self.do(ConvertTrial(CARD))

    def recover(self) -> None:
        failed = self.before.next_billing_date
        if "renewal_failed" in self.given:
            assert failed == date.fromisoformat(self.given["renewal_failed"])
        recovered = self.when.get("at")
        days = self.when.get("days_after_failure", 0)
        self.gateway.failing = True
        last = date.fromisoformat(recovered) if recovered else failed + days * DAY
        for _ in range((last - self.today).days):
            self.wait_until(self.today + DAY)
            self.gap = self.gap or self.subs.access(self.id) is Access.NONE
        self.gateway.failing = False
        self.do(PayArrears(CARD))

    def bill(self) -> None:
        while len(self.gateway.captures) < self.when["n"]:
            self.wait_until(self.today + DAY)

    def advance(self) -> None:
        self.wait_until(self.clock() + timedelta(hours=self.when["hours"]))

    def first_payment(self) -> None:
        (reference,) = self.gateway.ledger
        outcome = Captured(f"ch_{reference}", self.clock())
        self.gateway.report(reference, outcome)
        self.subs.report_payment(reference, outcome)

    def trial_ends(self) -> None:
        assert self.before.payment_method is self.when["payment_method"]
        self.wait_until(self.before.next_billing_date)

    def retries_end(self) -> None:
        policy = self.subs.lifecycle.policy_of(self.before)
        self.wait_until(self.today + timedelta(days=policy.retry_days + 1))

    def pause_collection(self) -> None:
        self.do(PauseCollection())
        self.wait_until(self.before.next_billing_date + DAY)

    # -- where it stands

    def status(self) -> str:
        now = self.now
        if self.system.ending is not None and now.state == ACTIVE and not now.recurring_billing:
            return self.system.ending
        return self.system.words[now.state, now.cause]

    def pending_pause(self) -> int:
        """In how many periods."""
        pause = self.now.pause
        if pause is None:
            return 0
        assert pause.until is not None
        return len([day for day in self.now.schedule.dates(pause.on, 100) if pause.on <= day < pause.until])


ROADS: Mapping[tuple[str, Any], Callable[[Life], None]] = {
    ("maxio", "canceled"): Life.was_cancelled,
    ("maxio", "trial_ended"): Life.tried,
    ("maxio", "expired"): Life.ran_out,
    ("maxio", "on_hold"): Life.was_paused,
    ("chargebee", "canceled"): Life.was_cancelled,
    ("chargebee", "paused"): Life.was_paused,
    ("rc", "cancelled_not_expired"): Life.will_end,
    ("recurly", "canceled"): Life.will_end,
    ("recurly", "failed"): Life.never_paid,
    ("paddle", "paused"): Life.was_paused,
    ("yuno", "CANCELED"): Life.was_cancelled,
    ("yuno", "COMPLETED"): Life.ran_out,
    ("yuno", "PAUSED"): Life.was_paused,
    ("stripe", "incomplete"): Life.waits,
    ("stripe", "paused"): Life.was_paused,
    ("stripe", "trialing"): Life.tried,
    ("stripe", "past_due"): Life.owes,
    ("polar", "canceled"): Life.ended,
}
"""How a life comes to a status; those not named just run."""

OPERATIONS: Mapping[str, Callable[[Life], None]] = {
    "reactivate": Life.reactivate,
    "reinstate": Life.reactivate,
    "resume": Life.resume,
    "uncancel": Life.uncancel,
    "pause": Life.pause,
    "convert_trial": Life.convert,
    "recover": Life.recover,
    "bill_dates": Life.bill,
    "advance": Life.advance,
    "first_payment": Life.first_payment,
    "trial_ends": Life.trial_ends,
    "retries_exhausted": Life.retries_end,
    "pause_collection": Life.pause_collection,
}
