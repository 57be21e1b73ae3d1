"""What was seen of an event without its reader and of a command without its recipient, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.customers.process import TRIES
from stagepost.engine.flow import Flow
from stagepost.engine.links_shown import dependencies
from tests.experiments.tweet_or_mail_registry import Registry
from tests.experiments.tweet_or_mail_shop import DEADLINE, Alarms, Entry

LATE = 1.5
"""Seconds after its deadline by which a missing proof must be noticed, on a busy machine too."""
NO_RECIPIENT = "command without one recipient"

ROWS = (
    "nobody hears",
    "who must know it",
    "the sender",
    "notices",
    "messages (1)",
    "/health/ready",
    "metrics (1)",
    "waits",
    "stagepost links (2)",
    "stagepost check (2)",
    "then it comes",
    "in the end",
)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen while a service was missing, and what when all were there.

    `journal` is what the others sent and heard of the first customer while it was missing, `later`
    the same once it had come, `beside` the same of the second customer. `kept` counts what the
    broker has for who is missing; in `took` seconds it caught up.
    """

    missing: str
    journal: Sequence[Entry]
    later: Sequence[Entry]
    beside: Sequence[Entry]
    alarms: Alarms
    usual: Alarms
    kept: Mapping[str, int]
    registry: Registry
    took: float

    @property
    def differs(self) -> dict[str, tuple[int, int]]:
        """How often there is a message in the one journal and in the other, where that differs."""
        one, other = _counted(self.journal), _counted(self.beside)
        names = {name for _, _, name, *_ in (one - other) + (other - one)}
        return {n: (_times(self.journal, n), _times(self.beside, n)) for n in sorted(names)}

    @property
    def dependants(self) -> list[str]:
        """Who has to know the missing service."""
        return [who for who, on in dependencies(Flow()) if on == self.missing]

    def _dependants(self) -> str:
        return ", ".join(self.dependants) or "nobody"

    def _beside(self) -> str:
        services = len({entry.service for entry in self.journal})
        same = f"the same {len(self.journal)} lines in the journals of {services} services"
        differs = [
            f"{name} {one} instead of {other}" for name, (one, other) in self.differs.items()
        ]
        return ", ".join(differs) or same

    def _health(self) -> str:
        found = Counter(self.alarms.health.values())
        said = ", ".join(f"{health} in {count}" for health, count in found.items())
        return f"{said} of {found.total()} services"

    def _gauges(self, alarms: Alarms) -> str:
        return ", ".join(alarms.beside(self.usual)) or "no gauge differs"

    def _waits(self) -> str:
        kept = ", ".join(f"{count} {name}" for name, count in self.kept.items())
        behind = ", ".join(f"{count} {where}" for where, count in self.alarms.waiting.items())
        return f"{kept} in the broker; {behind or 'nothing'} in stagepost status"

    def _links(self) -> str:
        alone = [f"{row.message} has no reader" for row in self.registry.new_links]
        return ", ".join(alone) or "the other links are as they were"

    def _check(self) -> str:
        rules: dict[str, list[str]] = {}
        for rule, place in self.registry.found_since:
            rules.setdefault(rule, []).append(place)
        said = [f"{rule}: {', '.join(places)}" for rule, places in rules.items()]
        status = f"exit status {self.registry.without.status}"
        return "; ".join([status, *(said or ["nothing found that was not found before"])])


@dataclass(frozen=True, kw_only=True)
class Event(Seen):
    """An event without its reader; how onboarding and order of the first customer stood then."""

    onboarding: str
    order: str
    points: int

    @property
    def holds(self) -> bool:
        """Whether nothing upstream changed: no message, no figure, no finding."""
        return (
            self.alarms.is_well
            and self.later == self.journal
            and not (self.differs or self.alarms.beside(self.usual) or self.dependants)
            and not (self.registry.found_since or self.registry.without.status)
        )

    @property
    def cells(self) -> tuple[str, ...]:
        """What is printed, row by row."""
        told = ", ".join(f"{name} {_times(self.journal, name)}x" for name in self.kept)
        stands = f"the customer is {self.onboarding}, the order {self.order}"
        noticed = [name for name, (one, other) in self.differs.items() if one > other]
        return (
            f"the events {', '.join(self.kept)}",
            self._dependants(),
            f"tells {told}, and goes on: {stands}",
            ", ".join(noticed) or "nothing, ever",
            self._beside(),
            self._health(),
            self._gauges(self.alarms),
            self._waits(),
            self._links(),
            self._check(),
            f"{self.points} points are awarded, {self.took:.1f} s after the stack is ready",
            f"{len(self.later) - len(self.journal)} lines more in the journals of the others",
        )


@dataclass(frozen=True, kw_only=True)
class Command(Seen):
    """A command without its recipient; how customers stood between its tries and after them.

    `ended` is how onboarding stood when the recipient had come, `letters` are those that it sent.
    """

    meanwhile: Alarms
    waited: str
    overdue: str
    ended: str
    letters: int

    @property
    def holds(self) -> bool:
        """Whether it was noticed by each deadline, told in the end, and done once it could be."""
        due, told = _seconds(self.journal, "LetterDue"), _seconds(self.journal, "OnboardingOverdue")
        asked = _seconds(self.journal, "SendWelcomeLetter")
        in_time = all(
            DEADLINE <= noticed - at < DEADLINE + LATE
            for at, noticed in zip(asked, due, strict=True)
        )
        refused = any(found.rule == NO_RECIPIENT for found in self.registry.found_since)
        ended = (len(told), self.ended, self.letters) == (1, "Onboarded", 1)
        return in_time and len(due) == TRIES and ended and refused

    @property
    def cells(self) -> tuple[str, ...]:
        """What is printed, row by row."""
        asked, due, overdue = (
            _listed(_seconds(self.journal, name))
            for name in ("SendWelcomeLetter", "LetterDue", "OnboardingOverdue")
        )
        tries = _times(self.journal, "SendWelcomeLetter")
        noticed = f"LetterDue after {due}; it tells OnboardingOverdue after {overdue}"
        stands = f"the customer is {self.waited}, then {self.overdue}"
        meanwhile, then = self._gauges(self.meanwhile), self._gauges(self.alarms)
        proof = "the letter is sent, and its proof still counts"
        return (
            f"the command {', '.join(self.kept)}",
            self._dependants(),
            f"asks {tries} times, after {asked}: {stands}",
            f"that there is no proof by the deadline of {DEADLINE:g} s: {noticed}",
            self._beside(),
            self._health(),
            f"between the tries {meanwhile}; then {then}",
            self._waits(),
            self._links(),
            self._check(),
            f"{proof}: the customer is {self.ended} {self.took:.1f} s after the stack is ready",
            f"{self.letters} letter for {tries} commands",
        )


def _counted(entries: Iterable[Entry]) -> Counter[tuple[str, str, str, str | None, str | None]]:
    return Counter((e.service, e.direction, e.name, e.peer, e.outcome) for e in entries)


def _times(entries: Iterable[Entry], name: str) -> int:
    """Count a message where it was sent; timers, and what others sent, where it was heard."""
    lines = Counter(entry.direction for entry in entries if entry.name == name)
    return lines["out"] or lines["in"]


def _seconds(entries: Sequence[Entry], name: str) -> list[float]:
    """Return when a service sent a message or heard its own timer, after the first line of all."""
    first = entries[0].at
    return [(e.at - first).total_seconds() for e in entries if e.name == name]


def _listed(seconds: Sequence[float]) -> str:
    *first, last = [f"{each:.1f}" for each in seconds]
    return f"{', '.join(first)} and {last} s" if first else f"{last} s"
