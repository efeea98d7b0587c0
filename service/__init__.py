"""What runs: the rooms of the EXAI service."""

VERSION = "0.1.0"
