"""Why service is interrupted; the first of several decides the way back."""

from __future__ import annotations

from typing import Final

from subscription_lifecycle.model.state import Cause

PROVIDER: Final = Cause("provider", 10)
NON_PAYMENT: Final = Cause("non_payment", 20)
DUNNING: Final = Cause("dunning", 25)
CUSTOMER: Final = Cause("customer", 30)
PAUSE: Final = Cause("pause", 35)
LAPSED: Final = Cause("lapsed", 40)
