"""The standard lifecycle: nothing but rows, to pin to the wall.

The chapters on pausing, dunning and reactivation have a file each.

A row reads: command, from, to; which of several applies (cause, date, term, case); who and what may refuse; what is
charged and where a decline leads; where billing and commitment stand afterwards; the deadline of the state entered;
when the clock takes it; what else changes. `assumed` marks effects that the founding article does not state.
"""

# fmt: off
# A row is read across: the formatter would give every column a line of its own.
from __future__ import annotations

from typing import Final

from subscription_lifecycle.machine.lifecycle import (
    Lifecycle,
)
from subscription_lifecycle.machine.transition import (
    INTERRUPTED_STATE,
    SAME_STATE,
    Transition,
)
from subscription_lifecycle.standard.billing_dates import (
    corrected,
    corrected_term,
    new_term,
    next_period,
    next_term_when_over,
    renews_today,
    restarted,
    term_from_today,
    trial_extended,
    trial_term,
)
from subscription_lifecycle.standard.causes import (
    CUSTOMER,
    DUNNING,
    LAPSED,
    NON_PAYMENT,
    PROVIDER,
)
from subscription_lifecycle.standard.charges import (
    one_period,
    period_on_an_invoice,
    unserved_days,
)
from subscription_lifecycle.standard.claims import (
    one_trial_per_plan,
)
from subscription_lifecycle.standard.commands import (
    Adopt,
    Cancel,
    CancelAsScheduled,
    ConvertTrial,
    Correct,
    Delete,
    Disable,
    Enable,
    Expire,
    ExtendTrial,
    Notify,
    Renew,
    SetRecurringBilling,
    Start,
)
from subscription_lifecycle.standard.due_dates import (
    billing_date,
    billing_date_within_retries,
    cancelled_window,
    corrected_deadline,
    date_of_cancellation,
    deadline,
    deadline_it_had,
    deadline_of_the_state,
    disabled_window,
    end_of_service,
    end_of_service_now,
    end_of_term,
    end_of_trial,
    end_of_unconverted_trial,
    expired_window,
    extended_trial,
    first_billing_date,
    no_deadline,
    no_end_of_service,
    retries,
)
from subscription_lifecycle.standard.dunning import (
    COLLECTION,
)
from subscription_lifecycle.standard.effects import (
    announce,
    choose_payment_method,
    correct,
    end_recurring_billing,
    end_the_trial,
    extend_the_trial,
    hold_the_clock,
    know_the_pause,
    owe_the_period,
    refund_as_asked,
    refund_as_scheduled,
    release_the_clock,
    schedule_cancellation,
    set_recurring_billing,
)
from subscription_lifecycle.standard.groups import (
    LIVING,
    METHOD,
    PAID,
    REFUNDS,
    RUNNING,
)
from subscription_lifecycle.standard.guards import (
    cancellation_is_within_the_term,
    corrected_credit_is_possible,
    corrected_date_is_billable,
    corrected_term_is_possible,
    is_due,
    may_manage_billing,
    may_manage_billing_or_is_due,
    may_support,
    nothing_is_refunded_at_the_end,
)
from subscription_lifecycle.standard.limits import (
    extension_is_short_enough,
    notice_is_given,
    trial_is_about_to_end,
    trial_was_not_extended,
)
from subscription_lifecycle.standard.notices import (
    access_while_owing,
    before_card_expiry,
    before_deletion,
    before_expiry,
    before_renewal,
    before_trial_end,
    deadline_announced,
    next_rung,
)
from subscription_lifecycle.standard.pausing import (
    PAUSING,
)
from subscription_lifecycle.standard.policies import (
    POLICIES,
)
from subscription_lifecycle.standard.reactivation import (
    REACTIVATION,
)
from subscription_lifecycle.standard.reminders import (
    paid_days_are_lost,
    recurring_billing_is_off,
)
from subscription_lifecycle.standard.states import (
    ACTIVE,
    CANCELLED,
    DELETED,
    DISABLED,
    EXPIRED,
    PAST_DUE,
    PAUSED,
    SCHEDULED,
    TRIALING,
)

BEGINNING = (
    Transition(Start, SCHEDULED, ACTIVE, date="passed", case="paid", guards=[may_manage_billing, *PAID],
               charge=one_period, declined=DELETED, billing_date=next_period, commitment=new_term,
               until=end_of_service, reminders=[recurring_billing_is_off]),
    Transition(Start, SCHEDULED, SCHEDULED, date="ahead", case="paid", guards=[may_manage_billing, *PAID],
               until=deadline_it_had),
    Transition(Start, SCHEDULED, TRIALING, case="trial", guards=[may_manage_billing, *METHOD], until=deadline_it_had,
               claims=one_trial_per_plan),
    Transition(Adopt, LIVING, SAME_STATE, guards=[may_support], until=deadline_of_the_state,
               effects=[know_the_pause]),
)

TRIAL = (
    Transition(ExtendTrial, TRIALING, SAME_STATE,
               guards=[may_manage_billing, trial_was_not_extended, trial_is_about_to_end, extension_is_short_enough],
               billing_date=trial_extended, commitment=trial_term, until=extended_trial, effects=[extend_the_trial]),
    Transition(ConvertTrial, TRIALING, ACTIVE, guards=[may_manage_billing, *PAID], charge=one_period,
               billing_date=restarted, commitment=new_term, until=end_of_service,
               effects=[choose_payment_method, end_the_trial], reminders=[recurring_billing_is_off],
               assumed="the days left are given up"),
)

