"""librdkafka's mock cluster of three brokers: Kafka for trying out and for tests, without a JVM.

It comes with the confluent-kafka wheel and is driven with ctypes, since Python has no binding for
it. It is a mock, and not durable: it keeps all in memory and ends with its process; of each
partition it keeps about 5 MB or 100,000 batches, checks no sequence of an idempotent producer,
knows neither users nor rights, and elects no leader when a broker is down. A fetch that waits it
answers when the time is over, and not when something comes: so its properties ask for short waits.

As a process it is given a file and topics: it writes into the file, as JSON, the properties with
which clients reach it, and runs until SIGINT or SIGTERM. It is started by its path and imports next
to nothing.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import confluent_kafka

from stagepost.errors import StackError

BROKERS = 3
WAIT_MS = 50
"""How long a fetch waits for messages: latency against the load of an idle stack."""

_PRODUCER = 0
_Handle = ctypes.c_void_p


class KafkaMock:
    """A mock cluster; `with KafkaMock() as mock`: inside, it serves."""

    def __init__(self) -> None:
        self._lib = _library()
        reason = ctypes.create_string_buffer(512)
        quiet = self._lib.rd_kafka_conf_new()
        self._lib.rd_kafka_conf_set(quiet, b"log_level", b"2", reason, len(reason))
        self._client = self._lib.rd_kafka_new(_PRODUCER, quiet, reason, len(reason))
        if not self._client:
            raise StackError(f"the mock of Kafka does not start: {reason.value.decode()}")
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._client, BROKERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._client)

    @property
    def properties(self) -> dict[str, str | int]:
        """With what a client reaches it."""
        servers: bytes = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return {"bootstrap.servers": servers.decode(), "fetch.wait.max.ms": WAIT_MS}

    def create(self, topic: str, partitions: int = 1) -> None:
        self._do("topic_create", topic.encode(), partitions, BROKERS)

    def delete(self, topic: str) -> None:
        self._do("topic_delete", topic.encode())

    def trim(self, topic: str, before: int) -> None:
        """Throw away the messages before this offset, as retention does."""
        self._do("partition_delete_records", topic.encode(), 0, before)

    def lead(self, topic: str, broker: int) -> None:
        """Make a broker (1, 2 or 3) the leader of a topic."""
        self._do("partition_set_leader", topic.encode(), 0, broker)

    def stop(self) -> None:
        """Let no broker be reached, and keep what they have."""
        for broker in range(1, BROKERS + 1):
            self.set_down(broker)

    def start(self) -> None:
        for broker in range(1, BROKERS + 1):
            self.set_up(broker)

    def set_down(self, broker: int) -> None:
        """Cut a broker's connections, and let nobody connect."""
        self._do("broker_set_down", broker)

    def set_up(self, broker: int) -> None:
        self._do("broker_set_up", broker)

    def _do(self, what: str, *given: bytes | int) -> None:
        if code := getattr(self._lib, f"rd_kafka_mock_{what}")(self._cluster, *given):
            raise StackError(f"the mock of Kafka refuses {what} {given}: error {code}")


def _library() -> Any:
    """Return the library with the types of the functions that we call."""
    package = Path(confluent_kafka.__file__).parent
    beside = (package.parent / "confluent_kafka.libs", package / ".dylibs")
    files = [file for folder in beside for file in folder.glob("librdkafka*")]
    if not files:
        raise StackError("confluent-kafka brings no librdkafka here: its mock needs the wheel")
    lib = ctypes.CDLL(str(files[0]))
    text, size, number, offset = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32, ctypes.c_int64
    for name, result, given in (
        ("conf_new", _Handle, ()),
        ("conf_set", ctypes.c_int, (_Handle, text, text, text, size)),
        ("new", _Handle, (ctypes.c_int, _Handle, text, size)),
        ("destroy", None, (_Handle,)),
        ("mock_cluster_new", _Handle, (_Handle, ctypes.c_int)),
        ("mock_cluster_destroy", None, (_Handle,)),
        ("mock_cluster_bootstraps", text, (_Handle,)),
        ("mock_topic_create", ctypes.c_int, (_Handle, text, ctypes.c_int, ctypes.c_int)),
        ("mock_topic_delete", ctypes.c_int, (_Handle, text)),
        ("mock_partition_delete_records", ctypes.c_int, (_Handle, text, number, offset)),
        ("mock_partition_set_leader", ctypes.c_int, (_Handle, text, number, number)),
        ("mock_broker_set_down", ctypes.c_int, (_Handle, number)),
        ("mock_broker_set_up", ctypes.c_int, (_Handle, number)),
    ):
        function = getattr(lib, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, given
    return lib


def main(file: Path, topics: Iterable[str]) -> None:
    """Run a cluster with these topics until a signal asks for its end."""
    # Before there are threads, so that none of them takes the signal.
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with KafkaMock() as mock:
        for topic in topics:
            mock.create(topic)
            mock.lead(topic, 1)  # one broker to ask for all that is new, or each asks three
        written = file.with_suffix(".new")
        written.write_text(json.dumps(mock.properties))
        written.replace(file)
        print(f"a mock of Kafka, not durable: {mock.properties}", flush=True)  # noqa: T201
        signal.sigwait(ends)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
