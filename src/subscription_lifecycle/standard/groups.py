"""What many rows share: their sources, their guards, what they remind of."""

# fmt: off
# A row is read across: the formatter would give every column a line of its own.
from __future__ import annotations

from subscription_lifecycle.standard.causes import (
    CUSTOMER,
    DUNNING,
    PAUSE,
)
from subscription_lifecycle.standard.guards import (
    arrears_are_not_put_on_an_invoice,
    bank_account_is_accepted,
    full_refund_is_in_time,
    invoice_is_offered,
    may_manage_billing,
    may_support,
    payment_method_is_given,
    payment_method_is_known,
    refund_is_the_first_of_the_period,
    self_service_is_offered,
    something_is_owed,
)
from subscription_lifecycle.standard.limits import (
    cycles_are_left,
    earlier_start_is_possible,
    no_earlier_start_is_asked_for,
    period_is_kept_or_refused,
    reactivation_is_in_time,
)
from subscription_lifecycle.standard.reminders import (
    buys_few_days,
    recurring_billing_is_off,
)
from subscription_lifecycle.standard.states import (
    ACTIVE,
    CANCELLED,
    DISABLED,
    EXPIRED,
    PAST_DUE,
    PAUSED,
    SCHEDULED,
    TRIALING,
)

LIVING = (SCHEDULED, TRIALING, ACTIVE, PAST_DUE, PAUSED, EXPIRED, DISABLED, CANCELLED)
RUNNING = (SCHEDULED, TRIALING, ACTIVE, PAST_DUE, PAUSED)
METHOD = (bank_account_is_accepted, invoice_is_offered)
ENDED = (CUSTOMER, DUNNING, PAUSE)
PAID = (payment_method_is_known, *METHOD)
BY_CUSTOMER = (may_manage_billing, self_service_is_offered, payment_method_is_given, *METHOD,
               arrears_are_not_put_on_an_invoice, reactivation_is_in_time, period_is_kept_or_refused)
PAYING = (may_manage_billing, something_is_owed, payment_method_is_known, *METHOD, arrears_are_not_put_on_an_invoice)
PAID_BY_ANY = (*METHOD, arrears_are_not_put_on_an_invoice)
REFUNDS = (full_refund_is_in_time, refund_is_the_first_of_the_period)
SAME_PERIOD = (*BY_CUSTOMER, no_earlier_start_is_asked_for)
NEXT_PERIOD = (*SAME_PERIOD, cycles_are_left)
NEW_PERIOD = (*BY_CUSTOMER, earlier_start_is_possible, cycles_are_left)
BY_SUPPORT = (may_support, *METHOD, period_is_kept_or_refused, no_earlier_start_is_asked_for)
REACTIVATED = (recurring_billing_is_off, buys_few_days)
