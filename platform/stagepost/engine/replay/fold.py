"""The fold of a stream: what events make of an aggregate."""

from __future__ import annotations

from typing import Any

from stagepost.aggregate import Aggregate
from stagepost.engine.replay.log import Entry
from stagepost.errors import UnreadableStream


def mutate(aggregate: Aggregate | None, entry: Entry) -> Aggregate:
    """Return what an event makes of an aggregate; it is the same one, changed.

    Raises:
        UnreadableStream: it says at which position.
    """
    event = entry.event()
    try:
        mutated = event.mutate(aggregate)
    except Exception as error:
        raise UnreadableStream(
            f"position {entry.position} ({entry.topic}) does not fit what is before it: {error}"
        ) from error
    if not isinstance(mutated, Aggregate):
        raise UnreadableStream(f"position {entry.position} ({entry.topic}) makes no aggregate")
    return mutated


def values_of(aggregate: Aggregate) -> dict[str, Any]:
    """Return what an aggregate is: its own attributes, by name."""
    return {name: value for name, value in vars(aggregate).items() if not name.startswith("_")}
