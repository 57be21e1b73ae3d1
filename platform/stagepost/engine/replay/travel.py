"""Travel in time: what an aggregate was at a version, a position or a time; what changed it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from pydantic_core import to_jsonable_python

from stagepost.aggregate import Aggregate, from_snapshot
from stagepost.engine.replay.fold import mutate, values_of
from stagepost.engine.replay.log import STATEMENTS, Entry, Log
from stagepost.errors import BadSettings


@dataclass(frozen=True, slots=True)
class Point:
    """A point in the life of a stream; without any of the three, now."""

    version: int | None = None
    position: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a stream stood: the last event that was there by then."""

    version: int
    position: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """A field that an event changed; None where it was not there."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Step:
    """An event of a stream, and what it changed."""

    entry: Entry
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Seen:
    """An aggregate as it was; before its first event there is neither stand nor aggregate."""

    stream: UUID
    stand: Stand | None
    aggregate: Aggregate | None


async def look(log: Log, stream: UUID, point: Point) -> Seen:
    """Return what an aggregate was at a point.

    Raises:
        BadSettings: there is no such version or position; it says which there are.
        UnreadableStream: an event cannot be read; it says which.
    """
    stand = await stand_of(log, stream, point)
    return Seen(stream, stand, await aggregate_at(log, stream, stand.version) if stand else None)


async def stand_of(log: Log, stream: UUID, point: Point) -> Stand | None:
    """Return where a stream stood, None where it had not begun by then.

    Raises:
        BadSettings: there is no such version or position; it says which there are.
    """
    if point.position is not None:
        await check_position(log, point.position)
    wanted = (stream, point.version, point.position, point.at)
    rows = await log.fetch(STATEMENTS["last_of_stream"], *wanted)
    found = Stand(*rows[0]) if rows else None
    if point.version is not None and (found is None or found.version != point.version):
        raise BadSettings(f"there is no version {point.version}: {await _versions(log, stream)}")
    return found


async def check_position(log: Log, position: int) -> None:
    """Make sure that an event stands at a position.

    Raises:
        BadSettings: none does; it says where the nearest do.
    """
    near = [row[0] for row in await log.fetch(STATEMENTS["positions_near"], position)]
    if position not in near:
        said = " and ".join(f"{one:,}" for one in near) or "none"
        raise BadSettings(
            f"there is no position {position:,} in {log.name}, whose last is {await log.head():,};"
            f" nearest: {said}"
        )


async def _versions(log: Log, stream: UUID) -> str:
    last = await stand_of(log, stream, Point())
    return f"there are 1 to {last.version:,}" if last else "there is none"


async def aggregate_at(log: Log, stream: UUID, version: int) -> Aggregate | None:
    """Return what an aggregate was at a version, None at version 0.

    From a snapshot where one is of use, else from the start: it comes to the same.

    Raises:
        UnreadableStream: an event cannot be read; it says which.
    """
    aggregate = await _from_snapshot(log, stream, version)

    async def add(page: Sequence[Entry]) -> None:
        nonlocal aggregate
        for entry in page:
            aggregate = mutate(aggregate, entry)

    after = aggregate.version if aggregate else 0
    await log.read_stream(add, stream, after=after, until=version)
    return aggregate


async def _from_snapshot(log: Log, stream: UUID, version: int) -> Aggregate | None:
    for row in await log.fetch(STATEMENTS["snapshot"], stream, version):
        try:
            return from_snapshot(StoredEvent(*row))
        except Exception:  # noqa: BLE001  # of another release, or damaged: it only costs time
            return None
    return None


async def between(log: Log, stream: UUID, after: int, until: int | None) -> int:
    """Return the last version between two; the later one may be that which comes next.

    Raises:
        BadSettings: there is no such version, or they stand the wrong way round.
    """
    last = await stand_of(log, stream, Point())
    there = last.version if last else 0
    for version, most in ((after, there), (until, there + 1)):
        if version is not None and not 0 <= version <= most:
            raise BadSettings(f"there is no version {version}: {await _versions(log, stream)}")
    if until is not None and until < after:
        raise BadSettings(f"--to {until} is before --from {after}")
    return there if until is None else min(until, there)


async def steps(
    log: Log,
    stream: UUID,
    after: int,
    until: int,
    show: Callable[[Step], None],
) -> None:
    """Give every event of a stream behind a version, up to another, with what it changed."""
    aggregate = await aggregate_at(log, stream, after)
    values = plain(aggregate)

    async def each(page: Sequence[Entry]) -> None:
        nonlocal aggregate, values
        for entry in page:
            aggregate = mutate(aggregate, entry)
            before, values = values, plain(aggregate)
            show(Step(entry, list(differences(before, values))))

    await log.read_stream(each, stream, after=after, until=until)


def plain(aggregate: Aggregate | None) -> dict[str, Any]:
    """Return what an aggregate is, in values that JSON has."""
    return {} if aggregate is None else to_jsonable_python(values_of(aggregate))


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], path: str = ""
) -> Iterator[Change]:
    """Return the fields in which two values differ; of a field with fields, those."""
    for name in dict.fromkeys([*before, *after]):
        was, is_now = before.get(name), after.get(name)
        if isinstance(was, dict) and isinstance(is_now, dict):
            yield from differences(was, is_now, f"{path}{name}.")
        elif was != is_now or (name in before) != (name in after):
            yield Change(f"{path}{name}", was, is_now)
