"""Clients that never pause: what they are answered while something happens to a service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

CLIENTS = 6
PAUSE = 0.05
WAIT = aiohttp.ClientTimeout(total=30)


@asynccontextmanager
async def constant_requests(
    url: str, headers: Mapping[str, str], body: Callable[[], Any] | None = None
) -> AsyncIterator[list[int | str]]:
    """Ask again and again while inside: yields the status of each answer, or what went wrong.

    With a `body` they are POSTs, which no client repeats by itself; and each client keeps its
    connection as long as it may.
    """
    answers: list[int | str] = []
    done = asyncio.Event()
    async with aiohttp.ClientSession(timeout=WAIT, headers=headers) as session:

        async def ask() -> None:
            try:
                request = session.get(url) if body is None else session.post(url, json=body())
                async with request as answer:
                    await answer.read()
                    answers.append(answer.status)
            except (aiohttp.ClientError, TimeoutError) as error:
                answers.append(repr(error))

        async def work() -> None:
            while not done.is_set():
                await ask()
                await asyncio.sleep(PAUSE)

        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(work())
            await asyncio.sleep(0.3)
            try:
                yield answers
            finally:
                done.set()
