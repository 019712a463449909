"""The states of a paid subscription, with the access they give and the label customers see."""

from __future__ import annotations

from typing import Final

from subscription_lifecycle.model.state import Access, State

SCHEDULED: Final = State("scheduled", access=Access.NONE)
TRIALING: Final = State("trialing", access=Access.FULL, published="Active")
ACTIVE: Final = State("active", access=Access.FULL)
PAST_DUE: Final = State("past_due", access=Access.FULL, published="Active", settled=ACTIVE)
PAUSED: Final = State("paused", access=Access.NONE)
EXPIRED: Final = State("expired", access=Access.FULL)
DISABLED: Final = State("disabled", access=Access.REDUCED)
CANCELLED: Final = State("cancelled", access=Access.REDUCED, published="Disabled")
DELETED: Final = State("deleted", access=Access.NONE, final=True)
