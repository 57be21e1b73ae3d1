"""A message with everything that is said about it: what travels, and what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with everything that is said about it: CloudEvents 1.0 attributes and ours.

    `incarnation` and `position` say where it stands in its source's outbox (0 where it has none:
    requests, timers, answers to calls). `recipient` is set for commands.
    """

    id: UUID
    type: str
    version: int
    kind: str
    source: str
    key: str
    correlation: UUID
    causation: UUID | None
    body: bytes
    recipient: str | None = None
    traceparent: str | None = None
    incarnation: int = 0
    position: int = 0
    time: datetime | None = None


class Place(NamedTuple):
    """Where something stands in a service's outbox, and in which life of its database.

    What came later is greater.
    """

    incarnation: int
    position: int
