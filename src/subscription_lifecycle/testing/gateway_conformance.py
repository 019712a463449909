"""What every payment gateway must keep, as one plain function."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import attrs

from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import Captured, CaptureRequest, Declined, PaymentOutcome, Refunded
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.ports import LedgerLine, ListingGateway, PaymentGateway, VoidingGateway

CARD = PaymentMethod.card("tok_visa", country="NL")
THREADS = 4


def check_gateway(
    make: Callable[[], PaymentGateway],
    *,
    method: PaymentMethod = CARD,
    declined: PaymentMethod | None = None,
    currency: str = "EUR",
) -> None:
    """Raise AssertionError, with a sentence, for a promise that a gateway of this maker does not keep.

    `method` is one that can be charged there; with `declined`, one that cannot, declines are looked at too. What the
    gateway may do besides (void, list its ledger) is looked at when it can. Needs a test account: money moves, about
    80 units of the currency, under references that no other run uses.
    """
    gateway, run = make(), f"check_{secrets.token_hex(6)}"
    amount = Money.of(20, currency)

    def request(name: str, by: PaymentMethod = method) -> CaptureRequest:
        return CaptureRequest(f"{run}_{name}", amount, by, "contoso", "sub_1", True, "check")

    _unknown(gateway, request("unknown"))
    once = _once(gateway, request("once"))
    _another_amount(gateway, request("once"), once)
    _at_once(gateway, request("at_once"))
    _refund(gateway, request("refund"))
    if declined is not None:
        _decline(gateway, request("declined", declined))
    if isinstance(gateway, VoidingGateway):
        _void(gateway, request("once"), request("voided"))


def _unknown(gateway: PaymentGateway, request: CaptureRequest) -> None:
    reference = request.reference
    assert gateway.find(reference) is None, "find must answer None for what was never asked for"
    assert _refused(lambda: gateway.refund(reference, request.amount)), (
        "refund must raise for a payment that was never captured"
    )
    assert gateway.find(reference) is None, "a refused refund must not make a payment"


def _once(gateway: PaymentGateway, request: CaptureRequest) -> Captured:
    first = gateway.capture(request)
    assert isinstance(first, Captured), f"the payment method can be charged, and capture answered {first!r}"
    assert first.at.utcoffset() is not None, "Captured.at must be an aware instant"
    assert first.amount in (None, request.amount), f"{request.amount} was asked for, and capture took {first.amount}"
    assert gateway.capture(request) == first, "the same reference again must be the same payment"
    assert gateway.find(request.reference) == first, "find must answer by our reference, as capture did"
    _listed(gateway, request, first, Money.zero(request.amount.currency))
    return first


def _another_amount(gateway: PaymentGateway, request: CaptureRequest, first: Captured) -> None:
    answers: list[PaymentOutcome] = []
    refused = _refused(lambda: answers.append(gateway.capture(attrs.evolve(request, amount=request.amount * 2))))
    assert refused or answers == [first], "another amount under the same reference must not be charged"
    _listed(gateway, request, first, Money.zero(request.amount.currency))


def _at_once(gateway: PaymentGateway, request: CaptureRequest) -> None:
    """Some may be told to come back; whoever is answered is answered the same, and the money moves once."""
    answers: list[PaymentOutcome] = []

    def capture(_: int) -> None:
        _refused(lambda: answers.append(gateway.capture(request)))

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(capture, range(THREADS)))
    settled = gateway.capture(request)
    assert isinstance(settled, Captured), f"asked by several at once, and then capture answered {settled!r}"
    assert all(answer == settled for answer in answers if isinstance(answer, Captured)), (
        "asked by several at once, the same reference must be the same payment"
    )
    _listed(gateway, request, settled, Money.zero(request.amount.currency))


def _refund(gateway: PaymentGateway, request: CaptureRequest) -> None:
    reference, captured = request.reference, gateway.capture(request)
    assert isinstance(captured, Captured), f"the payment method can be charged, and capture answered {captured!r}"
    assert _refused(lambda: gateway.refund(reference, request.amount * 2)), (
        "refund must raise for more than was captured"
    )
    part = request.amount.split(4)[-1]
    first = gateway.refund(reference, part)
    assert gateway.refund(reference, part) == first, "the same refund again must be the same refund"
    answers: list[Refunded] = []
    refused = _refused(lambda: answers.append(gateway.refund(reference, part * 2)))
    assert refused or answers == [first], "another amount for the same refund must not be refunded"
    _listed(gateway, request, captured, part)


def _decline(gateway: PaymentGateway, request: CaptureRequest) -> None:
    outcome = gateway.capture(request)
    assert isinstance(outcome, Declined), f"capture must return a decline, not {outcome!r}"
    assert isinstance(gateway.find(request.reference), Declined), "find must know the decline"
    assert isinstance(gateway.capture(request), Declined), "a declined payment must stay declined"
    assert _refused(lambda: gateway.refund(request.reference, request.amount)), "refund must raise for a decline"


def _void(gateway: PaymentGateway, captured: CaptureRequest, new: CaptureRequest) -> None:
    assert isinstance(gateway, VoidingGateway)
    assert not gateway.void(captured.reference), "void must not claim to have stopped what was captured"
    assert isinstance(gateway.find(captured.reference), Captured), "void must not undo what was captured"
    if gateway.void(new.reference):
        answers: list[PaymentOutcome] = []
        _refused(lambda: answers.append(gateway.capture(new)))
        assert not any(isinstance(answer, Captured) for answer in answers), (
            "what void stopped for certain must not be captured later"
        )
        assert not isinstance(gateway.find(new.reference), Captured), "what void stopped must not be found captured"


def _listed(gateway: PaymentGateway, request: CaptureRequest, captured: Captured, refunded: Money) -> None:
    """The ledger, where it can be read, has the payment once, with what moved."""
    if not isinstance(gateway, ListingGateway):
        return
    lines = _lines(gateway, request.reference, captured.at - timedelta(days=1))
    assert lines, "the ledger must list what was captured, by our reference"
    taken = sum(line.captured.minor for line in lines)
    assert taken == request.amount.minor, f"{request.amount} was asked for, and the ledger says {taken} minor units"
    given = sum(line.refunded.minor for line in lines)
    assert given == refunded.minor, f"{refunded} was refunded, and the ledger says {given} minor units"
    assert len(lines) == 1, "the ledger must list a payment once"
    assert isinstance(lines[0].outcome, Captured), f"the ledger must know the capture, not {lines[0].outcome!r}"


def _lines(gateway: ListingGateway, reference: str, since: datetime) -> list[LedgerLine]:
    return [line for line in gateway.payments(since) if line.reference == reference]


def _refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except Exception:
        return True
    return False
