"""What runs: the rooms of the EXAI service."""

VERSION = "0.3.0"
RELEASED = "2026-11-22"
"""The UTC day on which this version was begun. A clock that shows an earlier one is wrong."""
