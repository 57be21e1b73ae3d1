"""What was seen of an event without its readers and a command without its recipient, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from services.customers.process import TRIES

EVENT, COMMAND = "OrderConfirmed", "SendWelcomeLetter"
DUE, OVERDUE = "LetterDue", "OnboardingOverdue"
NO_RECIPIENT = f"command without one recipient: notifications.{COMMAND}"


class Entry(NamedTuple):
    """One line of a service's journal."""

    service: str
    direction: str
    name: str
    at: datetime


@dataclass(frozen=True)
class Beside:
    """What the others' journals say of one thing, and of another of which all are there to hear.

    The two were done the same way: `alone` is the one in a stack where services are missing.
    """

    alone: Sequence[Entry]
    together: Sequence[Entry]

    @property
    def differs(self) -> dict[str, tuple[int, int]]:
        """How often a message is in the ones and in the others, where that differs."""
        alone, together = (
            Counter((entry.name, entry.service, entry.direction) for entry in entries)
            for entries in (self.alone, self.together)
        )
        lines = sorted(alone.keys() | together.keys())
        return {one[0]: (alone[one], together[one]) for one in lines if alone[one] != together[one]}

    def __str__(self) -> str:
        differs = [
            f"{name} {one} instead of {other}" for name, (one, other) in self.differs.items()
        ]
        return ", ".join(differs) or f"the same {len(self.alone)} lines"

    def seconds(self, name: str, direction: str = "out") -> list[float]:
        """Return when, of those alone, a message was sent or heard, after the first line of all."""
        first = self.alone[0].at
        lines = (
            entry for entry in self.alone if (entry.name, entry.direction) == (name, direction)
        )
        return [(entry.at - first).total_seconds() for entry in lines]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What an order and its customer left in the journals, and what else there was to see.

    By message: `needs` says who depends on whom for it, `found` what `stagepost check` finds
    without its reader. After so many seconds there were `points` and `proof` at last.
    """

    order: Beside
    customer: Beside
    needs: Mapping[str, Sequence[str]]
    found: Mapping[str, Sequence[str]]
    health: Sequence[str]
    points: float
    proof: float
    letters: int

    @property
    def holds(self) -> bool:
        """Whether the event is told, and nothing minds; the command is minded, told of, done once.

        Where it has no recipient `stagepost check` says so, and of the event nothing.
        """
        event = len(self.order.seconds(EVENT)) == 1 and not self.order.differs
        asked, due, overdue = (
            len(self.customer.seconds(*which)) for which in ((COMMAND,), (DUE, "in"), (OVERDUE,))
        )
        command = (asked, due, overdue, self.letters) == (TRIES, TRIES, 1, 1)
        refused = NO_RECIPIENT in self.found[COMMAND] and not self.found[EVENT]
        return event and command and refused and set(self.health) == {"ok"}

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """What is printed of the two, side by side."""
        told, asked = len(self.order.seconds(EVENT)), self.customer.seconds(COMMAND)
        deadlines = f"deadlines, after {_listed(self.customer.seconds(DUE, 'in'))}"
        overdue = _listed(self.customer.seconds(OVERDUE))
        health = f"{self.health.count('ok')} of {len(self.health)} services are ok"
        points, proof = f"points after {self.points:.1f} s", f"the proof after {self.proof:.1f} s"
        return [
            ("who depends on whom", *self._of_each(self.needs)),
            ("stagepost check", *self._of_each(self.found)),
            ("its sender", f"tells it {told}x", f"asks {len(asked)}x: after {_listed(asked)}"),
            ("what notices", "nothing", f"{deadlines}; {OVERDUE} is told after {overdue}"),
            ("journals, against those with both", str(self.order), str(self.customer)),
            ("/health/ready", health, health),
            (
                "once both are there",
                points,
                f"{proof}; letters for all {len(asked)}: {self.letters}",
            ),
        ]

    @staticmethod
    def _of_each(said: Mapping[str, Sequence[str]]) -> tuple[str, str]:
        event, command = ("; ".join(said[name]) or "nothing" for name in (EVENT, COMMAND))
        return event, command


def _listed(seconds: Sequence[float]) -> str:
    return ", ".join(f"{each:.1f}" for each in seconds) + " s"
