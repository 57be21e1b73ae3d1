"""Transports, as ports: one stream per source, written by its relay alone, read by many.

Every adapter passes one conformance suite: order per source, at least once, resume where the
reader says, nothing of a foreign writer taken for ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, Self, runtime_checkable
from uuid import UUID

from stagepost.engine.batch import Cursor
from stagepost.engine.envelope import Envelope


class StreamId(NamedTuple):
    """Which message of a source: its incarnation, its position in the outbox, and its own id."""

    incarnation: int
    position: int
    id: UUID

    @classmethod
    def of(cls, message: Envelope) -> Self:
        return cls(message.incarnation, message.position, message.id)


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came from the broker; `hint` is where the broker keeps it."""

    message: Envelope
    hint: int


@dataclass(frozen=True, slots=True)
class FromOutside(Received):
    """A message of a sender without an outbox, which stands in a stream of all of these.

    It is asked about at the stream's `hint`: when the broker stored it, in microseconds. Its key is
    its own id, as long as nobody has looked into it. `fault` says what is wrong with its headers.
    """

    fault: str | None = None


def sent_at(message: Envelope) -> datetime:
    """Return when a message was sent, by its source's clock: a backlog is read in that order."""
    return message.time or _LONG_AGO


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Publisher(Protocol):
    """The relay's side: the one writer of a source's stream."""

    async def tail(self) -> StreamId | None:
        """Return the id of the stream's last message, None where it is empty.

        Raises:
            ForeignMessage: the last message is not one of ours.
            TransportUnavailable
        """
        ...

    async def after(self, position: int) -> list[StreamId]:
        """Return what the stream ends with, back to the last message at or before a position.

        Call `tail` first, which finds the end.

        Raises:
            TransportUnavailable
        """
        ...

    async def publish(self, messages: Sequence[Envelope]) -> None:
        """Add messages after the tail, in order, all of them or a prefix.

        Each names its predecessor, so that the confirmation of the last proves all.

        Raises:
            ForeignMessage: the tail was not our last message; call `tail` to see what is there.
            TransportUnavailable: not confirmed in time; call `tail` to see what arrived.
        """
        ...


class Subscription(Protocol):
    """The consumer's side: what the sources of interest say, each in its order.

    What stood there at connect comes in the order in which it was sent, as nearly as clocks agree.
    Where a database was set back, an answer must not come before what led to its question, else
    it is taken for an answer to nothing, and what was decided is decided otherwise.
    """

    def take(self, limit: int) -> list[Received]:
        """Return what has arrived, at once; an empty list where nothing has."""
        ...

    async def behind(self) -> bool:
        """Tell whether messages that stood in the broker at connect are still to be taken."""
        ...

    async def close(self) -> None:
        """Stop reading."""
        ...


class Transport(Protocol):
    """A way for one service to read what others say."""

    async def subscribe(
        self,
        reader: str,
        sources: Mapping[str, Collection[str]],
        cursors: Collection[Cursor],
        wake: Callable[[], None],
    ) -> Subscription:
        """Read these types of messages of these sources, from where the reader's cursors stand.

        What lies at or before a cursor may come again: the reader drops it. `wake` is called when
        something has arrived.
        """
        ...

    lost: asyncio.Event
    """Set when the connection was lost, or a delivery skipped: begin again from the cursors."""

    @property
    def connected(self) -> bool:
        """Tell whether it can be reached right now."""
        ...

    async def close(self) -> None:
        """Let what is under way end, and disconnect."""
        ...


@runtime_checkable
class Broker(Transport, Protocol):
    """A transport on which a service also publishes: it has a stream for each source."""

    async def publisher(self, source: str) -> Publisher:
        """Return the writer of this source's stream."""
        ...


class Words(Protocol):
    """What instances of one service tell each other: at once or never, a poll finds it too."""

    async def hear(self, service: str, heard: Callable[[str], None]) -> None:
        """From now on call `heard` with every word that an instance of this service is told.

        Raises:
            TransportUnavailable
        """
        ...

    async def tell(self, service: str, word: str) -> None:
        """Tell all instances of this service something."""
        ...


class NoWords:
    """Where nothing carries words: instances find everything by polling."""

    async def hear(self, service: str, heard: Callable[[str], None]) -> None:
        """Hear nothing."""

    async def tell(self, service: str, word: str) -> None:
        """Say nothing."""
