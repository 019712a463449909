"""The standard lifecycle: nothing but rows, to pin to the wall.

A row reads: command, from, to; which of several applies (cause, date, term, case); who and what may refuse; what is
charged and where a decline leads; where billing and commitment stand afterwards; the deadline of the state entered;
when the clock takes it; what else changes. `assumed` marks effects that the founding article does not state.
"""

# fmt: off
# A row is read across: the formatter would give every column a line of its own.
from __future__ import annotations

from typing import Final

from subscription_lifecycle.machine.lifecycle import Lifecycle
from subscription_lifecycle.machine.transition import INTERRUPTED_STATE, SAME_STATE, Transition
from subscription_lifecycle.model.command import FailPayment, SettlePayment
from subscription_lifecycle.standard.billing_dates import (
    advanced,
    extended,
    new_term,
    next_period,
    next_term,
    next_term_when_over,
    renews_today,
    restarted,
    term_from_today,
)
from subscription_lifecycle.standard.causes import CUSTOMER, LAPSED, NON_PAYMENT, PROVIDER
from subscription_lifecycle.standard.charges import (
    all_forgiven,
    all_owed,
    arrears,
    invoice_paid,
    one_period,
    recharge,
    rest_of_period,
    unserved_days,
    what_it_pays,
)
from subscription_lifecycle.standard.claims import one_trial_per_plan
from subscription_lifecycle.standard.commands import (
    Adopt,
    Cancel,
    CancelAsScheduled,
    ChangePaymentMethod,
    Correct,
    Delete,
    Disable,
    Enable,
    Expire,
    ForgiveArrears,
    PayArrears,
    Reactivate,
    Refund,
    Renew,
    ReportInvoice,
    RetryPayment,
    SetRecurringBilling,
    Start,
    WriteOff,
)
from subscription_lifecycle.standard.due_dates import (
    billing_date,
    billing_date_within_retries,
    cancelled_window,
    date_of_cancellation,
    deadline,
    deadline_if_settled,
    deadline_it_had,
    deadline_of_the_state,
    disabled_window,
    end_of_retries,
    end_of_service,
    end_of_service_now,
    end_of_term,
    end_of_trial,
    end_of_unconverted_trial,
    expired_window,
    first_billing_date,
    next_retry,
    no_deadline,
    no_end_of_service,
    retries,
)
from subscription_lifecycle.standard.effects import (
    choose_payment_method,
    correct,
    end_recurring_billing,
    forget_refunded,
    give_back_a_payment,
    give_back_the_rest,
    hold_the_clock,
    owe_the_invoice,
    owe_the_period,
    owe_what_was_paid,
    refund_as_asked,
    refund_as_scheduled,
    release_the_clock,
    schedule_cancellation,
    set_recurring_billing,
    settle_the_invoice,
)
from subscription_lifecycle.standard.guards import (
    arrears_are_not_put_on_an_invoice,
    bank_account_is_accepted,
    cancellation_is_within_the_term,
    corrected_date_is_billable,
    corrected_term_is_possible,
    full_refund_is_in_time,
    invoice_is_offered,
    is_due,
    is_reported,
    may_manage_billing,
    may_manage_billing_or_is_due,
    may_support,
    nothing_is_refunded_at_the_end,
    payment_is_refundable,
    payment_method_is_given,
    payment_method_is_known,
    recurring_billing_is_on,
    refund_is_not_more_than_was_paid,
    refund_is_the_first_of_the_period,
    self_service_is_offered,
    something_is_owed,
)
from subscription_lifecycle.standard.policies import POLICIES
from subscription_lifecycle.standard.reminders import buys_few_days, paid_days_are_lost, recurring_billing_is_off
from subscription_lifecycle.standard.states import (
    ACTIVE,
    CANCELLED,
    DELETED,
    DISABLED,
    EXPIRED,
    PAST_DUE,
    SCHEDULED,
    TRIALING,
)

LIVING = (SCHEDULED, TRIALING, ACTIVE, PAST_DUE, EXPIRED, DISABLED, CANCELLED)
RUNNING = (SCHEDULED, TRIALING, ACTIVE, PAST_DUE)
METHOD = (bank_account_is_accepted, invoice_is_offered)
PAID = (payment_method_is_known, *METHOD)
BY_CUSTOMER = (may_manage_billing, self_service_is_offered, payment_method_is_given, *METHOD,
               arrears_are_not_put_on_an_invoice)
PAYING = (may_manage_billing, something_is_owed, payment_method_is_known, *METHOD, arrears_are_not_put_on_an_invoice)
REFUNDS = (full_refund_is_in_time, refund_is_the_first_of_the_period)
REACTIVATED = (recurring_billing_is_off, buys_few_days)

