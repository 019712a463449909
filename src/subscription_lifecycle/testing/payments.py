"""What payments, refunds and invoices do in a random life, whatever anybody wants."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from subscription_lifecycle.errors import LifecycleError
from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    Captured,
    ChargebackReversed,
    ChargedBack,
    Declined,
    PaymentOutcome,
    Processing,
)
from subscription_lifecycle.ports import Stored
from subscription_lifecycle.standard.commands import Refund, ReportInvoice
from subscription_lifecycle.testing import strategies
from subscription_lifecycle.testing.fakes import FakeClock, FakeGateway
from subscription_lifecycle.testing.faults import MortalSubscriptions

ID = "sub_1"
_REPORTERS = (strategies.SUPPORT, strategies.SUPPORT, strategies.SUPPORT, strategies.ALICE)


class Payments(RuleBasedStateMachine):
    """The part of `LifecycleMachine` in which money moves."""

    lifecycle: Lifecycle
    commands: Mapping[type[Command], st.SearchStrategy[Any]]
    clock: FakeClock
    gateway: FakeGateway
    subs: MortalSubscriptions
    keys: int
    customers_only: bool
    disputes: dict[str, bool]

    @rule(fate=st.sampled_from(strategies.FATES))
    def next_payment(self, fate: str) -> None:
        match fate:
            case "decline":
                self.gateway.decline_next()
            case "decline hard":
                self.gateway.decline_next(code="stolen_card", retryable=False)
            case "action":
                self.gateway.require_action_next()
            case "process":
                self.gateway.process_next()
            case "other amount":
                self.gateway.take_next(Money(7, "EUR"))
            case _:
                self.gateway.time_out_next(charged=fate == "time out charged")

    @rule(paid=st.sampled_from((True, True, False, None)), twice=st.booleans())
    def gateway_reports(self, paid: bool | None, twice: bool) -> None:
        """Of the last payment that is open: it came, did not, or (None) is still under way."""
        before, moved = self._stored(), self._moved()
        if not self._open_payments():
            return
        reference = self._open_payments()[-1]
        captured = Captured(f"ch_{reference}", self.clock(), self._taken(reference))
        outcome: PaymentOutcome = captured if paid or captured.amount else Declined("authentication_failed")
        if paid is None and not captured.amount:
            outcome = Processing(f"ch_{reference}")
        self.gateway.report(reference, outcome)
        for _ in range(1 + twice):
            self.subs.report_payment(reference, outcome)
        self._check(f"report {outcome}", before, moved=moved)

    @rule()
    def an_operator_gives_a_wrong_sum_back(self) -> None:
        before, moved = self._stored(), self._moved()
        if before.attempt is None or before.attempt.payment.status != "mismatched":
            return
        reference, outcome = before.attempt.reference, Declined("given_back")
        self.gateway.captures = [capture for capture in self.gateway.captures if capture.reference != reference]
        self.gateway.report(reference, outcome)
        self.subs.report_payment(reference, outcome)
        self._check(f"report {outcome}", before, moved=moved)

    @rule(data=st.data(), returned=st.sampled_from((None, "before", "after")), stale=st.booleans(), twice=st.booleans())
    def the_bank_takes_it_back(self, data: st.DataObject, returned: str | None, stale: bool, twice: bool) -> None:
        """A payment is disputed, once or more, and perhaps that is undone; heard of in any order, perhaps twice."""
        paid = [capture.reference for capture in self.gateway.captures]
        if not paid:
            return
        before, moved = self._stored(), self._moved()
        reference = data.draw(st.sampled_from(paid), "reference")
        id = f"dp_{data.draw(st.integers(1, 2), 'dispute')}_{reference}"
        self.disputes[id] = self.disputes.get(id, False) or returned is not None
        dispute, undone = ChargedBack(id), ChargebackReversed(id)
        told: list[PaymentOutcome] = [dispute]
        if returned is not None:
            told.insert(1 if returned == "after" else 0, undone)
        open_ones = [other for other, won in self.disputes.items() if other.endswith(reference) and not won]
        self.gateway.report(reference, ChargedBack(open_ones[0]) if open_ones else undone)
        if stale:
            told.append(Captured(f"ch_{reference}", self.clock(), self._taken(reference)))
        for outcome in told * (1 + twice):
            self.subs.report_payment(reference, outcome)
        self.customers_only = False
        self._check(f"{' and '.join(str(outcome) for outcome in told)}", before, moved=moved)

    @rule(data=st.data())
    def it_comes_after_all(self, data: st.DataObject) -> None:
        """What a bank declined, or could not collect, is captured later."""
        ledger = self.gateway.ledger.items()
        failed = [reference for reference, told in ledger if isinstance(told, Declined) and told.code != "voided"]
        failed = [reference for reference in failed if self._taken(reference) is None]
        if not failed:
            return
        before, moved = self._stored(), self._moved()
        reference = data.draw(st.sampled_from(failed), "reference")
        outcome = Captured(f"ch_{reference}", self.clock())
        self.gateway.report(reference, outcome)
        self.subs.report_payment(reference, outcome)
        self.customers_only = False
        self._check(f"after all {outcome}", before, moved=moved)

    @rule(data=st.data(), fails=st.booleans())
    def money_goes_back(self, data: st.DataObject, fails: bool) -> None:
        """Support refunds a payment, and perhaps the refund does not arrive."""
        paid = [capture.reference for capture in self.gateway.captures]
        if not paid or Refund not in self.commands:
            return
        before, moved = self._stored(), self._moved()
        reference = data.draw(st.sampled_from(paid), "reference")
        self.keys += 1
        self._acts(strategies.SUPPORT)
        with contextlib.suppress(LifecycleError):
            self.subs.execute(ID, Refund(reference), by=strategies.SUPPORT, idempotency_key=f"key-{self.keys}")
        if fails and any(refund.reference == reference for refund in self.gateway.refunds):
            self.subs.report_payment(reference, self.gateway.fail_refund(reference))
        self._check(f"refund {reference}", before, moved=moved)

    @rule(refused=st.booleans())
    def refunds_wait(self, refused: bool) -> None:
        """The gateway takes none on, or does again."""
        self.gateway.refuse_refunds("no funds" if refused else None)

    # What invoices do

    @rule(number=st.integers(1, 3), paid=st.booleans(), by=st.sampled_from(_REPORTERS))
    def an_invoice_is_reported(self, number: int, paid: bool, by: Actor) -> None:
        """The host puts on it what is not on one yet, and says that it was paid, or was not; perhaps one, then both."""
        if ReportInvoice not in self.lifecycle.commands:
            return
        before, moved = self._stored(), self._moved()
        invoice = f"invoice_{number}"
        if not self.subs.take_invoice_lines(customer=strategies.CUSTOMER_ID, invoice=invoice):
            return
        self.keys += 1
        self._acts(by)
        told = f"{invoice} was {'paid' if paid else 'not paid'}, by {by}"
        try:
            self.subs.report_invoice(invoice, paid=paid, by=by, idempotency_key=f"invoice-{self.keys}")
        except LifecycleError as error:
            told += f": {error}"
        self._check(told, before, moved=moved)

    # Looking

    def _open_payments(self) -> list[str]:
        ledger = self.gateway.ledger.items()
        return [reference for reference, outcome in ledger if not isinstance(outcome, Captured | Declined)]

    def _taken(self, reference: str) -> Money | None:
        taken = [capture.amount for capture in self.gateway.captures if capture.reference == reference]
        return taken[0] if taken else None

    @abstractmethod
    def _acts(self, by: Actor) -> None: ...

    @abstractmethod
    def _stored(self) -> Stored: ...

    @abstractmethod
    def _moved(self) -> tuple[int, int]: ...

    @abstractmethod
    def _check(self, what: str, before: Stored, *, moved: tuple[int, int] | None = None, **found: Any) -> None: ...
