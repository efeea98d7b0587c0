"""What runs: the rooms of the EXAI service."""
