"""What is spoken: the protocols of the clients, as pure state machines without a network."""
