"""The test build of a service: the real one, with its ports wrapped so that it stops at points.

python -m tests.drill.service payments
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from stagepost.engine import cli, network_open, serve
from stagepost.engine.batch import Appended, Batch
from stagepost.engine.envelope import Envelope
from stagepost.engine.links import CONSUMER
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.transports import Publisher, StreamId
from stagepost.engine.transports.nats import NatsTransport
from stagepost.messages import Kind
from tests.drill.points import FOLDER, Point, Points

points = Points(Path(os.environ[FOLDER]), sys.argv[1])


class StoppingStore(PostgresStore):
    """A store that one may not come back from."""

    async def append(self, batch: Batch) -> Appended:
        kinds = {commit.cause.kind for commit in batch.commits}
        consumes = any(cursor.id.reader == CONSUMER for cursor in batch.cursors)
        if consumes:
            points.reach(Point.CONSUMER_BEFORE_APPEND)
        if Kind.TIMER in kinds:
            points.reach(Point.TIMER_BEFORE_APPEND)
        if Kind.ANSWER in kinds:
            points.reach(Point.CALLER_BEFORE_APPEND)
        appended = await super().append(batch)
        if consumes:
            points.reach(Point.CONSUMER_BEFORE_READ)
        if Kind.REQUEST in kinds:
            points.reach(Point.DESK_BEFORE_ANSWER)
        return appended


class StoppingPublisher:
    """A publisher whose relay may not get to say how far it came."""

    def __init__(self, inner: Publisher) -> None:
        self._inner = inner

    async def tail(self) -> StreamId | None:
        return await self._inner.tail()

    async def after(self, position: int) -> list[StreamId]:
        return await self._inner.after(position)

    async def publish(self, messages: Sequence[Envelope]) -> None:
        points.reach(Point.RELAY_BEFORE_PUBLISH)
        await self._inner.publish(messages)
        points.reach(Point.RELAY_BEFORE_CURSOR)


class StoppingTransport(NatsTransport):
    async def publisher(self, source: str) -> Any:
        return StoppingPublisher(await super().publisher(source))


def main() -> None:
    """Run one instance of a service, as `stagepost run` does."""
    with (
        patch.object(serve, "PostgresStore", StoppingStore),
        patch.object(network_open, "NatsTransport", StoppingTransport),
    ):
        cli.run(sys.argv[1])


if __name__ == "__main__":
    main()
