"""One method per standard command, written once for every way of running: the result type is a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Generic, Literal, TypeVar

from subscription_lifecycle.model.actor import Actor
from subscription_lifecycle.model.charge import Terms
from subscription_lifecycle.model.command import Command
from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment_method import PaymentMethod
from subscription_lifecycle.model.plan import Plan
from subscription_lifecycle.model.schedule import BillingSchedule
from subscription_lifecycle.model.state import Cause
from subscription_lifecycle.model.subscription import Subscription
from subscription_lifecycle.standard import commands
from subscription_lifecycle.standard.causes import PROVIDER

R = TypeVar("R")


class StandardCommands(Generic[R]):
    """`execute` is the one verb; each other method makes its command and hands it over.

    All take `by`, who asks, and `idempotency_key`, which belongs to the subscription for ever: the same key with the
    same command gives the same answer and one effect. All raise what `execute` raises.
    """

    def execute(self, id: str, command: Command, *, by: Actor, idempotency_key: str, agreed: Terms | None = None) -> R:
        """The one verb: everything else on this page comes down to it."""
        raise NotImplementedError

    def start(
        self,
        id: str,
        *,
        customer: str,
        plan: Plan,
        payment_method: PaymentMethod | None = None,
        quantity: int = 1,
        start_on: date | None = None,
        schedule: BillingSchedule | None = None,
        time_zone: str = "UTC",
        recurring_billing: bool = True,
        policy: str = "default",
        metadata: Mapping[str, Any] = frozen_mapping({}),
        by: Actor,
        idempotency_key: str,
        agreed: Terms | None = None,
    ) -> R:
        """Begin a subscription; raises PaymentDeclined when its first payment is (it is then DELETED, entries kept)."""
        command = commands.Start(
            customer=customer,
            plan=plan,
            payment_method=payment_method,
            quantity=quantity,
            start_on=start_on,
            schedule=schedule,
            time_zone=time_zone,
            recurring_billing=recurring_billing,
            policy=policy,
            metadata=metadata,
        )
        return self.execute(id, command, by=by, idempotency_key=idempotency_key, agreed=agreed)

    def adopt(self, subscription: Subscription, *, by: Actor, idempotency_key: str) -> R:
        """Bring in one that already lives elsewhere; charges nothing; its history starts here."""
        command = commands.Adopt(subscription)
        return self.execute(subscription.id, command, by=by, idempotency_key=idempotency_key)

    def reactivate(
        self,
        id: str,
        *,
        payment_method: PaymentMethod | None,
        by: Actor,
        idempotency_key: str,
        agreed: Terms | None = None,
        keep_or_refuse: bool = False,
        start_on: date | None = None,
    ) -> R:
        """Bring service back; what it costs and which date follows depend on how service stopped."""
        command = commands.Reactivate(payment_method, keep_or_refuse=keep_or_refuse, start_on=start_on)
        return self.execute(id, command, by=by, idempotency_key=idempotency_key, agreed=agreed)

    def cancel(
        self,
        id: str,
        *,
        when: Literal["now", "term_end"] | date,
        refund: Literal["none", "prorated", "full"] = "none",
        by: Actor,
        idempotency_key: str,
    ) -> R:
        """End service now, at the term's end, or on a local day; recurring billing goes off."""
        return self.execute(id, commands.Cancel(when, refund), by=by, idempotency_key=idempotency_key)

    def pause(
        self,
        id: str,
        *,
        when: Literal["now", "period_end"] | date = "now",
        until: date | None = None,
        by: Actor,
        idempotency_key: str,
    ) -> R:
        """Interrupt service for a while; it resumes by itself on the local day `until`, or when policy says."""
        return self.execute(id, commands.Pause(when, until), by=by, idempotency_key=idempotency_key)

    def resume(
        self,
        id: str,
        *,
        payment_method: PaymentMethod | None = None,
        by: Actor,
        idempotency_key: str,
        agreed: Terms | None = None,
    ) -> R:
        """End a pause, or withdraw one; what that does to dates and money is policy `resume`."""
        command = commands.Resume(payment_method)
        return self.execute(id, command, by=by, idempotency_key=idempotency_key, agreed=agreed)

    def extend_trial(self, id: str, *, until: date | None = None, by: Actor, idempotency_key: str) -> R:
        """Give a trial more days, once."""
        return self.execute(id, commands.ExtendTrial(until), by=by, idempotency_key=idempotency_key)

    def convert_trial(
        self,
        id: str,
        *,
        payment_method: PaymentMethod | None = None,
        by: Actor,
        idempotency_key: str,
        agreed: Terms | None = None,
    ) -> R:
        """End a trial early: the first paid period begins today."""
        command = commands.ConvertTrial(payment_method)
        return self.execute(id, command, by=by, idempotency_key=idempotency_key, agreed=agreed)

    def set_recurring_billing(self, id: str, *, on: bool, by: Actor, idempotency_key: str) -> R:
        """Switch recurring billing."""
        return self.execute(id, commands.SetRecurringBilling(on), by=by, idempotency_key=idempotency_key)

    def disable(self, id: str, *, cause: Cause = PROVIDER, reason: str = "", by: Actor, idempotency_key: str) -> R:
        """Interrupt service; PROVIDER is the provider's block."""
        return self.execute(id, commands.Disable(cause, reason), by=by, idempotency_key=idempotency_key)

    def enable(self, id: str, *, reason: str = "", by: Actor, idempotency_key: str) -> R:
        """Lift the provider's block."""
        return self.execute(id, commands.Enable(reason), by=by, idempotency_key=idempotency_key)

    def delete(self, id: str, *, by: Actor, idempotency_key: str) -> R:
        """End it for good."""
        return self.execute(id, commands.Delete(), by=by, idempotency_key=idempotency_key)

    def change_payment_method(self, id: str, *, payment_method: PaymentMethod, by: Actor, idempotency_key: str) -> R:
        """Put another payment method on file."""
        return self.execute(id, commands.ChangePaymentMethod(payment_method), by=by, idempotency_key=idempotency_key)

    def pay_arrears(
        self,
        id: str,
        *,
        payment_method: PaymentMethod | None = None,
        by: Actor,
        idempotency_key: str,
        agreed: Terms | None = None,
    ) -> R:
        """Pay everything that is owed."""
        command = commands.PayArrears(payment_method)
        return self.execute(id, command, by=by, idempotency_key=idempotency_key, agreed=agreed)

    def retry_payment(self, id: str, *, by: Actor, idempotency_key: str) -> R:
        """Collect what is owed by the method on file."""
        return self.execute(id, commands.RetryPayment(), by=by, idempotency_key=idempotency_key)

    def write_off(self, id: str, *, reason: str = "", by: Actor, idempotency_key: str) -> R:
        """Give up collecting what is owed; service ends where it went on."""
        return self.execute(id, commands.WriteOff(reason), by=by, idempotency_key=idempotency_key)

    def refund(
        self,
        id: str,
        *,
        reference: str,
        amount: Money | None = None,
        reason: str = "",
        by: Actor,
        idempotency_key: str,
    ) -> R:
        """Give money of one payment back, all of it or an amount; once a payment."""
        command = commands.Refund(reference, amount, reason)
        return self.execute(id, command, by=by, idempotency_key=idempotency_key)

    def forgive_arrears(self, id: str, *, reason: str = "", by: Actor, idempotency_key: str) -> R:
        """Let go of everything that is owed."""
        return self.execute(id, commands.ForgiveArrears(reason), by=by, idempotency_key=idempotency_key)

    def correct(
        self,
        id: str,
        *,
        reason: str = "",
        next_billing_date: date | None = None,
        term_end: date | None = None,
        until: date | None = None,
        credit: Money | None = None,
        metadata: Mapping[str, Any] | None = None,
        by: Actor,
        idempotency_key: str,
    ) -> R:
        """Set right what is wrong on record."""
        command = commands.Correct(
            reason=reason,
            next_billing_date=next_billing_date,
            term_end=term_end,
            until=until,
            credit=credit,
            metadata=metadata,
        )
        return self.execute(id, command, by=by, idempotency_key=idempotency_key)

    def renew(self, id: str, *, by: Actor, idempotency_key: str) -> R:
        """Bill the next period, when it is due: the clock's."""
        return self.execute(id, commands.Renew(), by=by, idempotency_key=idempotency_key)

    def expire(self, id: str, *, by: Actor, idempotency_key: str) -> R:
        """End the term, when it is over: the clock's."""
        return self.execute(id, commands.Expire(), by=by, idempotency_key=idempotency_key)
