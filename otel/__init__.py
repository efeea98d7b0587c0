"""What is seen: spans and metrics, derived from committed entries and from nothing else."""
