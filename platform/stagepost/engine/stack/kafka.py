"""The mock of Kafka as a process of ours."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from stagepost.engine.stack.processes import Program, Supervisor
from stagepost.errors import NotInstalled


async def start_kafka_mock(
    supervisor: Supervisor, file: Path, topics: Iterable[str], log: Path
) -> None:
    """Start a mock cluster with these topics; `file` says then how to reach it.

    Raises:
        NotInstalled: confluent-kafka is not here.
        StackError: it does not start.
    """
    if find_spec("confluent_kafka") is None:
        raise NotInstalled("a link over Kafka", "confluent-kafka", "kafka")
    file.unlink(missing_ok=True)  # noqa: ASYNC240  # at once, and before anything runs
    path = str(Path(__file__).with_name("kafka_mock.py"))
    program = Program("kafka", (sys.executable, path, str(file), *topics), log)

    async def ready() -> bool:
        return file.exists()  # noqa: ASYNC240  # at once

    await supervisor.start(program, ready)
