"""The mock of Kafka as a process of ours."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from stagepost.engine.stack.processes import Program, Supervisor
from stagepost.errors import NotInstalled

_MOCK = Path(__file__).with_name("kafka_mock.py")


async def start_kafka(
    supervisor: Supervisor, properties: Path, topics: Iterable[str], log: Path
) -> None:
    """Start a cluster with these topics, and wait until it has written how clients reach it.

    It writes that anew whenever it is started again: with other ports, and without its messages.

    Raises:
        NotInstalled: the library that it is a part of is not installed.
        StackError: it does not start.
    """
    if find_spec("confluent_kafka") is None:
        raise NotInstalled("the mock of Kafka", "confluent-kafka", "kafka")
    properties.unlink(missing_ok=True)  # noqa: ASYNC240  # quick, and nothing runs yet
    command = (sys.executable, "-I", str(_MOCK), str(properties), *topics)

    async def ready() -> bool:
        return properties.exists()  # noqa: ASYNC240  # quick

    await supervisor.start(Program("kafka", command, log), ready)
