"""What runs: the rooms of the EXAI service."""

VERSION = "0.2.0"
RELEASED = "2026-11-22"
"""The UTC day of this version. A clock that shows an earlier one is wrong."""
