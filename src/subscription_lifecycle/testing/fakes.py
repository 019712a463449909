"""A clock that moves only when told, and a gateway that keeps its ledger and does what it is told next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

import attrs

from subscription_lifecycle.errors import InvalidValue
from subscription_lifecycle.model import validation
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    ActionRequired,
    Captured,
    CaptureRequest,
    ChargebackReversed,
    ChargedBack,
    Declined,
    PaymentOutcome,
    Processing,
    Refunded,
    RefundFailed,
)
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.ports import LedgerLine

START = "2024-01-01T00:00:00Z"


class FakeClock:
    """`FakeClock("2026-01-31T09:00Z")`: call it for the time (UTC); `advance` and `set` move it, also backwards."""

    def __init__(self, instant: str | datetime = START) -> None:
        self._now = _instant(instant)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        self._now += timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return self._now

    def set(self, instant: str | datetime) -> datetime:
        self._now = _instant(instant)
        return self._now


def _instant(instant: str | datetime) -> datetime:
    if isinstance(instant, str):
        try:
            instant = datetime.fromisoformat(instant)
        except ValueError:
            raise InvalidValue("instant", f"{instant!r} is no ISO 8601 instant", 'Write "2026-01-31T09:00Z".') from None
    return validation.instant("instant", instant)


@attrs.frozen
class Capture:
    """Money that was taken: our reference, how much, by what, from whom, when."""

    reference: str
    amount: Money
    payment_method: PaymentMethod
    customer: str
    subscription: str
    at: datetime


@attrs.frozen
class Refund:
    """Money that went back, of which payment."""

    reference: str
    amount: Money


class FakeGateway:
    """Remembers each reference for ever: asked again, it answers again and moves nothing.

    `captures` and `refunds` are what moved; `ledger` is the last outcome by reference. What is told with `…_next`
    happens to the next new payments, in the order told. Asking again with another amount is an error, as at a real one.
    """

    idempotency_window: timedelta | None = None

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self.captures: list[Capture] = []
        self.refunds: list[Refund] = []
        self.ledger: dict[str, PaymentOutcome] = {}
        self.requests: list[CaptureRequest] = []
        self._amounts: dict[str, CaptureRequest] = {}
        self._asked_at: dict[str, datetime] = {}
        self._next: list[str | Declined | Money] = []
        self._failed_refunds = 0
        self._refusing: str | None = None
        self._clock = clock or (lambda: datetime(2024, 1, 1, tzinfo=UTC))
        self._lock = threading.RLock()

    # -- told by a test

    def decline_next(self, *, code: str = "insufficient_funds", retryable: bool = True) -> None:
        self._next.append(Declined(code, retryable))

    def require_action_next(self) -> None:
        self._next.append("action")

    def process_next(self) -> None:
        self._next.append("process")

    def time_out_next(self, charged: bool) -> None:
        """The next answer is lost; `charged` says whether the money moved all the same."""
        self._next.append("time out charged" if charged else "time out")

    def take_next(self, amount: Money) -> None:
        """The next payment takes this amount instead of what is asked: a gateway that errs."""
        self._next.append(amount)

    def refuse_refunds(self, why: str | None = "no funds") -> None:
        """Refunds raise from now on; None: they are made again."""
        self._refusing = why

    def fail_refund(self, reference: str) -> RefundFailed:
        """A refund that was taken on does not arrive after all: the report of it."""
        with self._lock:
            self.refunds = [refund for refund in self.refunds if refund.reference != reference]
            self._failed_refunds += 1
            return RefundFailed(f"re_{reference}_{self._failed_refunds}")

    def forget(self) -> None:
        """Whatever was told and has not happened yet will not."""
        self._next.clear()
        self._refusing = None

    def report(self, reference: str, outcome: PaymentOutcome) -> None:
        """What the gateway itself comes to know later: the ledger says so from now on."""
        with self._lock:
            known = any(capture.reference == reference for capture in self.captures)
            if isinstance(outcome, Captured) and not known:
                self._took(self._amounts[reference])
            self.ledger[reference] = outcome

    # -- the port

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        with self._lock:
            self.requests.append(request)
            known = self._amounts.setdefault(request.reference, request)
            if known.amount != request.amount or known.payment_method != request.payment_method:
                raise RuntimeError(f"{request.reference} was asked before with other content")
            if request.reference in self.ledger:
                return self.ledger[request.reference]
            self._asked_at.setdefault(request.reference, self._clock())
            told = self._next.pop(0) if self._next else "capture"
            if told == "time out":
                del self._amounts[request.reference], self._asked_at[request.reference]
                raise TimeoutError("the gateway did not answer")
            outcome = self._outcome(request, told)
            self.ledger[request.reference] = outcome
            if told == "time out charged":
                raise TimeoutError("the gateway's answer was lost")
            return outcome

    def find(self, reference: str, /) -> PaymentOutcome | None:
        with self._lock:
            return self.ledger.get(reference)

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        with self._lock:
            if self._refusing is not None:
                raise RuntimeError(f"the refund of {reference} was refused: {self._refusing}")
            if not any(refund.reference == reference for refund in self.refunds):
                taken = [capture.amount for capture in self.captures if capture.reference == reference]
                if not taken or amount > taken[0]:
                    raise RuntimeError(f"{amount} cannot be refunded of {reference}")
                self.refunds.append(Refund(reference, amount))
            return Refunded(f"re_{reference}")

    def void(self, reference: str, /) -> bool:
        with self._lock:
            if isinstance(self.ledger.get(reference), Captured | ChargedBack | ChargebackReversed):
                return False
            self.ledger[reference] = Declined("voided", retryable=False, gateway_id=f"ch_{reference}")
            return True

    def payments(self, since: datetime, /) -> Iterable[LedgerLine]:
        with self._lock:
            return [self._line(reference) for reference, at in self._asked_at.items() if at >= since]

    # -- inside

    def _line(self, reference: str) -> LedgerLine:
        zero = Money.zero(self._amounts[reference].amount.currency)
        taken = [capture.amount for capture in self.captures if capture.reference == reference]
        given = [refund.amount for refund in self.refunds if refund.reference == reference]
        return LedgerLine(
            reference,
            f"ch_{reference}",
            self.ledger[reference],
            taken[0] if taken else zero,
            given[0] if given else zero,
            self._asked_at[reference],
        )

    def _outcome(self, request: CaptureRequest, told: str | Declined | Money) -> PaymentOutcome:
        gateway_id = f"ch_{request.reference}"
        if isinstance(told, Declined):
            return attrs.evolve(told, gateway_id=gateway_id)
        if told == "action":
            return ActionRequired(gateway_id, {"type": "redirect", "url": f"https://bank.example/{gateway_id}"})
        if told == "process":
            return Processing(gateway_id)
        if isinstance(told, Money):
            self._took(attrs.evolve(request, amount=told))
            return Captured(gateway_id, self._clock(), told)
        self._took(request)
        return Captured(gateway_id, self._clock())

    def _took(self, request: CaptureRequest) -> None:
        self.captures.append(
            Capture(
                request.reference,
                request.amount,
                request.payment_method,
                request.customer,
                request.subscription,
                self._clock(),
            )
        )

    def moved(self, kind: Literal["captured", "refunded"]) -> dict[str, int]:
        """The sum that moved, in minor units by currency."""
        sums: dict[str, int] = {}
        for item in self.captures if kind == "captured" else self.refunds:
            sums[item.amount.currency] = sums.get(item.amount.currency, 0) + item.amount.minor
        return sums
