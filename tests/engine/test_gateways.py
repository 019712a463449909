"""The suite for gateways passes on the fake one, and fails on gateways that break a promise."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime

import attrs
import pytest

from subscription_lifecycle import Money, PaymentMethod
from subscription_lifecycle.ports import Captured, CaptureRequest, Declined, LedgerLine, PaymentOutcome, Refunded
from subscription_lifecycle.testing import FakeGateway, check_gateway

STOLEN = PaymentMethod.card("tok_stolen", country="NL")


class Choosy(FakeGateway):
    """Declines one card."""

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        if request.payment_method == STOLEN and request.reference not in self.ledger:
            self.decline_next(code="stolen_card", retryable=False)
        return super().capture(request)


def test_the_fake_gateway_keeps_every_promise() -> None:
    check_gateway(Choosy, declined=STOLEN)


class Forgetful(Choosy):
    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        outcome = super().capture(request)
        return (
            attrs.evolve(outcome, gateway_id=f"ch_{len(self.requests)}") if isinstance(outcome, Captured) else outcome
        )


class Guessing(Choosy):
    def find(self, reference: str, /) -> PaymentOutcome | None:
        return super().find(reference) or Declined("unknown")


class Generous(Choosy):
    def refund(self, reference: str, amount: Money, /) -> Refunded:
        return Refunded("re_anything")


class Repeating(Choosy):
    def refund(self, reference: str, amount: Money, /) -> Refunded:
        super().refund(reference, amount)
        self.count = getattr(self, "count", 0) + 1
        return Refunded(f"re_{self.count}")


class Hopeful(Choosy):
    def void(self, reference: str, /) -> bool:
        return True


class Lost(Choosy):
    def find(self, reference: str, /) -> PaymentOutcome | None:
        return None


class Erring(Choosy):
    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        if request.reference not in self.ledger:
            self.take_next(request.amount * 2)
        return super().capture(request)


class Overpaying(Choosy):
    """Gives back whatever it is asked to."""

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        return super().refund(reference, min(amount, *(capture.amount for capture in self.captures)))


class Open(Choosy):
    """Its ledger tells everything that it did."""

    def payments(self, since: datetime, /) -> Iterable[LedgerLine]:
        for line in super().payments(since):
            taken = sum(capture.amount.minor for capture in self.captures if capture.reference == line.reference)
            given = sum(refund.amount.minor for refund in self.refunds if refund.reference == line.reference)
            currency = line.captured.currency
            yield attrs.evolve(line, captured=Money(taken, currency), refunded=Money(given, currency))


class RefundingTwice(Open):
    """Answers alike, and gives the money again."""

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        made = [refund for refund in self.refunds if refund.reference == reference]
        answer = super().refund(reference, made[0].amount if made else amount)
        self.refunds += made
        return answer


class OneMemoryPerThread(Open):
    """Knows what it charged in this thread."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = threading.local()

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        charged = self.mine.__dict__.setdefault("charged", set())
        if request.reference not in charged and request.reference in self.ledger:
            self._took(request)
        charged.add(request.reference)
        return super().capture(request)


class Secretive(Choosy):
    def payments(self, since: datetime, /) -> Iterable[LedgerLine]:
        return []


class Blind(Choosy):
    """Its ledger does not know of refunds."""

    def payments(self, since: datetime, /) -> Iterable[LedgerLine]:
        return [attrs.evolve(line, refunded=Money.zero("EUR")) for line in super().payments(since)]


class Untold(Choosy):
    """Its ledger does not know how payments ended."""

    def payments(self, since: datetime, /) -> Iterable[LedgerLine]:
        return [attrs.evolve(line, outcome=Declined("unknown")) for line in super().payments(since)]


class Doubled(Choosy):
    def payments(self, since: datetime, /) -> Iterable[LedgerLine]:
        for line in super().payments(since):
            yield line
            yield attrs.evolve(line, captured=Money.zero("EUR"), refunded=Money.zero("EUR"))


class Unstoppable(Choosy):
    """Says that it stopped a payment, and makes it when asked again."""

    def void(self, reference: str, /) -> bool:
        return not isinstance(self.ledger.get(reference), Captured)


class Retrying(Choosy):
    """Charges a declined card again, and it works."""

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        if isinstance(self.ledger.get(request.reference), Declined):
            self.report(request.reference, Captured("ch_again", self._clock()))
        return super().capture(request)


class Adding(Choosy):
    """Charges the difference to another amount."""

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        known = self._amounts.get(request.reference)
        if known is not None and known.amount != request.amount:
            return Captured("ch_more", self._clock())
        return super().capture(request)


class Undecided(Choosy):
    """Whoever asks from another thread is told another name."""

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        outcome = super().capture(request)
        mine = threading.current_thread() is threading.main_thread()
        return outcome if mine or not isinstance(outcome, Captured) else attrs.evolve(outcome, gateway_id="ch_other")


class ToppingUp(Choosy):
    """Takes another amount for another refund."""

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        made = [refund for refund in self.refunds if refund.reference == reference]
        return Refunded("re_more") if made and made[0].amount != amount else super().refund(reference, amount)


class Charitable(Choosy):
    """Refunds declines."""

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        return (
            Refunded("re_1") if isinstance(self.ledger.get(reference), Declined) else super().refund(reference, amount)
        )


class Inventive(Choosy):
    """A refund that it refuses is a payment from then on."""

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        self.ledger.setdefault(reference, Declined("unknown"))
        return super().refund(reference, amount)


class Undoing(Choosy):
    def void(self, reference: str, /) -> bool:
        stopped = super().void(reference)
        self.ledger[reference] = Declined("voided", retryable=False)
        return stopped


class Pretending(Choosy):
    """Says that a voided payment was declined, and that it was captured."""

    def find(self, reference: str, /) -> PaymentOutcome | None:
        found = super().find(reference)
        return Captured("ch_1", self._clock()) if isinstance(found, Declined) and found.code == "voided" else found


class Forgiving(Choosy):
    """Forgets declines."""

    def find(self, reference: str, /) -> PaymentOutcome | None:
        found = super().find(reference)
        return None if isinstance(found, Declined) else found


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (Forgetful, "same payment"),
        (Guessing, "never asked for"),
        (Generous, "never captured"),
        (Repeating, "same refund"),
        (Hopeful, "was captured"),
        (Lost, "by our reference"),
        (Erring, "capture took"),
        (Overpaying, "more than was captured"),
        (RefundingTwice, "was refunded, and the ledger says"),
        (OneMemoryPerThread, "was asked for, and the ledger says"),
        (Secretive, "must list what was captured"),
        (Blind, "was refunded, and the ledger says"),
        (Untold, "must know the capture"),
        (Doubled, "list a payment once"),
        (Unstoppable, "must not be captured later"),
        (Retrying, "must stay declined"),
        (Adding, "another amount under the same reference"),
        (Undecided, "asked by several at once"),
        (ToppingUp, "another amount for the same refund"),
        (Charitable, "raise for a decline"),
        (Inventive, "must not make a payment"),
        (Undoing, "must not undo"),
        (Pretending, "must not be found captured"),
        (Forgiving, "must know the decline"),
        (FakeGateway, "must return a decline"),
    ],
)
def test_a_gateway_that_breaks_a_promise_is_named(broken: type[FakeGateway], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_gateway(broken, declined=STOLEN)
