"""Named points at which a service of the test build stops when it is told to.

An order is a file with the service's name. The instance that reaches the point it names takes the
file away, writes down its process id as the proof that it got there, and stops: for good, or until
somebody wakes it.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from pathlib import Path

FOLDER = "DRILL_POINTS"
"""The environment variable that names the folder of orders."""


class Point(StrEnum):
    """Where a service can be stopped."""

    RELAY_BEFORE_PUBLISH = "the relay before it publishes"
    RELAY_BEFORE_CURSOR = "the relay between publish and cursor"
    CALLER_BEFORE_APPEND = "the caller between call and append"
    CONSUMER_BEFORE_APPEND = "the consumer between read and append"
    CONSUMER_BEFORE_READ = "the consumer between append and next read"
    TIMER_BEFORE_APPEND = "a timer between due and append"
    DESK_BEFORE_ANSWER = "the desk between commit and HTTP answer"


class Stop(StrEnum):
    """How to stop."""

    KILL = "kill"
    PAUSE = "pause"


_SIGNALS = {Stop.KILL: signal.SIGKILL, Stop.PAUSE: signal.SIGSTOP}


class Points:
    """The side of the service: one system call for each point that is passed."""

    def __init__(self, folder: Path, service: str) -> None:
        self._order = folder / service

    def reach(self, *points: Point) -> None:
        """Stop here if that is what somebody ordered."""
        try:
            wanted, stop = self._order.read_text().split("\n")
        except FileNotFoundError:
            return
        if wanted in points:
            self._order.unlink()
            proof = self._order.with_suffix(".half")
            proof.write_text(str(os.getpid()))
            proof.rename(self._order.with_suffix(".reached"))
            os.kill(os.getpid(), _SIGNALS[Stop(stop)])


class Orders:
    """The side of the drill."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def give(self, service: str, point: Point, stop: Stop) -> None:
        """Tell a service to stop when it next comes to a point."""
        self._reached(service).unlink(missing_ok=True)
        new = self._folder / f"{service}.new"
        new.write_text(f"{point}\n{stop}")
        new.rename(self._folder / service)

    def take_back(self, service: str) -> None:
        """Forget an order that was not carried out."""
        (self._folder / service).unlink(missing_ok=True)

    def reached_by(self, service: str) -> int | None:
        """Return which process of the service has come to the point; None while none has."""
        reached = self._reached(service)
        return int(reached.read_text()) if reached.exists() else None

    def _reached(self, service: str) -> Path:
        return self._folder / f"{service}.reached"
