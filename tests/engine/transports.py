"""What tests of transports share: messages of a source, and a reader that takes them."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime

from stagepost.engine.batch import Cursor
from stagepost.engine.envelope import Envelope
from stagepost.engine.stack.kafka_mock import KafkaMock
from stagepost.engine.transports import Received, Subscription, Transport
from stagepost.engine.transports.kafka import KafkaTransport

SOURCE, READER = "payments", "fulfillment"
TYPES = ("payments.PaymentReceived", "payments.PaymentDeclined")


def kafka(mock: KafkaMock, name: str) -> KafkaTransport:
    return KafkaTransport(lambda: {**mock.properties, "fetch.wait.max.ms": 10}, name)


def message(
    position: int,
    *,
    type_: str = TYPES[0],
    incarnation: int = 1,
    source: str = SOURCE,
    time: datetime | None = None,
) -> Envelope:
    return Envelope(
        id=uuid.uuid4(),
        type=type_,
        version=1,
        kind="event",
        source=source,
        key=f"order-{position % 3}",
        correlation=uuid.uuid4(),
        causation=uuid.uuid4(),
        body=b'{"n":%d}' % position,
        incarnation=incarnation,
        position=position,
        time=time,
    )


async def take(subscription: Subscription, woken: asyncio.Event, count: int) -> list[Received]:
    """Wait until so many messages have come."""
    taken: list[Received] = []
    async with asyncio.timeout(10):
        while len(taken) < count:
            woken.clear()
            taken += subscription.take(count - len(taken))
            if len(taken) < count:
                await woken.wait()
    return taken


async def subscribe(
    transport: Transport, cursor: Cursor | None = None
) -> tuple[Subscription, asyncio.Event]:
    woken = asyncio.Event()
    cursors = [cursor] if cursor else []
    subscription = await transport.subscribe(READER, {SOURCE: TYPES}, cursors, woken.set)
    return subscription, woken
