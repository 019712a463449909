"""Rows: a pause, from the wish to the way back."""

# fmt: off
# A row is read across: the formatter would give every column a line of its own.
from __future__ import annotations

from subscription_lifecycle.machine.transition import (
    INTERRUPTED_STATE,
    SAME_STATE,
    Transition,
)
from subscription_lifecycle.standard.billing_dates import (
    after_the_pause,
    term_after_the_pause,
)
from subscription_lifecycle.standard.causes import (
    PAUSE,
)
from subscription_lifecycle.standard.charges import (
    arrears,
    price_of_resuming,
)
from subscription_lifecycle.standard.commands import (
    Pause,
    PauseAsScheduled,
    Resume,
    ResumeAsScheduled,
)
from subscription_lifecycle.standard.due_dates import (
    date_of_pause,
    deadline,
    deadline_it_had,
    resume_date,
    retries_after_the_pause,
)
from subscription_lifecycle.standard.effects import (
    choose_another_end,
    choose_payment_method,
    give_the_days_back,
    remember_the_pause,
    schedule_the_pause,
    withdraw_the_pause,
)
from subscription_lifecycle.standard.groups import (
    PAID_BY_ANY,
)
from subscription_lifecycle.standard.guards import (
    is_due,
    may_manage_billing,
)
from subscription_lifecycle.standard.limits import (
    nothing_is_owed,
    pause_is_scheduled,
    pause_is_short_enough,
    pause_is_the_first_of_the_period,
    pause_is_to_come,
    resuming_can_be_paid,
)
from subscription_lifecycle.standard.reminders import (
    recurring_billing_is_off,
)
from subscription_lifecycle.standard.states import (
    ACTIVE,
    PAST_DUE,
    PAUSED,
)

PAUSING = (
    Transition(Pause, ACTIVE, PAUSED, case="now", adds=PAUSE,
               guards=[may_manage_billing, nothing_is_owed, pause_is_the_first_of_the_period, pause_is_short_enough],
               until=resume_date, effects=[remember_the_pause]),
    Transition(Pause, ACTIVE, SAME_STATE, case="period_end",
               guards=[may_manage_billing, nothing_is_owed, pause_is_to_come, pause_is_short_enough],
               effects=[schedule_the_pause]),
    Transition(Pause, ACTIVE, SAME_STATE, case="date",
               guards=[may_manage_billing, nothing_is_owed, pause_is_to_come, pause_is_the_first_of_the_period,
                       pause_is_short_enough],
               effects=[schedule_the_pause]),
    Transition(Pause, PAUSED, SAME_STATE, case="now", guards=[may_manage_billing, pause_is_short_enough],
               until=resume_date, effects=[choose_another_end]),
    Transition(PauseAsScheduled, ACTIVE, PAUSED, adds=PAUSE, guards=[is_due], due=date_of_pause, until=resume_date,
               effects=[remember_the_pause]),
    Transition(Resume, ACTIVE, SAME_STATE, guards=[may_manage_billing, pause_is_scheduled],
               effects=[withdraw_the_pause]),
    Transition(Resume, PAUSED, INTERRUPTED_STATE, lifts=PAUSE,
               guards=[may_manage_billing, resuming_can_be_paid, *PAID_BY_ANY],
               charge=(arrears, price_of_resuming), billing_date=after_the_pause, commitment=term_after_the_pause,
               until=deadline_it_had, effects=[choose_payment_method, give_the_days_back],
               reminders=[recurring_billing_is_off], assumed="policy `resume`"),
    Transition(ResumeAsScheduled, PAUSED, INTERRUPTED_STATE, lifts=PAUSE, guards=[is_due], due=deadline,
               charge=price_of_resuming, declined=PAST_DUE, declined_until=retries_after_the_pause,
               billing_date=after_the_pause, commitment=term_after_the_pause, until=deadline_it_had,
               effects=[give_the_days_back], assumed="policy `resume`"),
)
