"""How a story looks: as text, as objects for JSON."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
from pydantic_core import to_jsonable_python

from stagepost.aggregate import IN_COLUMNS
from stagepost.engine.replay.journal import Line
from stagepost.engine.replay.log import Entry
from stagepost.engine.replay.story import Happened, Told
from stagepost.messages import Kind

_KNOWN = IN_COLUMNS | {"originator_topic"}


def object_of(happened: Happened) -> dict[str, object]:
    """Return an event as `--json` shows it."""
    entry, cause = happened.entry, happened.cause
    return {
        "position": entry.position,
        "recorded_at": entry.recorded_at,
        "stream": happened.stream,
        "version": entry.version,
        "topic": entry.topic,
        "data": data_of(entry),
        "cause": cause and {**_message(cause), "source": cause.peer},
        "told": [
            {
                **_message(told.message),
                "to": told.message.peer,
                "heard": [
                    {"service": line.service, "outcome": line.outcome, "detail": line.detail}
                    for line in told.heard
                ],
            }
            for told in happened.told
        ],
    }


def _message(line: Line) -> dict[str, object]:
    return {"id": line.id, "type": line.type, "kind": line.kind, "key": line.key}


def data_of(entry: Entry) -> object:
    """Return what an event says, as this release understands it."""
    return to_jsonable_python(entry.event().model_dump(exclude=_KNOWN))


def text_of(happened: Happened) -> str:
    """Return an event as a person reads it."""
    entry = happened.entry
    where = f"version {entry.version}, position {entry.position}"
    lines = [
        f"{when(entry.recorded_at)}  {happened.stream}  {entry.topic}  {where}",
        f"    {orjson.dumps(data_of(entry)).decode()}",
        f"    because of {_cause(happened)}",
        *(f"    then {_told(told)}" for told in happened.told),
    ]
    return "\n".join(lines)


def _cause(happened: Happened) -> str:
    cause = happened.cause
    if cause is None:
        return "what the journal has no longer" if happened.entry.causation else "nothing"
    if cause.kind == Kind.REQUEST:
        return f"{cause.type}, asked over HTTP"
    return f"{cause.type}, {cause.kind} of {cause.peer}"


def _told(told: Told) -> str:
    message = told.message
    to = f" to {message.peer}" if message.peer else ""
    reacted = ", ".join(map(reaction, told.heard))
    return f"{message.kind} {message.type}{to}: {reacted or 'nobody has reacted'}"


def reaction(line: Line) -> str:
    """Say what somebody did about a message; what the outside world answered, it did itself."""
    if line.kind == Kind.ANSWER:
        return (
            f"answered {line.type}" if line.outcome == "handled" else f"{line.type}, {line.outcome}"
        )
    why = f" ({line.detail})" if line.detail else ""
    return f"{line.service} {line.outcome} it{why}"


def when(at: datetime) -> str:
    """Write a time to the millisecond, in UTC, as the commands take it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
