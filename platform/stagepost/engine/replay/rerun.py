"""Recorded input through other code: which decisions of a process would differ.

A process records what it heard with each decision (see decision 0005). What it ignored is not
recorded, so other code is not asked about that. Once it decides otherwise about a key, what was
recorded behind that is no longer what it would have heard: of each key the first difference counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from stagepost.aggregate import Aggregate
from stagepost.engine.replay.fold import mutate
from stagepost.engine.replay.log import PAGE, STATEMENTS, Entry, Log
from stagepost.errors import BadMessage, BadSettings, UnreadableEvent
from stagepost.messages import Message, decode, encode
from stagepost.process import Instance, Process, Reaction

SHOWN = 20
"""Keys of one kind of difference that are named; the others are counted."""

React: TypeAlias = Callable[[Any, Message], Reaction[Any]]


@dataclass(frozen=True, slots=True)
class Deviation:
    """The first decision about a key that would differ, and how.

    The kinds: another `state`, other `sends`, the same with other `data` or `bodies`; or the other
    code `ignores` what was heeded, or `fails`.
    """

    kind: str
    key: str
    position: int
    heard: str
    recorded: Any
    would: Any


@dataclass(slots=True)
class Kind:
    """Deviations that are alike: how many keys, and the first of them."""

    kind: str
    heard: str
    recorded: str
    would: str
    keys: int = 0
    first: list[Deviation] = field(default_factory=list)


@dataclass(slots=True)
class Rerun:
    """What came of recorded input in other code: how many keys and decisions were looked at."""

    process: str
    keys: int = 0
    decisions: int = 0
    kinds: dict[tuple[str, str, str, str], Kind] = field(default_factory=dict)

    @property
    def differing(self) -> int:
        return sum(kind.keys for kind in self.kinds.values())

    def note(self, found: Deviation) -> None:
        """Count a deviation with those that are like it."""
        alike = (found.kind, found.heard, _short(found.recorded), _short(found.would))
        kind = self.kinds.setdefault(alike, Kind(*alike))
        kind.keys += 1
        if len(kind.first) < SHOWN:
            kind.first.append(found)


def only_process(log: Log, services: Sequence[str]) -> Process[Any]:
    """Return the process of a service.

    Raises:
        BadSettings: it has none, or several.
    """
    processes = log.service.processes
    if len(processes) != 1:
        count = "no process" if not processes else "more than one process"
        raise BadSettings(f"{log.name} has {count}; one have: {', '.join(services)}")
    return processes[0]


async def rerun(
    log: Log, process: Process[Any], react: React, told: Callable[[int], None]
) -> Rerun:
    """Put what a process heard through other code, key by key.

    Raises:
        StoreError: an event cannot be read.
    """
    result, runner = Rerun(process.name), _Runner(process, react)
    until = await log.head()
    after: tuple[UUID, int] = (UUID(int=0), 0)
    while rows := await log.fetch(STATEMENTS["entries_by_stream"], *after, until, PAGE):
        for entry in (Entry(*row) for row in rows):
            after = entry.stream, entry.version
            if entry.topic.startswith(f"{Instance.TOPIC}."):
                runner.take(entry, result)
        told(len(rows))
    return result


class _Runner:
    """One key after the other: what was recorded, and where the other code stands."""

    def __init__(self, process: Process[Any], react: React) -> None:
        self._process = process
        self._react = react
        self._recorded: Aggregate | None = None
        self._state: Any = process.initial
        self._is_over = True

    def take(self, entry: Entry, result: Rerun) -> None:
        """Look at the next decision, unless one before it about this key differs already."""
        event = entry.event()
        if isinstance(event, Instance.Started):
            self._recorded, self._state = None, self._process.initial
            self._is_over = event.process != self._process.name
            result.keys += not self._is_over
        if self._is_over or not isinstance(event, Instance.Started | Instance.Reacted):
            return
        before = self._process.state_of(self._recorded)  # type: ignore[arg-type]  # an instance's stream
        self._recorded = mutate(self._recorded, entry)
        key = self._recorded.key  # type: ignore[attr-defined]  # the same
        result.decisions += 1
        for kind, recorded, would in self._differences(event, before, _heard(entry, event)):
            self._is_over = True
            result.note(Deviation(kind, key, entry.position, event.heard.type, recorded, would))
            return

    def _differences(
        self, event: Instance.Started | Instance.Reacted, before: Any, message: Message
    ) -> list[tuple[str, Any, Any]]:
        """Return what differs: kind, what is recorded, what would be; the gravest first."""
        sent = [sent.type for sent in event.sent]
        try:
            reaction = self._react(self._state, message)
            self._state, would = reaction.state, _Seen.of(reaction)
        except Exception as error:  # noqa: BLE001  # other code may do anything
            return [("fails", event.state, repr(error))]
        if not reaction.heeded:
            return [("ignores", event.state, would.state)]
        bodies = self._bodies(event, before, message)
        pairs = [
            ("state", event.state, would.state),
            ("sends", sent, would.sends),
            ("data", event.data, would.data),
            ("bodies", would.bodies if bodies is None else bodies, would.bodies),
        ]
        return [pair for pair in pairs if pair[1] != pair[2]]

    def _bodies(
        self, event: Instance.Started | Instance.Reacted, before: Any, message: Message
    ) -> list[Any] | None:
        """Return the bodies of what was sent: the record has types only.

        They are what the process's own code makes of it, where it decides as is recorded.
        """
        own = _Seen.of(self._process.react(before, message))
        recorded = (event.state, event.data, [sent.type for sent in event.sent])
        return own.bodies if (own.state, own.data, own.sends) == recorded else None


def _heard(entry: Entry, event: Instance.Started | Instance.Reacted) -> Message:
    """Return the message that was reacted to.

    Raises:
        UnreadableEvent: this release does not know it.
    """
    heard = event.heard
    try:
        return decode(heard.type, heard.version, orjson.dumps(heard.body))
    except BadMessage as error:
        where = f"at position {entry.position}"
        raise UnreadableEvent(entry.topic, where, str(error)) from error


@dataclass(frozen=True, slots=True)
class _Seen:
    """A reaction, as it is compared."""

    state: str
    data: Any
    sends: list[str]
    bodies: list[Any]

    @classmethod
    def of(cls, reaction: Reaction[Any]) -> _Seen:
        return cls(
            type(reaction.state).__name__,
            reaction.state.model_dump(mode="json"),
            [message.TYPE for message in reaction.sends],
            [orjson.loads(encode(message)) for message in reaction.sends],
        )


def _short(side: Any) -> str:
    """Say it so that what is alike counts as one kind."""
    if isinstance(side, str):
        return side
    if isinstance(side, list) and all(isinstance(one, str) for one in side):
        return ", ".join(side) or "nothing"
    return "…"
