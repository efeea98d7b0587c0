"""The simulator: both providers on one port, with books of their own. A judge: it shares nothing."""
