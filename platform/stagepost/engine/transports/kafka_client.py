"""confluent-kafka's clients as we use them, and what is asked of topics. All of it blocks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import structlog

from stagepost.engine.envelope import Envelope
from stagepost.engine.transports.cloudevents import MAX_INCARNATION, MAX_POSITION
from stagepost.engine.transports.kafka_envelope import (
    Trail,
    attributes_of,
    read_envelope,
    read_trail,
)
from stagepost.errors import BadSettings, NotInstalled, TransportUnavailable

try:
    from confluent_kafka import (
        Consumer,
        KafkaError,
        KafkaException,
        Message,
        Producer,
        TopicPartition,
    )
except ImportError as error:
    raise NotInstalled("a link over Kafka", "confluent-kafka", "kafka") from error

__all__ = [  # with what others need of the library, whose absence is told above
    "ANSWER_SECONDS",
    "Clients",
    "Consumer",
    "Extent",
    "KafkaError",
    "KafkaException",
    "Message",
    "Properties",
    "TopicPartition",
    "extent_of",
    "messages_at",
    "ours_backwards",
    "read_properties",
]

Properties = Mapping[str, str | int | float | bool]
"""What librdkafka calls its configuration: `bootstrap.servers`, `security.protocol`, ..."""

ANSWER_SECONDS = 2.0
"""How long a broker may take to answer."""
LOOK_BACK = 1000
"""Messages that are read at once where we look for the last of ours."""
SILENT_LOOKS = 3
"""How often in a row, at a look a second, no broker is connected before none is there."""

_EVERYWHERE: Properties = {
    "log_level": 0,  # what matters comes to `error_cb`
    "reconnect.backoff.max.ms": 1000,
    "socket.timeout.ms": 10_000,
    "socket.keepalive.enable": True,
    "statistics.interval.ms": 1000,  # the least that it does; for `_Looks`
}
# In order and without holes: one that cannot be delivered stops all that come after it. Not
# `message.timeout.ms`, which would let later ones pass, but who publishes gives up, on all of them.
_PRODUCER: Properties = {
    "acks": "all",
    "enable.idempotence": True,
    "enable.gapless.guarantee": True,
    "message.timeout.ms": 0,
    "delivery.report.only.error": True,
    "compression.type": "lz4",
}
# Positions are kept by the reader, so the group is a name that the library asks for, and no more.
_CONSUMER: Properties = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_uncommitted",  # we write none; nobody's open transaction stops us
    "queued.min.messages": 2000,
    "queued.max.messages.kbytes": 16 << 10,
    "fetch.queue.backoff.ms": 10,
}

log = structlog.get_logger(__name__)
T = TypeVar("T")


def read_properties(file: Path) -> Properties:
    """Read properties from a file of JSON.

    Raises:
        TransportUnavailable: there is none, or not yet.
    """
    try:
        properties: Properties = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise TransportUnavailable(f"cannot read where Kafka is: {error}") from error
    return properties


@dataclass(frozen=True)
class Clients:
    """Makes clients of one cluster. `on_error` is told of what is wrong, in any thread.

    Raises:
        BadSettings: the properties are none of librdkafka's.
    """

    properties: Properties
    name: str
    on_error: Callable[[KafkaError], None]

    def producer(self, on_failure: Callable[[KafkaError | None, Message], None]) -> Producer:
        """Return a producer that tells of every message that it could not deliver."""
        return _made(Producer, {**self._common(), **_PRODUCER, "on_delivery": on_failure})

    def consumer(self, **more: str | int | bool) -> Consumer:
        """Return a consumer that reads what it is assigned."""
        return _made(Consumer, {**self._common(), **_CONSUMER, "group.id": self.name, **more})

    def _common(self) -> dict[str, Any]:
        looks = _Looks(self.on_error)
        own = {"client.id": self.name, "error_cb": self.on_error, "stats_cb": looks}
        return {**_EVERYWHERE, **self.properties, **own}

    @contextmanager
    def looking(self) -> Iterator[Consumer]:
        """Lend a consumer that says where a topic ends."""
        consumer = self.consumer(**{"enable.partition.eof": True})
        try:
            yield consumer
        finally:
            consumer.close()


class _Looks:
    """Looks at a client's statistics, and tells once when no broker is connected any more.

    The library tells it too, and at once, but not always: it compares how many brokers went down
    with how many it has when one of them goes down, and not when it drops some. Where brokers fall
    one by one, the last to stand may answer that the others are gone; if it falls while they are
    being dropped, nothing is told, and nobody but it is tried again.
    """

    def __init__(self, on_error: Callable[[KafkaError], None]) -> None:
        self._on_error = on_error
        self._left = SILENT_LOOKS

    def __call__(self, statistics: str) -> None:
        brokers = json.loads(statistics)["brokers"].values()
        if any(broker["state"] == "UP" for broker in brokers):
            self._left = SILENT_LOOKS
            return
        self._left -= 1
        if self._left == 0:
            self._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))  # noqa: SLF001  # its name


def _made(client: Callable[[dict[str, Any]], T], properties: dict[str, Any]) -> T:
    try:
        return client(properties)
    except KafkaException as error:
        raise BadSettings(f"Kafka's client does not take its properties: {error}") from error


class Extent(NamedTuple):
    """The offset of the first message that a topic still has, and that of the next to come."""

    first: int
    end: int


def extent_of(consumer: Consumer, topic: str) -> Extent:
    """Return what there is of a topic.

    Raises:
        KafkaException: the brokers do not answer.
        TransportUnavailable: there is no such topic, or its order is not that of its source.
    """
    found = consumer.list_topics(topic, ANSWER_SECONDS).topics[topic]
    if found.error is not None or len(found.partitions) != 1:
        what = found.error.str() if found.error else f"{len(found.partitions)} partitions"
        raise TransportUnavailable(
            f"the topic {topic} is not as it must be ({what}): create it with one partition"
        )
    return Extent(*consumer.get_watermark_offsets(TopicPartition(topic, 0), ANSWER_SECONDS))


def messages_at(consumer: Consumer, offsets: Mapping[str, int]) -> dict[str, Message]:
    """Return the message at this offset of each topic, where there is one.

    Raises:
        KafkaException: the brokers do not answer.
    """
    consumer.assign([TopicPartition(topic, 0, offset) for topic, offset in offsets.items()])
    found: dict[str, Message] = {}
    until = time.monotonic() + ANSWER_SECONDS
    while len(found) < len(offsets) and (left := until - time.monotonic()) > 0:
        if (message := consumer.poll(left)) is not None:
            found.setdefault(str(message.topic()), message)
    return {
        topic: message
        for topic, message in found.items()
        if message.error() is None and message.offset() == offsets[topic]
    }


def ours_backwards(consumer: Consumer, topic: str) -> Iterator[tuple[Envelope, Trail]]:
    """Yield the messages of a topic that its source wrote, the last first.

    Raises:
        KafkaException: the brokers do not answer.
        TransportUnavailable: see `extent_of`
    """
    first, end = extent_of(consumer, topic)
    begin = max(first, end - 1)
    while begin < end:
        for message in reversed(_between(consumer, topic, begin, end)):
            try:
                ours = _ours(topic, message)
            except (KeyError, ValueError) as error:
                log.warning(
                    "a foreign message", topic=topic, offset=message.offset(), reason=repr(error)
                )
            else:
                yield ours
        begin, end = max(first, begin - LOOK_BACK), begin


def _ours(topic: str, message: Message) -> tuple[Envelope, Trail]:
    attributes = attributes_of(message.headers())
    envelope = read_envelope(topic, attributes, message.value())
    if envelope.incarnation == MAX_INCARNATION or envelope.position == MAX_POSITION:
        raise ValueError("no outbox ever held it")
    trail = Trail(read_trail(attributes))
    trail.add(envelope)
    return envelope, trail


def _between(consumer: Consumer, topic: str, begin: int, end: int) -> list[Message]:
    """Return the messages from one offset up to another."""
    consumer.assign([TopicPartition(topic, 0, begin)])
    messages: list[Message] = []
    while True:
        message = consumer.poll(ANSWER_SECONDS)
        if message is None:
            raise TransportUnavailable(f"the brokers do not answer what stands at {topic} {begin}")
        offset = message.offset()
        assert offset is not None
        if (error := message.error()) is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # its name
            raise KafkaException(error)
        if error is None and offset < end:
            messages.append(message)
        if error is not None or offset >= end - 1:
            return messages
