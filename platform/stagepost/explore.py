"""Walk every path that a process can take, by running it; draw what was walked."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from stagepost.messages import Message
from stagepost.process import Process, Reaction, State


class Arrow(NamedTuple):
    """One step: where the process stood, what it heard, and how it reacted."""

    source: State
    message: Message
    reaction: Reaction[Any]
