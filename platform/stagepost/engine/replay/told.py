"""How long work says on stderr how it goes; nothing of it for work that is soon done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Self

FIRST = 1.0
"""Seconds in which nobody wonders."""
ON_TERMINAL, ELSEWHERE = 0.2, 5.0
"""Seconds between two lines: on a terminal each takes the place of the one before."""


class Progress:
    """`with Progress("verify payments", events) as progress`: then `progress.add(len(page))`."""

    def __init__(
        self,
        what: str,
        total: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._total = total
        self._clock = clock
        self._done = 0
        self._began = clock()
        self._next = self._began + FIRST
        self._is_shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown and sys.stderr.isatty():
            sys.stderr.write("\n")

    def add(self, events: int) -> None:
        """Tell that so many more are done."""
        self._done += events
        if (now := self._clock()) >= self._next:
            on_terminal = sys.stderr.isatty()
            self._next = now + (ON_TERMINAL if on_terminal else ELSEWHERE)
            self._is_shown = True
            line = told(self._what, self._done, self._total, now - self._began)
            sys.stderr.write(f"\r{line}\x1b[K" if on_terminal else f"{line}\n")
            sys.stderr.flush()


def told(what: str, done: int, total: int, seconds: float) -> str:
    """Say how fast work goes and how long it will take."""
    rate = done / max(seconds, 0.001)
    left = max(total - done, 0) / max(rate, 1)
    return f"{what}: {done:,} of {total:,} events, {rate:,.0f} a second, {_time(left)} left"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"
