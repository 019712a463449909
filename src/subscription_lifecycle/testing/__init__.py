"""What we test ourselves with, for your lifecycles, stores and gateways. The fakes need no Hypothesis."""
