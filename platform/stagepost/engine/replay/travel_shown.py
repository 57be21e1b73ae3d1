"""How travel in time looks: an aggregate, and what changed it, as text and as objects for JSON."""

from __future__ import annotations

import orjson

from stagepost.engine.replay.story_shown import when
from stagepost.engine.replay.travel import Change, Seen, Step, plain


def object_of(seen: Seen) -> dict[str, object]:
    """Return an aggregate as `--json` shows it."""
    stand = seen.stand
    return {
        "id": seen.stream,
        "version": stand.version if stand else 0,
        "position": stand.position if stand else None,
        "recorded_at": stand.recorded_at if stand else None,
        "state": plain(seen.aggregate) if stand else None,
    }


def text_of(name: str, seen: Seen) -> str:
    """Return an aggregate as a person reads it."""
    stand = seen.stand
    if stand is None:
        return f"{name} was not there yet"
    lines = (f"    {field} = {_value(value)}" for field, value in plain(seen.aggregate).items())
    since = f"version {stand.version}, since {when(stand.recorded_at)}"
    return "\n".join([f"{name}  {since}, position {stand.position}", *lines])


def object_of_step(step: Step) -> dict[str, object]:
    """Return an event and what it changed as `--json` shows it."""
    entry = step.entry
    return {
        "version": entry.version,
        "position": entry.position,
        "recorded_at": entry.recorded_at,
        "topic": entry.topic,
        "changes": [
            {"field": change.field, "before": change.before, "after": change.after}
            for change in step.changes
        ],
    }


def text_of_step(step: Step) -> str:
    """Return an event and what it changed as a person reads it."""
    entry = step.entry
    lines = [f"    {_change(change)}" for change in step.changes] or ["    nothing"]
    return "\n".join([f"version {entry.version}  {when(entry.recorded_at)}  {entry.topic}", *lines])


def _change(change: Change) -> str:
    return f"{change.field}: {_value(change.before)} -> {_value(change.after)}"


def _value(value: object) -> str:
    return orjson.dumps(value).decode()
