"""Named policies, and what they do not cover."""

from subscription_lifecycle.model.policy import Policy
from subscription_lifecycle.standard.policies import CHINA_21VIANET, GERMANY, POLICIES, WORLDWIDE

__all__ = ["CHINA_21VIANET", "GERMANY", "POLICIES", "WORLDWIDE", "Policy"]
