"""The story that a log tells: what happened, because of which message, and who reacted to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from stagepost.engine.replay.journal import Line, heard, reactions, sent_for
from stagepost.engine.replay.log import Entry, Log, Which
from stagepost.engine.replay.names import check_key, check_types, names_of

STORY_PAGE = 200
"""Events told at once: for each the journals of all services are looked into."""


@dataclass(frozen=True, slots=True)
class Told:
    """A message that was sent, and the lines of those who heard it."""

    message: Line
    heard: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of a stream, the message that caused it, and all that this made the service say."""

    entry: Entry
    stream: str
    cause: Line | None
    told: Sequence[Told]


async def tell(
    log: Log, others: Iterable[Log], which: Which, show: Callable[[Happened], None]
) -> None:
    """Give the events of a log to `show`, one by one, with what led to it and what followed.

    Raises:
        BadSettings: no such type or key is known; it says which are.
    """
    await check_types(log, which.types)
    if which.key is not None:
        await check_key(log, which.key)
    others = list(others)

    async def each(page: Sequence[Entry]) -> None:
        for happened in await _look_around(log, others, page):
            show(happened)

    await log.read(each, which, limit=STORY_PAGE)


async def _look_around(log: Log, others: Iterable[Log], page: Sequence[Entry]) -> list[Happened]:
    causes = {entry.causation for entry in page if entry.causation is not None}
    names = await names_of(log, {entry.stream for entry in page})
    async with log.frozen() as now:
        lines = {line.id: line for line in await heard(now, causes)}
        sent = await sent_for(now, causes)
    heard_by = await reactions(others, sent)
    told: dict[UUID | None, list[Told]] = {}
    for line in sent:
        told.setdefault(line.causation, []).append(Told(line, heard_by[line.id]))
    return [
        Happened(
            entry,
            names.get(entry.stream, str(entry.stream)),
            lines.get(entry.causation) if entry.causation else None,
            told.get(entry.causation, ()),
        )
        for entry in page
    ]
