"""What a worker does until it is killed: random commands of the standard lifecycle, on subscriptions others work on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import attrs
from tests.kills.gateway import Gateway

from subscription_lifecycle import (
    MONTHLY,
    QUARTERLY,
    WEEKLY,
    Actor,
    Applied,
    AwaitingPayment,
    Cancel,
    ChangePaymentMethod,
    Command,
    ConcurrentChange,
    Delete,
    Disable,
    Enable,
    ForgiveArrears,
    LifecycleError,
    Money,
    PayArrears,
    PaymentDeclined,
    PaymentInProgress,
    PaymentMethod,
    Period,
    Plan,
    Reactivate,
    Refused,
    Renew,
    RetryPayment,
    Role,
    SetRecurringBilling,
    Start,
    Subscriptions,
    UnknownPayment,
)
from subscription_lifecycle.ports import Captured, ChargedBack, Declined, PaymentOutcome
from subscription_lifecycle.testing.fakes import FakeClock

ALICE = Actor("alice", Role.BILLING_ADMIN, customer="contoso")
SUPPORT = Actor("sam", (Role.SUPPORT, Role.BILLING_ADMIN))
METHODS = (
    PaymentMethod.card("tok_1", country="NL"),
    PaymentMethod.card("tok_2", country="NL", expires=date(2030, 12, 31)),
    PaymentMethod.bank_account("tok_bank", country="NL"),
)
PLANS = (
    Plan("monthly", Money(2000, "EUR"), MONTHLY),
    Plan("yen", Money(1500, "JPY"), WEEKLY),
    Plan("termed", Money(1999, "EUR"), MONTHLY, term=Period(3, "month")),
    Plan("quarterly", Money(5_999, "KWD"), QUARTERLY),
)
COMMANDS: tuple[tuple[int, Actor, Callable[[random.Random], Command]], ...] = (
    (6, ALICE, lambda dice: Reactivate(dice.choice((None, *METHODS)))),
    (3, ALICE, lambda dice: Cancel("now", dice.choice(("none", "prorated", "prorated")))),
    (1, SUPPORT, lambda dice: Cancel("now", "full")),
    (1, ALICE, lambda dice: Cancel("term_end")),
    (3, ALICE, lambda dice: SetRecurringBilling(dice.random() < 0.5)),
    (2, ALICE, lambda dice: RetryPayment()),
    (3, ALICE, lambda dice: PayArrears(dice.choice((None, *METHODS)))),
    (1, SUPPORT, lambda dice: ForgiveArrears()),
    (2, ALICE, lambda dice: ChangePaymentMethod(dice.choice(METHODS))),
    (1, ALICE, lambda dice: Renew()),
    (1, SUPPORT, lambda dice: Disable()),
    (2, SUPPORT, lambda dice: Enable()),
    (1, SUPPORT, lambda dice: Delete() if dice.random() < 0.3 else Enable()),
)
RESULTS = ("applied", "awaiting", "declined", "refused", "in progress", "concurrent", "key reused", "other", "sweeps")
"""How what was asked ended, as it is counted."""


class Ticking(FakeClock):
    """Each look is a little later: clocks of several machines are never the same."""

    def __call__(self) -> datetime:
        return self.advance(seconds=0.0007)


def command_of(id: str, key: str) -> tuple[Command, Actor]:
    """What is asked under a key: the same for whoever uses it."""
    dice = random.Random(f"{id}:{key}")
    _, by, made = dice.choices(COMMANDS, [weight for weight, _, _ in COMMANDS])[0]
    return made(dice), by


def start_of(id: str) -> Start:
    dice = random.Random(id)
    return Start(
        customer="contoso",
        plan=dice.choice(PLANS),
        payment_method=dice.choice(METHODS),
        quantity=dice.choice((1, 1, 3)),
        recurring_billing=dice.random() < 0.6,
        time_zone=dice.choice(("UTC", "Europe/Amsterdam", "Pacific/Apia")),
    )


@attrs.define
class Life:
    """`ids`: the subscriptions to work on. `count` is told how each thing ended."""

    subs: Subscriptions
    gateway: Gateway
    clock: FakeClock
    dice: random.Random
    ids: Sequence[str]
    count: Callable[[str], None]

    def step(self) -> None:
        """One thing that a service, a timer or a webhook does."""
        match self.dice.random():
            case chance if chance < 0.12:
                self._sweep()
            case chance if chance < 0.27:
                self._hear()
            case _:
                self._ask()

    def _ask(self) -> None:
        id = self.dice.choice(self.ids)
        # Few keys: they are often used again, also by another process, also for something that is open.
        keys = [f"key {self.dice.randrange(80)}" for _ in range(6)]
        stored = self.subs.store.load(id, None)
        if stored is None:
            self._told(lambda: self.subs.execute(id, start_of(id), by=ALICE, idempotency_key="start"))
            return
        subscription = self.subs.lifecycle.known(stored.subscription)
        for key in keys:
            command, by = command_of(id, key)
            if not self.subs.lifecycle.explain(subscription, command, by=by, at=self.clock()):
                break
        if self.dice.random() < 0.03:
            command = Reactivate(METHODS[0])
        self._told(lambda: self.subs.execute(id, command, by=by, idempotency_key=key))

    def _sweep(self) -> None:
        self.clock.advance(hours=self.dice.choice((0, 1)))
        report = self.subs.sweep(limit=self.dice.choice((None, 1, 3)))
        for _, error in report.failed:
            if not isinstance(error, LifecycleError):
                raise error
        self.count("sweeps")

    def _hear(self) -> None:
        """A bank decides, and the gateway reports it, perhaps twice, perhaps not at all."""
        chance = self.dice.random()
        back = chance < 0.15
        found = self.gateway.captured() if back else self.gateway.pending()
        if not found:
            return
        reference = self.dice.choice(found)
        outcome: PaymentOutcome = Captured(f"ch_{reference}", self.clock())
        if back:
            if not self._known(reference):
                # A chargeback comes weeks after the money.
                return
            outcome = ChargedBack(f"ch_{reference}")
        elif chance > 0.75:
            outcome = Declined("authentication_failed")
        outcome = self.gateway.settle(reference, outcome)
        for _ in range(self.dice.choice((0, 1, 1, 2))):
            self._told(lambda: self.subs.report_payment(reference, outcome))

    def _known(self, reference: str) -> bool:
        id = self.subs.store.find(reference)
        payments = (entry.payment for entry in (() if id is None else self.subs.store.history(id)) if entry.payment)
        return any(payment.reference == reference and payment.status == "captured" for payment in payments)

    def _told(self, act: Callable[[], Any]) -> None:
        try:
            result = act()
        except LifecycleError as error:
            self.count(how_it_ended(error))
        else:
            self.count("applied" if isinstance(result, Applied) else "awaiting")
            assert isinstance(result, Applied | AwaitingPayment)


def how_it_ended(error: LifecycleError) -> str:
    match error:
        case PaymentDeclined():
            return "declined"
        case Refused():
            return "refused"
        case PaymentInProgress():
            return "in progress"
        case ConcurrentChange():
            return "concurrent"
        case UnknownPayment():
            # The ledger of the gateway knows payments whose intent is not on record: that is what it must never have.
            return "unknown payment"
        case _ if error.code == "idempotency_key_reused":
            return "key reused"
        case _:
            return "other"


def settled(subs: Subscriptions, gateway: Gateway, clock: FakeClock, sweeps: int = 6) -> int:
    """The gateway is calm, every bank has decided, every webhook came: sweeps until nothing is left. How many."""
    gateway.calm()
    for reference in gateway.pending():
        gateway.settle(reference, Captured(f"ch_{reference}", clock()))
    for reference, outcome in gateway.decided():
        subs.report_payment(reference, outcome)
    for number in range(sweeps):
        report = subs.sweep()
        for id, error in report.failed:
            error.add_note(f"sweeping {id}")
            raise error
        if not report.examined and not report.entries and not report.delivered:
            return number
        clock.advance(minutes=1)
    raise AssertionError(f"{sweeps} sweeps and not quiet: {report}")
