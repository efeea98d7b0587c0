"""Checks: what `/health` looks at."""
