"""What is served: who may call, how much at once, and the pump between a connection and its conversation."""
