"""How people call what the store knows by other names: streams, types of events, keys."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Sequence
from inspect import signature
from uuid import UUID

from eventsourcing.utils import resolve_topic

from stagepost.aggregate import DomainEvent, FirstEvent, stream_id
from stagepost.engine.replay.given import unknown
from stagepost.engine.replay.log import STATEMENTS, Entry, Log, Which
from stagepost.engine.service import Service
from stagepost.errors import UnreadableStream
from stagepost.process import Instance

LATELY = 5_000
"""Streams among whose names the nearest is looked for: those that began last."""


async def find_stream(log: Log, given: str) -> UUID:
    """Return the id of a stream that is called by its name, such as order/10248, or by its id.

    Raises:
        BadSettings: there is none; it says which are called nearly so.
    """
    stream = _id_of(given)
    if await log.fetch(STATEMENTS["last_of_stream"], stream, None, None, None):
        return stream
    rows = await log.fetch(STATEMENTS["last_firsts"], LATELY)
    names = filter(None, (name_of(Entry(*row)) for row in rows))
    raise unknown(f"stream in {log.name} called", given, sorted(names))


def _id_of(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        return stream_id(given)


def name_of(first: Entry) -> str | None:
    """Return how a stream is called whose first event this is, None where nothing says so."""
    try:
        event = first.event()
    except UnreadableStream:
        return None
    if not isinstance(event, FirstEvent):
        return None
    stream = getattr(resolve_topic(event.originator_topic), "stream", None)
    if stream is None:
        return None
    name: str = stream(**{part: getattr(event, part) for part in signature(stream).parameters})
    return name if stream_id(name) == first.stream else None


async def names_of(log: Log, streams: Collection[UUID]) -> dict[UUID, str]:
    """Return how these streams are called, as far as their first events say so."""
    firsts = [Entry(*row) for row in await log.fetch(STATEMENTS["firsts"], list(streams))]
    return {first.stream: name for first in firsts if (name := name_of(first)) is not None}


async def check_types(log: Log, patterns: Sequence[str]) -> None:
    """Make sure that each pattern is one of something.

    Raises:
        BadSettings: there is no such type; it says which there are.
    """
    known = types_of(log.service)
    for pattern in patterns:
        if not fnmatch.filter(known, pattern) and not await _is_stored(log, pattern):
            raise unknown(f"type in {log.name}", pattern, known)


def types_of(service: Service) -> list[str]:
    """Return the topics of a service's events and the types of the messages that cause them."""
    heard = {m.TYPE for p in service.processes for m in (p.starts_on, *p.listens_to)}
    heard |= {message.TYPE for message in service.handlers}
    topics = {cls.TOPIC for cls in _every(DomainEvent) if "TOPIC" in vars(cls)}
    owners = (f"{service.name}.", *([f"{Instance.TOPIC}."] if service.processes else ()))
    return sorted({topic for topic in topics if topic.startswith(owners)} | heard)


def _every(cls: type[DomainEvent]) -> Iterator[type[DomainEvent]]:
    for child in cls.__subclasses__():
        yield child
        yield from _every(child)


async def _is_stored(log: Log, pattern: str) -> bool:
    """Tell whether another release has stored what this one does not know."""
    return bool(await log.page(Which(types=[pattern]), 0, await log.head(), 1))


async def check_key(log: Log, key: str) -> None:
    """Make sure that a service has heard of an order, or whatever else a key stands for.

    Raises:
        BadSettings: it has not; it says which are called nearly so.
    """
    if not (await log.fetch(STATEMENTS["is_heard_of"], key))[0][0]:
        near = [row[0] for row in await log.fetch(STATEMENTS["keys_near"], key)]
        raise unknown(f"order in {log.name}", key, near)
