"""What a feed answers: a source's word is checked before it is believed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from stagepost.engine.envelope import Envelope, Place
from stagepost.engine.transports.http_envelope import read_batch
from stagepost.errors import ForeignMessage, TransportUnavailable
from stagepost.messages import Kind

BEGIN, END = "Stagepost-Begin", "Stagepost-End"
"""Headers: up to which position events may be pruned; in which life, and where, the feed ends."""
PAGE, BEYOND, PRUNED = 200, 409, 410

_EXCERPT = 300  # characters of a refusal that are told

_NEXT = re.compile(r'<[^>]*[?&]after=(\d{1,19})[&>].*rel="next"')


@dataclass(frozen=True, slots=True)
class Answer:
    """A page, which goes on after `next`; or a refusal, and what was pruned where that is why."""

    begin: int
    end: Place
    events: Sequence[Envelope] = ()
    next: int = 0
    refusal: str | None = None
    pruned: Mapping[str, Place] = field(default_factory=dict)


def read_answer(
    source: str, after: int, status: int, headers: Mapping[str, str], body: bytes
) -> Answer:
    """Read what a source answered to somebody who has read up to `after`.

    Raises:
        TransportUnavailable: it cannot answer now.
        ForeignMessage: it says what no feed of this source does.
    """
    if status not in {PAGE, BEYOND, PRUNED}:
        said = body[:_EXCERPT].decode(errors="replace") or "(no text)"
        raise TransportUnavailable(f"the feed of {source} answers with status {status}: {said}")
    try:
        begin, end = int(headers[BEGIN]), place_of(headers[END])
        if status != PAGE:
            problem = orjson.loads(body)
            pruned = {name: place_of(text) for name, text in problem.get("pruned", {}).items()}
            return Answer(begin, end, refusal=str(problem["detail"]), pruned=pruned)
        events, going_on = read_batch(body), _going_on(headers)
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise ForeignMessage(f"what {source} answers is no feed of ours: {error!r}") from error
    _check(source, after, events, going_on, is_empty=body.strip() == b"[]")
    return Answer(begin, end, events, going_on)


def write_place(place: Place) -> str:
    """Write where something stands in a feed: `incarnation:position`."""
    return f"{place.incarnation}:{place.position}"


def place_of(text: Any) -> Place:
    """Read what `write_place` wrote.

    Raises:
        ValueError, AttributeError
    """
    incarnation, position = text.split(":")
    return Place(int(incarnation), int(position))


def _going_on(headers: Mapping[str, str]) -> int:
    found = _NEXT.match(headers["Link"])
    if found is None:
        raise ValueError("it does not say how it goes on")
    return int(found[1])


def _check(
    source: str, after: int, events: Sequence[Envelope], going_on: int, *, is_empty: bool
) -> None:
    """Refuse what would move us backwards, nowhere, or behind somebody else's events."""
    last = after
    for event in events:
        if event.source != source or event.kind != Kind.EVENT:
            raise ForeignMessage(
                f"the feed of {source} has a message {event.type!r} of kind {event.kind!r}"
                f" that says it is from {event.source!r}"
            )
        if event.position <= last:
            raise ForeignMessage(f"the feed of {source} has {event.position} after {last}")
        last = event.position
    if going_on < last or (going_on == after and not is_empty):
        raise ForeignMessage(f"the feed of {source} goes on after {going_on}, and ends at {last}")
