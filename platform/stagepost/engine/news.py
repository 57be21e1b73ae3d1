"""What is worth a line in the log: a fault is told when it is another, then once a minute."""

from __future__ import annotations

import asyncio

SAY_AGAIN = 60.0
"""Seconds after which a fault that lasts is told once more."""


class News:
    """Tells what is new from what was told a moment ago."""

    def __init__(self) -> None:
        self._told: str | None = None
        self._until = 0.0

    def is_new(self, what: str) -> bool:
        """Tell whether to say this, which then counts as told."""
        now = asyncio.get_running_loop().time()
        if what == self._told and now < self._until:
            return False
        self._told, self._until = what, now + SAY_AGAIN
        return True
