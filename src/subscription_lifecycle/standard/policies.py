"""Named policies: the article's three deployments, and the channels whose windows are plain day counts.

Not covered, because they are no counts of the same states: a new-commerce subscription suspended to its term's end
(30 days disabled, then 90 more), the paid extended service term, and the windows of unconverted trials (30 days and
"soon after"; 90 days to move users to another plan).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from subscription_lifecycle.model.mapping import frozen_mapping
from subscription_lifecycle.model.policy import Policy

_ASSUMED = "The effects on date and charge are published for the other two deployments; here they are taken over (S28)."

WORLDWIDE: Final = Policy(assumed=_ASSUMED)
"""The article's worldwide deployment; its effects are taken over from the other two."""
GERMANY: Final = Policy()
"""The article's German deployment."""
CHINA_21VIANET: Final = Policy()
"""The article's deployment in China."""

POLICIES: Final[Mapping[str, Policy]] = frozen_mapping(
    {
        "default": WORLDWIDE,
        "worldwide": WORLDWIDE,
        "germany": GERMANY,
        "21vianet": CHINA_21VIANET,
        "direct": WORLDWIDE,
        "enterprise": Policy(expired_days=30, disabled_days=90),
        "enterprise_multi_year": Policy(expired_days=90, disabled_days=90),
        "volume_licensing_2021": Policy(expired_days=90, disabled_days=30),
        "volume_licensing_2025": Policy(expired_days=90, disabled_days=60),
        "microsoft_open": Policy(expired_days=30, disabled_days=90),
        "open_value": Policy(expired_days=30, disabled_days=90),
        "partner_legacy": Policy(expired_days=0, disabled_days=90),
        "partner_new_commerce": Policy(expired_days=30, disabled_days=90),
    }
)
"""Every named policy; `default` is the worldwide one."""
