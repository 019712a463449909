"""One Stripe for the tests of a worker, emptied for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.gateways.stripe_server import StripeServer


@pytest.fixture(scope="session")
def running_stripe() -> Iterator[StripeServer]:
    server = StripeServer()
    yield server
    server.close()


@pytest.fixture
def server(running_stripe: StripeServer) -> StripeServer:
    running_stripe.reset()
    return running_stripe
