"""The demonstration: an order book pushed through the stack, and the promises proven on it."""
