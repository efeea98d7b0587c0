"""What is asked: one file per provider, pure; it prepares a request, parses an answer and names its errors."""
