"""What is proved: what the provider's own books say, held against ours."""
