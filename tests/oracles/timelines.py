"""One of Kill Bill's timelines in our words: a clock that moves, actions, and facts that are compared on the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import attrs
from dateutil.relativedelta import relativedelta
from tests.oracles.kill_bill import (
    CYCLE_DAYS,
    ENTITLEMENTS,
    PRICES,
    TERMS,
    TRIAL,
    cancels_at_the_end,
    kill_bill,
    takes_access,
)
from tests.oracles.published import CARD, SUPPORT, Case, Replay, instant

from subscription_lifecycle import CANCELLED, DISABLED, EXPIRED, Access, Money, Plan, Subscription
from subscription_lifecycle.model.schedule import BillingSchedule, Period
from subscription_lifecycle.ports import ChargedBack
from subscription_lifecycle.standard.commands import Cancel, PayArrears, SetRecurringBilling, Start


@attrs.frozen
class Fact:
    """Something a timeline says, and what we say. `untold`: why the two cannot be compared."""

    kind: str
    where: str
    ours: Any = None
    theirs: Any = None
    untold: str | None = None


def events_of(timeline: Case) -> list[tuple[Case, list[str]]]:
    """Each step with the events that must have been seen when it settles, those announced ahead of it included."""
    found: list[tuple[Case, list[str]]] = []
    ahead: list[str] = []
    for step in timeline["steps"]:
        if step.get("do") == "expect_next_events":
            ahead += step["events"]
            found.append((step, []))
        elif "do" in step and step["do"] != "set_gateway" and not (step["do"] == "set_clock" and not found):
            found.append((step, ahead + step.get("emits", [])))
            ahead = []
        else:
            found.append((step, []))
    return found


class Timeline(Replay):
    """`facts` plays it."""

    def __init__(self, timeline: Case) -> None:
        self.timeline = timeline
        self.steps = events_of(timeline)
        begins = instant(timeline["steps"][0]["at"])
        super().__init__(kill_bill(timeline.get("overdue_policy")), begins, "base")
        self.begins = begins.date()
        self.lives: list[str] = []
        self.acted = ""
        self.ends_billing_later = False

    # -- the plan

    def _plan(self, step: Case) -> Plan:
        """A product of the default catalog; of another, a monthly plan whose trial and length the events tell."""
        product = step.get("product")
        trial, cycles = (TRIAL if product else None), None
        first = self.begins
        for other, events in self.steps:
            day = instant(other["at"]).date()
            if "PHASE" in events and not product and trial is None:
                trial, first = Period((day - self.begins).days, "day"), day
            if "EXPIRED" in events:
                months = relativedelta(day, first)
                cycles = 12 * months.years + months.months
        price = Money.of(Decimal(PRICES.get(product or "", "10.00")), "USD")
        return Plan(product or "told by events", price, TERMS[step.get("term", "MONTHLY")], trial=trial, cycles=cycles)

    # -- playing

    def facts(self) -> Iterator[Fact]:
        told: Counter[tuple[str, str]] = Counter()
        for number, (step, events) in enumerate(self.steps):
            kind = step.get("do") or step["expect"]
            where = f"{number} {step['at'][:10]} {kind}"
            if "expect" in step:
                told[kind, step["at"]] += 1
                yield from EXPECTED[kind](self, where, step, told[kind, step["at"]])
            elif kind not in ("set_gateway", "expect_next_events") and number:
                yield from self._acted(where, step, events)
            elif kind == "set_gateway":
                assert step["mode"] == "makeAllInvoicesFailWithError"
                self.gateway.failing = step["value"] == "true"

    def _acted(self, where: str, step: Case, events: list[str]) -> Iterator[Fact]:
        captured, asked = len(self.gateway.captures), len(self.gateway.requests)
        rung, ended, debts = self.rung(), self.ended(), self._most_debts()
        untold = self._left_out(step)
        if untold is not None:
            return (yield Fact("action", where, untold=untold))
        ACTIONS[step["do"]](self, step)
        moved = step["do"] in ("advance_clock", "set_clock")
        if not events and not moved:
            return None
        if step["do"] == "refundPayment":
            return (yield Fact("payment given back", where, bool(self.now.arrears), "PAYMENT" in events))
        yield Fact("payment", where, len(self.gateway.captures) > captured, "PAYMENT" in events)
        failed = len(self.gateway.requests) - asked > len(self.gateway.captures) - captured
        if max(debts, self._most_debts()) > 1:
            yield Fact("failed payment", where, untold=TOGETHER)
        else:
            yield Fact("failed payment", where, failed, "PAYMENT_ERROR" in events)
        if moved and "overdue_policy" in self.timeline:
            yield Fact("rung reached", where, self.rung() != rung, "BLOCK" in events)
        if self.ends_billing_later and (not moved or "CANCEL" in events):
            yield Fact("end", where, untold=ONE_END)
        else:
            yield Fact("end", where, self.ended() > ended, bool({"CANCEL", "EXPIRED"} & {*events}))
        return None

    def _left_out(self, step: Case) -> str | None:
        if step["do"] == "cancelEntitlement" and step["args"][0].startswith("addOn"):
            return ADD_ON
        if step["do"] == "createPayment" and not self._most_debts():
            return PAID
        return LEFT_OUT.get(step["do"])

    # -- actions

    def subscribe(self, step: Case) -> None:
        name = "base" if not self.lives else f"base {len(self.lives) + 1}"
        self.lives.append(name)
        self.acted = name
        plan, day = self._plan(step), CYCLE_DAYS.get(self.timeline["id"])
        schedule = None if day is None else BillingSchedule(date(2000, 1, day), plan.billing)
        self.do(Start(customer="c", plan=plan, payment_method=CARD, schedule=schedule), id=name)

    def move(self, step: Case) -> None:
        self.wait_until(instant(step["at"]))

    def pay(self, step: Case) -> None:
        self.gateway.failing = False
        for name in self.lives:
            if self.subs.get(name).arrears:
                self.do(PayArrears(CARD), id=name)

    def give_back(self, step: Case) -> None:
        """A refund that leaves the invoice unpaid is a chargeback to us."""
        reference = self.gateway.captures[0].reference
        outcome = ChargedBack(f"dp_{reference}")
        self.gateway.report(reference, outcome)
        self.subs.report_payment(reference, outcome)

    def cancel(self, step: Case) -> None:
        name, *policies = step["args"]
        self.acted = self.lives[1] if name.endswith("2") else self.lives[0]
        self.ends_billing_later = "BLOCK" in step["emits"] and "CANCEL" not in step["emits"]
        self.do(Cancel("term_end" if policies else "now"), id=self.acted)

    def cancel_from_the_start(self, step: Case) -> None:
        assert step["args"][:2] == ["IMMEDIATE", "START_OF_TERM"]
        self.do(Cancel("now", refund="full"), by=SUPPORT)

    def cancel_on(self, step: Case) -> None:
        text = step["args"][0]
        later, named = re.search(r"plusDays\((\d+)\)", text), re.search(r"\d{4}-\d\d-\d\d", text)
        assert later or named, text
        day = self.begins + timedelta(days=int(later[1])) if later else date.fromisoformat(named[0])  # type: ignore[index]
        self.do(Cancel("term_end" if day == self.now.term_end else day))

    def uncancel(self, step: Case) -> None:
        self.do(SetRecurringBilling(True))

    # -- what is asked of us

    def rung(self, name: str | None = None) -> str:
        """The lowest rung that was announced of what is owed now, of all that one account has."""
        policy = self.subs.lifecycle.policies["default"]
        reached = -1
        for life in [name] if name else self.lives:
            now = self.subs.get(life)
            oldest = min((debt.since for debt in now.arrears if not debt.held), default=None)
            told = now.noticed.get("dunning")
            if oldest is not None and told is not None and told >= oldest:
                days = [oldest + timedelta(days=step.days) for step in policy.dunning]
                reached = max(reached, days.index(told))
        return "CLEAR" if reached < 0 else policy.dunning[reached].name

    def ended(self) -> int:
        return sum(self.subs.get(name).state in (CANCELLED, EXPIRED) for name in self.lives)

    def _most_debts(self) -> int:
        return max((len(self.subs.get(name).arrears) for name in self.lives), default=0)

    def bills(self) -> Counter[tuple[str, str, Decimal]]:
        """Every period that was billed, paid or not."""
        found: Counter[tuple[str, str, Decimal]] = Counter()
        for name in self.lives:
            amounts = {}
            for entry in self.subs.history(name):
                for line in () if entry.charge is None else entry.charge.lines:
                    if line.purpose == "period":
                        amounts[line.period] = line.amount
                _, debts = entry.changes.get("arrears", ((), ()))
                amounts |= {debt.period: debt.amount for debt in debts}
            for period, amount in amounts.items():
                found[period.start.isoformat(), period.end.isoformat(), Decimal(amount.minor).scaleb(-2)] += 1
        return found

    def credits(self) -> list[Decimal]:
        charges = [entry.charge for name in self.lives for entry in self.subs.history(name) if entry.charge]
        return [Decimal(-charge.credits.minor).scaleb(-2) for charge in charges if charge.credits is not None]

    def overdue(self, where: str, step: Case, nth: int) -> Iterator[Fact]:
        yield Fact("overdue state", where, self.rung(), step["value"])
        rungs = {rung["state"]: rung for rung in self.timeline["overdue_policy"]["states_worst_first"]}
        off = takes_access(rungs.get(step["value"], {}))
        standing = next(name for name in self.lives if name != self.acted or len(self.lives) == 1)
        access = self.subs.access(standing)
        yield Fact("access", where, "off" if access is Access.NONE else "on", "off" if off else "on")

    def charged_through(self, where: str, step: Case, nth: int) -> Iterator[Fact]:
        if step["date"].startswith("?"):
            return (yield Fact("charged through", where, untold=UNRESOLVED))
        if step["subscription"].startswith("addOn"):
            return (yield Fact("charged through", where, untold=ADD_ON))
        name = self.lives[-1] if step["subscription"].endswith("2") else self.lives[0]
        return (yield Fact("charged through", where, str(self.subs.get(name).next_billing_date), step["date"]))

    def invoice(self, where: str, step: Case, nth: int) -> Iterator[Fact]:
        if not step["items"]:
            yield Fact("invoice item", where, untold=NO_ITEMS)
        bills, seen = self.bills(), Counter[tuple[str, str, Decimal]]()
        for item in step["items"]:
            amount = Decimal(item["amount"])
            theirs = (item["from"], item["to"], amount)
            if item["type"] == "RECURRING":
                seen[theirs] += 1
                ours = theirs if bills[theirs] >= seen[theirs] else sorted(bills)
                yield Fact("invoice item", where, ours, theirs)
            elif item["type"] == "FIXED":
                now, free = self.subs.get(self.lives[-1]), Decimal(0)
                end = None if item["to"] is None else str(now.trial_end)
                yield Fact("invoice item", where, (str(now.term_start), end, free), theirs)
            elif item["type"] == "REPAIR_ADJ":
                yield Fact("invoice item", where, amount if amount in self.credits() else self.credits(), amount)
            else:
                yield Fact("invoice item", where, untold=ONE_OFF)

    def entitlement(self, where: str, step: Case, nth: int) -> Iterator[Fact]:
        add_ons = any(other.get("do") == "add_addon" for other, _ in self.steps)
        if add_ons and nth > 1:
            return (yield Fact("entitlement", where, untold=ADD_ON))
        standing = [name for name in self.lives if name != self.acted] or self.lives
        name = self.acted if self.ended() == 1 and len(self.lives) > 1 else standing[(nth - 1) % len(standing)]
        return (yield Fact("entitlement", where, self.condition(self.subs.get(name)), step["value"]))

    def condition(self, now: Subscription) -> str:
        if now.state == DISABLED and cancels_at_the_end(self.timeline.get("overdue_policy")):
            return "CANCELLED"
        ran_out = now.plan.cycles is not None and now.cycles >= now.plan.cycles
        return "CANCELLED" if now.state == EXPIRED and not ran_out else ENTITLEMENTS[now.state]

    def balance(self, where: str, step: Case, nth: int) -> Iterator[Fact]:
        owed = sum((Decimal(self.subs.get(name).owed.minor).scaleb(-2) for name in self.lives), Decimal(0))
        yield Fact("balance", where, owed, Decimal(step["value"]))

    def plan_change(self, where: str, step: Case, nth: int) -> Iterator[Fact]:
        yield Fact("plan change", where, untold=CHANGE)


ADD_ON = "an add-on is a subscription of its own to us, and its plan is not in the data"
CHANGE = "there is no change of plan to block"
NO_ITEMS = "the data names no items"
ONE_END = "Kill Bill can end access now and billing later; a cancellation of ours is one end"
ONE_OFF = "charges beside the plan's price are the host's"
PAID = "Kill Bill pays invoice by invoice; paying what is owed pays all of it"
TOGETHER = "Kill Bill retries each invoice by itself; we retry all that is owed, on days counted from the oldest"
UNRESOLVED = "the data does not resolve the date"
STAYS = "there is no change of plan; it moves no date here"
LEFT_OUT = {"add_addon": ADD_ON, "changeEntitlement": STAYS}

ACTIONS: Mapping[str, Callable[[Timeline, Case], None]] = {
    "subscribe": Timeline.subscribe,
    "advance_clock": Timeline.move,
    "set_clock": Timeline.move,
    "pay_all_unpaid_invoices_oldest_first": Timeline.pay,
    "createPayment": Timeline.pay,
    "refundPayment": Timeline.give_back,
    "cancelEntitlement": Timeline.cancel,
    "cancelEntitlementWithPolicyOverrideBillingPolicy": Timeline.cancel_from_the_start,
    "cancelEntitlementWithDate": Timeline.cancel_on,
    "uncancelEntitlement": Timeline.uncancel,
}

EXPECTED: Mapping[str, Callable[[Timeline, str, Case, int], Iterator[Fact]]] = {
    "overdue_state": Timeline.overdue,
    "charged_through": Timeline.charged_through,
    "invoice": Timeline.invoice,
    "entitlement_state": Timeline.entitlement,
    "account_balance": Timeline.balance,
    "plan_change": Timeline.plan_change,
}
