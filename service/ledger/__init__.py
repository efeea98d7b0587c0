"""What is kept: the append-only log of entries, and the tables that are read from it."""
