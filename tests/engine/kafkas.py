"""What tests of Kafka share: connections to the mock, and who publishes on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from stagepost.engine.transports import Received
from stagepost.engine.transports.kafka import KafkaPublisher, KafkaTransport
from tests.engine.transports import SOURCE

Connect = Callable[[str], KafkaTransport]


async def publisher_of(transport: KafkaTransport, source: str = SOURCE) -> KafkaPublisher:
    publisher = await transport.publisher(source)
    await publisher.tail()
    return publisher


def positions(taken: Iterable[Received]) -> list[int]:
    return [received.message.position for received in taken]


async def until(ask: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(10):
        while not await ask():
            await asyncio.sleep(0.01)
