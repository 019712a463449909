"""Rows: the ways back, by how service ended. The heart of the table."""

# fmt: off
# A row is read across: the formatter would give every column a line of its own.
from __future__ import annotations

from subscription_lifecycle.machine.transition import (
    INTERRUPTED_STATE,
    Transition,
)
from subscription_lifecycle.standard.billing_dates import (
    advanced,
    advanced_or_restarted,
    count_what_was_served,
    extended,
    new_term,
    next_term,
    renews_today,
    restarted,
    term_as_recovered,
    term_from_today,
    unchanged_or_restarted,
)
from subscription_lifecycle.standard.causes import (
    CUSTOMER,
    DUNNING,
    LAPSED,
    NON_PAYMENT,
    PROVIDER,
)
from subscription_lifecycle.standard.charges import (
    arrears,
    arrears_after_hold,
    one_period,
    recharge,
    recharge_after_hold,
    rest_of_period,
    unserved_days,
)
from subscription_lifecycle.standard.commands import (
    Reactivate,
)
from subscription_lifecycle.standard.due_dates import (
    deadline_it_had,
    end_of_service,
)
from subscription_lifecycle.standard.effects import (
    choose_payment_method,
    forget_refunded,
    release_the_clock,
    withdraw_a_past_cancellation,
    withdraw_the_pause,
)
from subscription_lifecycle.standard.groups import (
    BY_SUPPORT,
    ENDED,
    NEW_PERIOD,
    NEXT_PERIOD,
    REACTIVATED,
    SAME_PERIOD,
)
from subscription_lifecycle.standard.states import (
    ACTIVE,
    CANCELLED,
    DISABLED,
    EXPIRED,
)

REACTIVATION = (
    Transition(Reactivate, EXPIRED, ACTIVE, guards=NEXT_PERIOD, charge=(arrears, one_period), billing_date=extended,
               commitment=next_term, until=end_of_service,
               effects=[choose_payment_method, withdraw_the_pause, count_what_was_served], reminders=REACTIVATED),
    Transition(Reactivate, DISABLED, ACTIVE, cause=LAPSED, guards=NEW_PERIOD, charge=(arrears, one_period),
               billing_date=restarted, commitment=new_term, until=end_of_service,
               effects=[choose_payment_method, withdraw_the_pause], reminders=REACTIVATED,
               assumed="a new period from today"),
    Transition(Reactivate, CANCELLED, INTERRUPTED_STATE, date="ahead", lifts=(CUSTOMER, DUNNING), guards=SAME_PERIOD,
               charge=(arrears, recharge), until=deadline_it_had,
               effects=[choose_payment_method, forget_refunded, withdraw_the_pause],
               reminders=REACTIVATED, assumed="S26; what was refunded is charged again"),
    Transition(Reactivate, DISABLED, ACTIVE, cause=NON_PAYMENT, date="ahead", guards=SAME_PERIOD,
               charge=(arrears_after_hold, one_period, recharge_after_hold), billing_date=unchanged_or_restarted,
               commitment=term_as_recovered, until=end_of_service,
               effects=[choose_payment_method, forget_refunded, withdraw_a_past_cancellation, withdraw_the_pause],
               reminders=REACTIVATED),
    Transition(Reactivate, CANCELLED, ACTIVE, date="passed", term="running", lifts=ENDED, guards=NEXT_PERIOD,
               charge=(arrears, rest_of_period), billing_date=advanced, until=end_of_service,
               effects=[choose_payment_method, forget_refunded, withdraw_the_pause], reminders=REACTIVATED,
               assumed="the rest of the period, by days"),
    Transition(Reactivate, DISABLED, ACTIVE, cause=NON_PAYMENT, date="passed", term="running", guards=NEXT_PERIOD,
               charge=(arrears_after_hold, rest_of_period), billing_date=advanced_or_restarted,
               commitment=term_as_recovered, until=end_of_service,
               effects=[choose_payment_method, withdraw_a_past_cancellation, withdraw_the_pause], reminders=REACTIVATED,
               assumed="the rest of the period, by days"),
    Transition(Reactivate, CANCELLED, ACTIVE, date="passed", term="over", lifts=ENDED, guards=NEW_PERIOD,
               charge=(arrears, one_period), billing_date=restarted, commitment=new_term, until=end_of_service,
               effects=[choose_payment_method, forget_refunded, withdraw_the_pause], reminders=REACTIVATED,
               assumed="a new period from today"),
    Transition(Reactivate, DISABLED, ACTIVE, cause=NON_PAYMENT, date="passed", term="over", guards=NEW_PERIOD,
               charge=(arrears_after_hold, one_period), billing_date=restarted, commitment=new_term,
               until=end_of_service,
               effects=[choose_payment_method, withdraw_a_past_cancellation, withdraw_the_pause], reminders=REACTIVATED,
               assumed="a new period from today"),
    Transition(Reactivate, DISABLED, INTERRUPTED_STATE, cause=PROVIDER, date="ahead", guards=BY_SUPPORT,
               until=deadline_it_had, effects=[choose_payment_method, release_the_clock], reminders=REACTIVATED,
               assumed="date and charge unchanged (S3, S11)"),
    Transition(Reactivate, DISABLED, INTERRUPTED_STATE, cause=PROVIDER, date="passed", guards=BY_SUPPORT,
               charge=unserved_days, billing_date=renews_today, commitment=term_from_today, until=deadline_it_had,
               effects=[choose_payment_method, release_the_clock], reminders=REACTIVATED,
               assumed="the renewal runs next; unserved paid days become credit (S3, S11)"),
)
