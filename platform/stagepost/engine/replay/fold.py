"""Folds: what events make of an aggregate, and of the rows of a view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stagepost.aggregate import Aggregate
from stagepost.engine.replay.log import Entry
from stagepost.engine.views import fold
from stagepost.errors import UnreadableStream
from stagepost.view import Row, View


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


def rows_of(view: View[Any], rows: Mapping[str, Row], page: Iterable[Entry]) -> dict[str, Row]:
    """Return the rows of a view that a page changes, as it makes them: the view's own fold.

    `rows` are those before it; keys that are not there begin anew.
    """
    recorded = (entry.recorded() for entry in page)
    return fold(view, rows, ((view.key_of(one.event), one) for one in recorded))


def values_of(aggregate: Aggregate) -> dict[str, Any]:
    """Return what an aggregate is: its own attributes, by name."""
    return {name: value for name, value in vars(aggregate).items() if not name.startswith("_")}