BEGINNING = (
    Transition(Start, SCHEDULED, ACTIVE, date="passed", case="paid", guards=[may_manage_billing, *PAID],
               charge=one_period, declined=DELETED, billing_date=next_period, commitment=new_term,
               until=end_of_service, reminders=[recurring_billing_is_off]),
    Transition(Start, SCHEDULED, SCHEDULED, date="ahead", case="paid", guards=[may_manage_billing, *PAID],
               until=deadline_it_had),
    Transition(Start, SCHEDULED, TRIALING, case="trial", guards=[may_manage_billing, *METHOD], until=deadline_it_had,
               claims=one_trial_per_plan),
    Transition(Adopt, LIVING, SAME_STATE, guards=[may_support], until=deadline_of_the_state),
)

RENEWAL = (
    Transition(Renew, ACTIVE, ACTIVE, date="passed", guards=[is_due], due=billing_date, charge=one_period,
               declined=PAST_DUE, declined_until=retries, billing_date=next_period, commitment=next_term_when_over,
               until=end_of_service),
    Transition(Renew, PAST_DUE, PAST_DUE, date="passed", guards=[is_due], due=billing_date_within_retries,
               billing_date=next_period, commitment=next_term_when_over, effects=[owe_the_period]),
    Transition(Renew, TRIALING, ACTIVE, date="passed", guards=[is_due], due=end_of_trial, charge=one_period,
               declined=PAST_DUE, declined_until=retries, billing_date=next_period, commitment=new_term,
               until=end_of_service),
    Transition(Renew, SCHEDULED, ACTIVE, date="passed", guards=[is_due], due=first_billing_date, charge=one_period,
               declined=DELETED, billing_date=next_period, commitment=new_term, until=end_of_service),
    Transition(SetRecurringBilling, RUNNING, SAME_STATE, case="on", guards=[may_manage_billing],
               until=no_end_of_service, effects=[set_recurring_billing]),
    Transition(SetRecurringBilling, RUNNING, SAME_STATE, case="off", guards=[may_manage_billing],
               until=end_of_service_now, effects=[set_recurring_billing], interrupts=True),
    Transition(Expire, ACTIVE, EXPIRED, guards=[is_due], due=end_of_term, until=expired_window),
    Transition(Expire, TRIALING, EXPIRED, guards=[is_due], due=end_of_unconverted_trial, until=expired_window),
    Transition(Disable, EXPIRED, DISABLED, case=LAPSED, adds=LAPSED, guards=[is_due], due=deadline,
               until=disabled_window),
    Transition(Delete, DISABLED, DELETED, cause=(LAPSED, NON_PAYMENT), guards=[may_manage_billing_or_is_due],
               due=deadline, interrupts=True),
    Transition(Delete, CANCELLED, DELETED, guards=[may_manage_billing_or_is_due], due=deadline, interrupts=True),
    Transition(Delete, DISABLED, DELETED, cause=PROVIDER, guards=[may_support], interrupts=True),
    Transition(Delete, (*RUNNING, EXPIRED), DELETED, guards=[may_manage_billing], interrupts=True,
               effects=[end_recurring_billing]),
)

CANCELLATION = (
    Transition(Cancel, RUNNING, CANCELLED, case="now", adds=CUSTOMER, guards=[may_manage_billing, *REFUNDS],
               until=cancelled_window, effects=[refund_as_asked, end_recurring_billing], interrupts=True,
               reminders=[paid_days_are_lost]),
    Transition(Cancel, (TRIALING, ACTIVE, PAST_DUE), SAME_STATE, case="term_end",
               guards=[may_manage_billing, nothing_is_refunded_at_the_end], until=end_of_service_now,
               effects=[end_recurring_billing], interrupts=True),
    Transition(Cancel, (ACTIVE, PAST_DUE), SAME_STATE, case="date",
               guards=[may_manage_billing, cancellation_is_within_the_term, *REFUNDS], until=end_of_service_now,
               effects=[schedule_cancellation], interrupts=True),
    Transition(CancelAsScheduled, (ACTIVE, PAST_DUE), CANCELLED, adds=CUSTOMER, guards=[is_due],
               due=date_of_cancellation, until=cancelled_window,
               effects=[refund_as_scheduled, end_recurring_billing]),
)

