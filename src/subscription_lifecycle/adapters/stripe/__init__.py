"""Payments through Stripe: `StripeGateway`."""

from subscription_lifecycle.adapters.stripe.amounts import from_stripe, to_stripe
from subscription_lifecycle.adapters.stripe.gateway import StripeGateway

__all__ = ["StripeGateway", "from_stripe", "to_stripe"]
