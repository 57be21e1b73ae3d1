"""Words that the instances of a service tell each other, over what can carry them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.engine.brokers import Broker
from tests.engine.transports import READER, SOURCE

WITH_WORDS = ["memory", "nats"]


@pytest.mark.parametrize("broker", WITH_WORDS, indirect=True)
async def test_a_word_reaches_every_instance_of_the_service_and_nobody_else(
    broker: Broker,
) -> None:
    heard: dict[str, list[str]] = {"one": [], "two": [], "other": []}
    connected: list[Any] = [await broker.connect(name) for name in (SOURCE, SOURCE, READER)]
    one, two, other = connected
    await one.hear(SOURCE, heard["one"].append)
    await two.hear(SOURCE, heard["two"].append)
    await other.hear(READER, heard["other"].append)

    await two.tell(SOURCE, "outbox")

    async with asyncio.timeout(5):
        while not (heard["one"] and heard["two"]):
            await asyncio.sleep(0.01)
    assert heard == {"one": ["outbox"], "two": ["outbox"], "other": []}


@pytest.mark.parametrize("broker", WITH_WORDS, indirect=True)
async def test_a_word_that_reaches_nobody_is_lost_in_silence(broker: Broker) -> None:
    transport: Any = await broker.connect(SOURCE)
    await transport.tell(SOURCE, "before it is connected")
    await transport.publisher(SOURCE)
    await transport.tell(SOURCE, "and nobody listens")
