"""What is reached: the sockets, and nothing of what is said on them."""
