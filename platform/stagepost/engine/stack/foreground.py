"""`stagepost up`: the stack in the foreground, until somebody asks it to end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from stagepost.engine.discovery import PACKAGE
from stagepost.engine.flow import Flow
from stagepost.engine.settings_read import refuse_unknown
from stagepost.engine.stack.stack import Stack, to_stderr
from stagepost.engine.transport_names import NATS

PARENT = "STAGEPOST_PARENT"
"""The process without which we shall not go on: `make`, which cannot tell us when it is killed."""
_LOOK = 0.5

T = TypeVar("T")


async def up(data: Path, flow: Flow, instances: int) -> int:
    """Run the stack until Ctrl-C, SIGTERM or SIGHUP; return the exit status.

    Raises:
        BadSettings: the environment has a setting that nobody reads.
        StackError: something does not start.
    """
    refuse_unknown()
    await interruptible(_run(data, flow, instances))
    return 0


async def _run(data: Path, flow: Flow, instances: int) -> None:
    console = Console()
    console.print(f"Starting the stack ({flow}); its data and logs are in {data}")
    async with Stack(data, flow=flow, instances=instances) as stack:
        if flow.external and not stack.uses(NATS):
            to_stderr(
                f"Nobody comes in from outside ({', '.join(flow.external)}): no link uses NATS"
            )
        await seed(stack.urls, stack.headers)
        console.print(
            _overview(stack),
            "Ready; a service describes its calls under /docs. Ctrl-C ends all.\n"
            "A token for them, as an operator (stagepost token makes others):",
        )
        for name, value in stack.headers.items():
            console.print(f"{name}: {value}", soft_wrap=True)
        await stack.running()


async def seed(urls: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Give services that are there what a fresh stack begins with, where there is such a thing.

    `headers` say who does it.
    """
    if find_spec(f"{PACKAGE}.seed"):
        await import_module(f"{PACKAGE}.seed").seed(urls, headers)


def _overview(stack: Stack) -> Table:
    table = Table("what", "where")
    for name, url in stack.urls.items():
        table.add_row(name, url)
    return table


async def interruptible(work: Coroutine[Any, Any, T]) -> T | None:
    """Run `work`; return None where it was asked to end, once it has done so in good order.

    SIGINT, SIGTERM, SIGHUP and the end of our parent ask. Who asks again must wait all the same:
    an end in mid-end would leave processes behind.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    asked = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, asked.set)
    watch = asyncio.create_task(_orphaned(asked))
    waiting = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if asked.is_set():
            to_stderr("Stopping ...")
            task.cancel()
            await asyncio.wait({task})
        return None if task.cancelled() else task.result()
    finally:
        watch.cancel()
        waiting.cancel()
        for number in signals:
            loop.remove_signal_handler(number)


async def _orphaned(asked: asyncio.Event) -> None:
    parent = os.environ.get(PARENT)
    while parent and os.getppid() == int(parent):  # noqa: ASYNC110  # nothing tells us of it
        await asyncio.sleep(_LOOK)
    if parent:
        asked.set()
