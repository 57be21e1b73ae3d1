"""One producer of confluent-kafka, from its first message to the first that it cannot deliver."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from stagepost.engine.transports.kafka_client import (
    ANSWER_SECONDS,
    Clients,
    KafkaError,
    KafkaException,
    Message,
)
from stagepost.engine.transports.kafka_envelope import Headers
from stagepost.errors import TransportUnavailable

ACK_SECONDS = 5.0
"""How long a chunk may wait for its confirmation."""
SERVE_SECONDS = 1.0
"""How often an idle producer is asked whether something is wrong."""


class Producing:
    """A producer with a thread of its own for what blocks: flushing, and closing behind that."""

    def __init__(self, clients: Clients) -> None:
        self._failures: list[KafkaError | None] = []
        self._producer = clients.producer(self._fail)
        self._worker = ThreadPoolExecutor(1, "kafka producer")
        self._serving = asyncio.create_task(self._serve())

    async def greet(self, topic: str) -> None:
        """Hear from a broker: then the library asks for its producer id, else in half a second.

        Raises:
            TransportUnavailable: the brokers do not answer.
        """
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(
                self._worker, self._producer.list_topics, topic, ANSWER_SECONDS
            )
        except KafkaException as error:
            raise TransportUnavailable(f"Kafka does not answer: {error}") from error

    def put(self, topic: str, key: str, body: bytes, headers: Headers) -> None:
        """Add a message to the chunk.

        Raises:
            TransportUnavailable: the library does not take it.
        """
        try:
            self._producer.produce(topic, body, key, 0, headers=headers)
        except (KafkaException, BufferError) as error:
            raise TransportUnavailable(f"a message for {topic} is not sent: {error}") from error

    async def confirmed(self) -> None:
        """Wait until all brokers that must have the chunk do.

        Raises:
            TransportUnavailable: they did not say so in time.
        """
        loop = asyncio.get_running_loop()
        left = await loop.run_in_executor(self._worker, self._producer.flush, ACK_SECONDS)
        if left or self._failures:
            why = self._failures[0] if self._failures else f"{left} after {ACK_SECONDS:g} s"
            raise TransportUnavailable(f"messages are not confirmed: {why}")

    async def close(self) -> None:
        """Give up what is under way; some of it may have arrived, or still will."""
        self._serving.cancel()
        self._producer.purge()
        loop = asyncio.get_running_loop()
        closing = loop.run_in_executor(self._worker, self._producer.close)
        self._worker.shutdown(wait=False)
        await closing

    def _fail(self, error: KafkaError | None, _: Message) -> None:
        self._failures.append(error)

    async def _serve(self) -> None:
        while True:
            await asyncio.sleep(SERVE_SECONDS)
            self._producer.poll(0)
