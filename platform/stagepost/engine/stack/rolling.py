"""A rolling restart: one instance after the other, and no request fails.

An instance that is asked to end takes no new connections, finishes what is under way and gives its
lease back; meanwhile connections wait in the socket that it shares, or are taken by its sibling.
What ends is started again by the stack, and says so in a file once it serves.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from stagepost.engine.operate import read_stack
from stagepost.errors import BadSettings, StackError

PATIENCE = 60.0
"""Seconds that an instance gets to end in order and to serve again."""
LOOK = 0.05


async def rolling_restart(data: Path, services: Sequence[str] = ()) -> AsyncIterator[str]:
    """Restart every instance of these services, or of all; tell the name of each that is back.

    Raises:
        BadSettings: nothing runs there, or there is no such service.
        StackError: an instance did not come back; those after it were left alone.
    """
    state = read_stack(data)
    if "pid" not in state:
        raise BadSettings("this stack runs in containers: docker compose restart, or the like")
    running = state["services"]
    for name in services or running:
        if name not in running:
            raise BadSettings(f"there is no service {name!r}; there are: {', '.join(running)}")
    for name in services or running:
        for instance, at in running[name]["instances"].items():
            await _restart(data, name, instance, at["pid"])
            yield instance


async def _restart(data: Path, service: str, instance: str, pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    os.kill(pid, signal.SIGTERM)
    while not _is_back(read_stack(data)["services"][service]["instances"][instance], pid):
        if time.monotonic() > deadline:
            raise StackError(
                f"{instance} does not serve {PATIENCE:g} seconds after it was asked to start again:"
                f" see its log in {data / 'logs'}"
            )
        await asyncio.sleep(LOOK)


def _is_back(at: dict[str, Any], former: int) -> bool:
    return at["pid"] != former and serves(Path(at["pid_file"]), at["pid"])


def serves(pid_file: Path, pid: int) -> bool:
    """Tell whether the process with this id has said that it serves."""
    return pid_file.exists() and pid_file.read_text() == str(pid)
