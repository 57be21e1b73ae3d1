"""The whole stack on one machine: PostgreSQL, brokers, services and the world around them."""

from stagepost.engine.stack.foreground import interruptible, up
from stagepost.engine.stack.stack import Stack

__all__ = ["Stack", "interruptible", "up"]