# First of what falls due on one day: the day that service ends on is not billed.
LAST_DAY = (
    Transition(CancelAsScheduled, (ACTIVE, PAST_DUE, PAUSED), CANCELLED, adds=CUSTOMER, guards=[is_due],
               due=date_of_cancellation, until=cancelled_window,
               effects=[refund_as_scheduled, end_recurring_billing]),
)

RENEWAL = (
    Transition(Renew, ACTIVE, ACTIVE, date="passed", guards=[is_due], due=billing_date, charge=one_period,
               declined=PAST_DUE, declined_until=retries, billing_date=next_period, commitment=next_term_when_over,
               until=end_of_service),
    Transition(Renew, PAST_DUE, PAST_DUE, date="passed", guards=[is_due], due=billing_date_within_retries,
               charge=period_on_an_invoice, declined=PAST_DUE, billing_date=next_period,
               commitment=next_term_when_over, effects=[owe_the_period]),
    Transition(Renew, TRIALING, ACTIVE, date="passed", guards=[is_due], due=end_of_trial, charge=one_period,
               declined=PAST_DUE, declined_until=retries, billing_date=next_period, commitment=new_term,
               until=end_of_service),
    Transition(Renew, SCHEDULED, ACTIVE, date="passed", guards=[is_due], due=first_billing_date, charge=one_period,
               declined=DELETED, billing_date=next_period, commitment=new_term, until=end_of_service),
    Transition(SetRecurringBilling, RUNNING, SAME_STATE, case="on", guards=[may_manage_billing],
               until=no_end_of_service, effects=[set_recurring_billing]),
    Transition(SetRecurringBilling, RUNNING, SAME_STATE, case="off", guards=[may_manage_billing, notice_is_given],
               until=end_of_service_now, effects=[set_recurring_billing], interrupts=True),
    Transition(Expire, ACTIVE, EXPIRED, guards=[is_due], due=end_of_term, until=expired_window),
    Transition(Expire, TRIALING, EXPIRED, guards=[is_due], due=end_of_unconverted_trial, until=expired_window),
    Transition(Disable, EXPIRED, DISABLED, case=LAPSED, adds=LAPSED, guards=[is_due], due=deadline,
               until=disabled_window),
    Transition(Delete, DISABLED, DELETED, cause=(LAPSED, NON_PAYMENT), guards=[may_manage_billing_or_is_due],
               due=deadline_announced, interrupts=True),
    Transition(Delete, CANCELLED, DELETED, guards=[may_manage_billing_or_is_due], due=deadline_announced,
               interrupts=True),
    Transition(Delete, DISABLED, DELETED, cause=PROVIDER, guards=[may_support], interrupts=True),
    Transition(Delete, (*RUNNING, EXPIRED), DELETED, guards=[may_manage_billing], interrupts=True,
               effects=[end_recurring_billing]),
)

CANCELLATION = (
    Transition(Cancel, RUNNING, CANCELLED, case="now", adds=CUSTOMER,
               guards=[may_manage_billing, notice_is_given, *REFUNDS], until=cancelled_window,
               effects=[refund_as_asked, end_recurring_billing], interrupts=True,
               reminders=[paid_days_are_lost]),
    Transition(Cancel, (TRIALING, ACTIVE, PAST_DUE), SAME_STATE, case="term_end",
               guards=[may_manage_billing, notice_is_given, nothing_is_refunded_at_the_end], until=end_of_service_now,
               effects=[end_recurring_billing], interrupts=True),
    Transition(Cancel, (ACTIVE, PAST_DUE), SAME_STATE, case="date",
               guards=[may_manage_billing, notice_is_given, cancellation_is_within_the_term, *REFUNDS],
               until=end_of_service_now, effects=[schedule_cancellation], interrupts=True),
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

RECORD = (
    Transition(Correct, LIVING, SAME_STATE,
               guards=[may_support, corrected_date_is_billable, corrected_term_is_possible,
                       corrected_credit_is_possible],
               billing_date=corrected, commitment=corrected_term, until=corrected_deadline, effects=[correct]),
)

NOTICES = (
    Transition(Notify, ACTIVE, SAME_STATE, case="renewal", guards=[is_due], due=before_renewal, effects=[announce]),
    Transition(Notify, TRIALING, SAME_STATE, case="trial_end", guards=[is_due], due=before_trial_end,
               effects=[announce]),
    Transition(Notify, ACTIVE, SAME_STATE, case="expiry", guards=[is_due], due=before_expiry, effects=[announce]),
    Transition(Notify, (DISABLED, CANCELLED), SAME_STATE, case="deletion", guards=[is_due], due=before_deletion,
               effects=[announce]),
    Transition(Notify, RUNNING, SAME_STATE, case="card_expiry", guards=[is_due], due=before_card_expiry,
               effects=[announce]),
    Transition(Notify, (PAST_DUE, DISABLED), SAME_STATE, case="dunning", guards=[is_due], due=next_rung,
               effects=[announce]),
    Transition(Notify, CANCELLED, SAME_STATE, case="dunning", cause=DUNNING, guards=[is_due], due=next_rung,
               effects=[announce]),
)

STANDARD: Final = Lifecycle(
    (*BEGINNING, *TRIAL, *LAST_DAY, *PAUSING, *RENEWAL, *CANCELLATION, *COLLECTION, *BLOCK, *REACTIVATION, *RECORD,
     *NOTICES),
    policies=POLICIES, name="standard", access=access_while_owing
)
"""The standard lifecycle: the first user of the machine; it can do nothing that yours cannot."""
