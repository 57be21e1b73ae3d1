"""The journals of all services, for reading: what was sent and heard, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from stagepost.engine.ids import derived
from stagepost.engine.replay.log import STATEMENTS, Log
from stagepost.messages import Kind


class Line(NamedTuple):
    """A line of a service's journal: a message that it sent (`out`), or one that it heard (`in`).

    `peer` is who was asked, or who sent it; `source_position` where it stands in that one's outbox.
    """

    service: str
    direction: str
    position: int
    id: UUID
    type: str
    kind: str
    peer: str | None
    key: str
    outcome: str | None
    detail: str | None
    correlation: UUID
    causation: UUID | None
    recorded_at: datetime
    source_position: int | None

    @property
    def is_sent(self) -> bool:
        return self.direction == "out"


async def of_key(
    log: Log, key: str, correlations: Collection[UUID] | None, limit: int
) -> list[Line]:
    """Return the first lines of a key, of these correlations where not of all."""
    wanted = None if correlations is None else list(correlations)
    return _lines(log, await log.fetch(STATEMENTS["journal_of_key"], key, wanted, limit))


async def heard(log: Log, messages: Iterable[UUID]) -> list[Line]:
    """Return the lines of those of these messages that a service has heard."""
    return _lines(log, await log.fetch(STATEMENTS["heard"], list(messages)))


async def sent_at(log: Log, positions: Iterable[int]) -> list[Line]:
    """Return what a service sent at these positions."""
    return _lines(log, await log.fetch(STATEMENTS["sent_at"], list(positions)))


async def sent_for(log: Log, causes: Iterable[UUID]) -> list[Line]:
    """Return what messages that a service has heard made it send."""
    return _lines(log, await log.fetch(STATEMENTS["sent_for"], list(causes)))


async def reactions(logs: Iterable[Log], sent: Collection[Line]) -> dict[UUID, list[Line]]:
    """Return who heard what was sent, by the message; the answer to a call is a reaction too."""
    answers = {derived(line.id, "answer"): line.id for line in sent if line.kind == Kind.CALL}
    found: dict[UUID, list[Line]] = {line.id: [] for line in sent}
    if found:
        for log in logs:
            for line in await heard(log, [*found, *answers]):
                found[answers.get(line.id, line.id)].append(line)
    return found


def _lines(log: Log, rows: Iterable[asyncpg.Record]) -> list[Line]:
    return [Line(log.name, *row) for row in rows]