DUNNING = (
    Transition(RetryPayment, PAST_DUE, SAME_STATE,
               guards=[may_manage_billing_or_is_due, something_is_owed, arrears_are_not_put_on_an_invoice],
               charge=all_owed, declined=PAST_DUE, due=next_retry, until=deadline_if_settled),
    Transition(RetryPayment, ACTIVE, ACTIVE,
               guards=[may_manage_billing, something_is_owed, arrears_are_not_put_on_an_invoice], charge=all_owed,
               until=deadline_if_settled),
    Transition(Disable, PAST_DUE, DISABLED, case=NON_PAYMENT, adds=NON_PAYMENT, guards=[is_due], due=end_of_retries,
               until=disabled_window),
    Transition(PayArrears, (ACTIVE, PAST_DUE), ACTIVE, guards=PAYING, charge=all_owed, until=end_of_service,
               effects=[choose_payment_method]),
    Transition(PayArrears, (EXPIRED, CANCELLED), SAME_STATE, guards=PAYING, charge=all_owed),
    Transition(PayArrears, DISABLED, ACTIVE, cause=NON_PAYMENT, date="ahead", guards=PAYING, charge=all_owed,
               until=end_of_service, effects=[choose_payment_method], assumed="as reactivating, S27"),
    Transition(PayArrears, DISABLED, ACTIVE, cause=NON_PAYMENT, date="passed",
               guards=[*PAYING, recurring_billing_is_on], charge=all_owed, billing_date=renews_today,
               commitment=term_from_today, until=end_of_service, effects=[choose_payment_method],
               assumed="the next renewal runs today"),
    Transition(ForgiveArrears, (ACTIVE, PAST_DUE, EXPIRED, CANCELLED, DISABLED), SAME_STATE,
               guards=[may_support, something_is_owed], charge=all_forgiven, until=deadline_if_settled),
    Transition(ReportInvoice, ACTIVE, PAST_DUE, case="unpaid", guards=[may_support], until=retries,
               effects=[owe_the_invoice]),
    Transition(ReportInvoice, (PAST_DUE, EXPIRED, CANCELLED, DISABLED), SAME_STATE, case="unpaid",
               guards=[may_support], effects=[owe_the_invoice]),
    Transition(ReportInvoice, (ACTIVE, PAST_DUE, EXPIRED, CANCELLED, DISABLED), SAME_STATE, case="paid",
               guards=[may_support], charge=invoice_paid, until=deadline_if_settled, effects=[settle_the_invoice]),
    Transition(FailPayment, ACTIVE, PAST_DUE, case="owes", guards=[is_reported], until=retries,
               effects=[owe_what_was_paid]),
    Transition(FailPayment, PAST_DUE, PAST_DUE, case="owes", guards=[is_reported], effects=[owe_what_was_paid]),
    Transition(FailPayment, (ACTIVE, PAST_DUE), DISABLED, case="disables", adds=NON_PAYMENT, guards=[is_reported],
               until=disabled_window, effects=[owe_what_was_paid]),
    Transition(FailPayment, (EXPIRED, CANCELLED, DISABLED), SAME_STATE, guards=[is_reported],
               effects=[owe_what_was_paid]),
    Transition(SettlePayment, (ACTIVE, PAST_DUE), ACTIVE, case="restores", guards=[is_reported, something_is_owed],
               charge=what_it_pays, until=end_of_service, effects=[give_back_the_rest]),
    Transition(SettlePayment, DISABLED, ACTIVE, cause=NON_PAYMENT, date="ahead", case="restores",
               guards=[is_reported, something_is_owed], charge=what_it_pays, until=end_of_service,
               effects=[give_back_the_rest], assumed="as reactivating, S27"),
    Transition(SettlePayment, DISABLED, ACTIVE, cause=NON_PAYMENT, date="passed", case="restores",
               guards=[is_reported, something_is_owed, recurring_billing_is_on], charge=what_it_pays,
               billing_date=renews_today, commitment=term_from_today, until=end_of_service,
               effects=[give_back_the_rest], assumed="the next renewal runs today"),
    Transition(SettlePayment, (ACTIVE, PAST_DUE, EXPIRED, CANCELLED, DISABLED), SAME_STATE, case="pays",
               guards=[is_reported, something_is_owed], charge=what_it_pays, until=deadline_if_settled,
               effects=[give_back_the_rest]),
    Transition(WriteOff, PAST_DUE, DISABLED, adds=NON_PAYMENT, guards=[may_support, something_is_owed],
               charge=all_forgiven, until=disabled_window),
    Transition(WriteOff, (EXPIRED, CANCELLED, DISABLED), SAME_STATE, guards=[may_support, something_is_owed],
               charge=all_forgiven),
    Transition(Refund, LIVING, SAME_STATE,
               guards=[may_support, payment_is_refundable, refund_is_not_more_than_was_paid],
               effects=[give_back_a_payment]),
    Transition(ChangePaymentMethod, (*RUNNING, EXPIRED), SAME_STATE,
               guards=[may_manage_billing, *METHOD, arrears_are_not_put_on_an_invoice],
               effects=[choose_payment_method], interrupts=True),
)

