"""What is sent: the one way out, and the record of each step of it."""
