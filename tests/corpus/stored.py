"""A line of a corpus: a stream as it was stored, what it made, and the rows that showed it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from eventsourcing.persistence import StoredEvent
from pydantic_core import to_jsonable_python

import services
from services.customers.process import onboarding
from services.fulfillment.process import order_fulfillment
from stagepost.aggregate import DomainEvent, from_stored, to_stored
from stagepost.engine.decisions import fold as fold_stream
from stagepost.engine.discovery import find_services
from stagepost.engine.store import Stream
from stagepost.engine.views import fold
from stagepost.messages import Message, encode
from stagepost.process import Heard, Instance, Process, Sent
from stagepost.testing import given
from stagepost.view import Recorded
from tests.corpus.stories import STORIES, Story

SERVICES = find_services()
PROCESSES: Mapping[str, Process[Any]] = {p.name: p for p in (onboarding, order_fulfillment)}
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Line:
    """One stream: its events as topic and body, what they make, and the rows of the views."""

    stream: str
    events: Sequence[tuple[str, dict[str, Any]]]
    makes: Mapping[str, Any]
    rows: Mapping[str, Any]

    @property
    def stored(self) -> list[StoredEvent]:
        """The events as the store has them."""
        return [
            StoredEvent(UUID(self.stream), version, topic, orjson.dumps(state))
            for version, (topic, state) in enumerate(self.events, 1)
        ]


def folder(service: str) -> Path:
    return Path(services.__path__[0]) / service / "corpus"


def released(service: str) -> list[Path]:
    """Return the corpora of a service, the oldest first."""
    return sorted(folder(service).glob("*.jsonl"))


def newest(service: str) -> str:
    """Return the newest corpus of a service; it has none as long as nothing happens in it."""
    files = released(service)
    return files[-1].read_text() if files else ""


def read(text: str) -> list[Line]:
    return [Line(**json.loads(line)) for line in text.splitlines()]


def text_of(lines: Iterable[Line]) -> str:
    return "".join(f"{json.dumps(vars(line))}\n" for line in lines)


def written_now(service: str) -> list[Line]:
    """Return what this release stores when the stories of a service happen."""
    streams = [stream for story in STORIES.get(service, ()) for stream in _happened(story)]
    return [replayed(service, [to_stored(event) for event in stream]) for stream in streams]


def replayed(service: str, stored: Sequence[StoredEvent]) -> Line:
    """Fold a stream as an engine does, into its aggregate and into the rows of the views."""
    return Line(
        str(stored[0].originator_id),
        [(event.topic, json.loads(event.state)) for event in stored],
        _made_of(stored),
        _rows_of(service, stored),
    )


def _made_of(stored: Sequence[StoredEvent]) -> dict[str, Any]:
    aggregate = fold_stream(Stream(stored))
    made = {name: value for name, value in vars(aggregate).items() if name[0] != "_"}
    if isinstance(aggregate, Instance):
        made["stands"] = PROCESSES[aggregate.process].state_of(aggregate)
    plain: dict[str, Any] = to_jsonable_python({"version": aggregate.version, **made})
    return plain


def _rows_of(service: str, stored: Sequence[StoredEvent]) -> dict[str, Any]:
    recorded = [
        Recorded(n, _BEGIN + timedelta(seconds=n), from_stored(event))
        for n, event in enumerate(stored, 1)
    ]
    found = {}
    for view in SERVICES[service].views:
        rows = fold(view, {}, ((view.key_of(r.event), r) for r in recorded))
        if rows:
            (row,) = rows.values()
            found[view.name] = row.model_dump(mode="json")
    return found


def _happened(story: Story) -> list[list[DomainEvent]]:
    subject, messages = story
    if isinstance(subject, Process):
        return [_reactions(subject, messages)]
    return list(given(subject, *messages).streams.values())


def _reactions(process: Process[Any], messages: Sequence[Message]) -> list[DomainEvent]:
    """Record what a process does, as the engine records it."""
    instance: Instance | None = None
    for message in messages:
        reaction = process.react(process.state_of(instance), message)
        recorded = {
            "heard": Heard(
                type=message.TYPE, version=message.VERSION, body=json.loads(encode(message))
            ),
            "state": type(reaction.state).__name__,
            "data": reaction.state.model_dump(mode="json"),
            "sent": tuple(
                Sent(type=m.TYPE, delay=getattr(m, "DELAY", None)) for m in reaction.sends
            ),
        }
        if instance is None:
            instance = Instance(process=process.name, key=message.key, **recorded)
        else:
            instance.react(**recorded)
    assert instance is not None
    return list(instance.collect_events())  # type: ignore[arg-type]  # ours