BLOCK = (
    Transition(Disable, (*RUNNING, EXPIRED, CANCELLED), DISABLED, case=PROVIDER, adds=PROVIDER, guards=[may_support],
               until=no_deadline, effects=[hold_the_clock], interrupts=True),
    Transition(Disable, DISABLED, DISABLED, case=PROVIDER, cause=(LAPSED, NON_PAYMENT), adds=PROVIDER,
               guards=[may_support], until=no_deadline, effects=[hold_the_clock], interrupts=True),
    Transition(Enable, DISABLED, INTERRUPTED_STATE, cause=PROVIDER, date="ahead", guards=[may_support],
               until=deadline_it_had, effects=[release_the_clock], assumed="date and charge unchanged"),
    Transition(Enable, DISABLED, INTERRUPTED_STATE, cause=PROVIDER, date="passed", guards=[may_support],
               charge=unserved_days, billing_date=renews_today, commitment=term_from_today, until=deadline_it_had,
               effects=[release_the_clock], assumed="the renewal runs next; unserved paid days become credit"),
)

REACTIVATION = (
    Transition(Reactivate, EXPIRED, ACTIVE, guards=BY_CUSTOMER, charge=(arrears, one_period), billing_date=extended,
               commitment=next_term, until=end_of_service, effects=[choose_payment_method], reminders=REACTIVATED),
    Transition(Reactivate, DISABLED, ACTIVE, cause=LAPSED, guards=BY_CUSTOMER, charge=(arrears, one_period),
               billing_date=restarted, commitment=new_term, until=end_of_service, effects=[choose_payment_method],
               reminders=REACTIVATED, assumed="a new period from today"),
    Transition(Reactivate, CANCELLED, INTERRUPTED_STATE, date="ahead", lifts=CUSTOMER, guards=BY_CUSTOMER,
               charge=(arrears, recharge), until=deadline_it_had, effects=[choose_payment_method, forget_refunded],
               reminders=REACTIVATED, assumed="S26; what was refunded is charged again"),
    Transition(Reactivate, DISABLED, ACTIVE, cause=NON_PAYMENT, date="ahead", guards=BY_CUSTOMER, charge=arrears,
               until=end_of_service, effects=[choose_payment_method], reminders=REACTIVATED),
    Transition(Reactivate, CANCELLED, ACTIVE, date="passed", term="running", lifts=CUSTOMER, guards=BY_CUSTOMER,
               charge=(arrears, rest_of_period), billing_date=advanced, until=end_of_service,
               effects=[choose_payment_method, forget_refunded], reminders=REACTIVATED,
               assumed="the rest of the period, by days"),
    Transition(Reactivate, DISABLED, ACTIVE, cause=NON_PAYMENT, date="passed", term="running", guards=BY_CUSTOMER,
               charge=(arrears, rest_of_period), billing_date=advanced, until=end_of_service,
               effects=[choose_payment_method], reminders=REACTIVATED, assumed="the rest of the period, by days"),
    Transition(Reactivate, CANCELLED, ACTIVE, date="passed", term="over", lifts=CUSTOMER, guards=BY_CUSTOMER,
               charge=(arrears, one_period), billing_date=restarted, commitment=new_term, until=end_of_service,
               effects=[choose_payment_method, forget_refunded], reminders=REACTIVATED,
               assumed="a new period from today"),
    Transition(Reactivate, DISABLED, ACTIVE, cause=NON_PAYMENT, date="passed", term="over", guards=BY_CUSTOMER,
               charge=(arrears, one_period), billing_date=restarted, commitment=new_term, until=end_of_service,
               effects=[choose_payment_method], reminders=REACTIVATED, assumed="a new period from today"),
    Transition(Reactivate, DISABLED, INTERRUPTED_STATE, cause=PROVIDER, date="ahead", guards=[may_support, *METHOD],
               until=deadline_it_had, effects=[choose_payment_method, release_the_clock], reminders=REACTIVATED,
               assumed="date and charge unchanged (S3, S11)"),
    Transition(Reactivate, DISABLED, INTERRUPTED_STATE, cause=PROVIDER, date="passed", guards=[may_support, *METHOD],
               charge=unserved_days, billing_date=renews_today, commitment=term_from_today, until=deadline_it_had,
               effects=[choose_payment_method, release_the_clock], reminders=REACTIVATED,
               assumed="the renewal runs next; unserved paid days become credit (S3, S11)"),
)

RECORD = (
    Transition(Correct, LIVING, SAME_STATE,
               guards=[may_support, corrected_date_is_billable, corrected_term_is_possible], effects=[correct]),
)

STANDARD: Final = Lifecycle(
    (*BEGINNING, *RENEWAL, *CANCELLATION, *DUNNING, *BLOCK, *REACTIVATION, *RECORD), policies=POLICIES, name="standard"
)
"""The standard lifecycle: the first user of the machine; it can do nothing that yours cannot."""
