"""What came of an order, or of whatever else a key stands for: messages across all services.

They are ordered by causation and by the positions of each service, never by clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from stagepost.engine.replay.given import unknown
from stagepost.engine.replay.journal import Line, heard, of_key, sent_at, sent_for
from stagepost.engine.replay.log import STATEMENTS, Log

MOST = 5_000
"""Lines of journals that are traced at most; an order has about forty."""


@dataclass
class Traced:
    """A message: who sent it, who heard it, and what that made them send.

    `sent` is missing of what nobody sent: requests over HTTP, timers, the answers of the world.
    """

    id: UUID
    sent: Line | None = None
    heard: list[Line] = field(default_factory=list)
    effects: list[Traced] = field(default_factory=list)

    @property
    def line(self) -> Line:
        return self.sent or self.heard[0]

    @property
    def service(self) -> str:
        """Whose journal says that it was sent, or that it came from outside or from a timer."""
        return self.line.service

    @property
    def sender(self) -> str:
        """Who sent it: a service, or a part of the world."""
        return self.sent.service if self.sent else str(self.heard[0].peer)


@dataclass(frozen=True, slots=True)
class Trace:
    """The messages that nothing here caused, with all that came of them."""

    roots: Sequence[Traced]
    is_cut: bool


async def trace(logs: Sequence[Log], key: str) -> Trace:
    """Follow a key through the journals of all services, and wherever it leads to another key.

    Raises:
        BadSettings: nobody has heard of it; it says of what is called nearly so.
    """
    lines = await _lines(logs, key)
    if not lines:
        near = {row[0] for log in logs for row in await log.fetch(STATEMENTS["keys_near"], key)}
        raise unknown("order", key, sorted(near))
    is_cut = len(lines) >= MOST
    lines |= await _causes(logs, lines)
    return Trace(_tree(lines.values()), is_cut)


_Lines = dict[tuple[str, str, UUID], Line]


async def _lines(logs: Sequence[Log], key: str) -> _Lines:
    """Return all lines of a key, and of the keys to which it leads, what it led to there."""
    found: _Lines = {}
    keys: dict[str, None] = {key: None}
    correlations: set[UUID] | None = None
    while keys and len(found) < MOST:
        current = next(iter(keys))
        del keys[current]
        for log in logs:
            lines = await of_key(log, current, correlations, MOST - len(found))
            found |= _by_place(lines)
        for log in logs:
            causes = [
                one.id for one in found.values() if one.service == log.name and not one.is_sent
            ]
            sent = _by_place(await sent_for(log, causes) if causes else ())
            keys |= dict.fromkeys(one.key for place, one in sent.items() if place not in found)
            found |= sent
        correlations = {line.correlation for line in found.values()}
    return found


async def _causes(logs: Sequence[Log], lines: _Lines) -> _Lines:
    """Return what lies before these lines: of a message that was sent who heard what before it."""
    by_name = {log.name: log for log in logs}
    found: _Lines = {}
    new: Iterable[Line] = list(lines.values())
    while new := [
        line for line in await _before(by_name, new) if _place(line) not in lines | found
    ]:
        found |= _by_place(new)
    return found


async def _before(logs: Mapping[str, Log], lines: Iterable[Line]) -> list[Line]:
    before: list[Line] = []
    for name, log in logs.items():
        causes = {
            line.causation for line in lines if line.service == name and line.causation is not None
        }
        places = {
            line.source_position for line in lines if line.peer == name and line.source_position
        }
        before += await heard(log, causes) if causes else ()
        before += await sent_at(log, places) if places else ()
    return before


def _by_place(lines: Iterable[Line]) -> _Lines:
    return {_place(line): line for line in lines}


def _place(line: Line) -> tuple[str, str, UUID]:
    return line.service, line.direction, line.id


def _tree(lines: Iterable[Line]) -> list[Traced]:
    messages: dict[UUID, Traced] = {}
    for line in lines:
        message = messages.setdefault(line.id, Traced(line.id))
        if line.is_sent:
            message.sent = line
        else:
            message.heard.append(line)
    for message in messages.values():
        message.heard.sort(key=lambda line: line.service)
    ordered = sorted(messages.values(), key=_order)
    for message in ordered:
        if (cause := message.line.causation) in messages:
            messages[cause].effects.append(message)
    return [message for message in ordered if message.line.causation not in messages]


def _order(message: Traced) -> tuple[str, int]:
    """Order the effects of one cause as their service sent them; a timer when it was handled."""
    return message.line.service, message.line.position
