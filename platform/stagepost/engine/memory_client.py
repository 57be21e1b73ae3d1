"""Asking within one process, for whoever calls in memory: with a time limit, as over a wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from stagepost.engine.calls_rules import UnderWay
from stagepost.errors import CallFailed

T = TypeVar("T")


class MemoryClient:
    """Waits for functions; `timeout` is how many seconds one may take.

    As with a process of its own, a function goes on when nobody waits for it any more.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._under_way = UnderWay()
        self._running: set[asyncio.Future[Any]] = set()

    async def ask(self, request: str, act: Callable[[], Awaitable[T]]) -> T:
        """Start a function and wait for its reply; `request` says what this is, where it fails.

        Raises:
            CallFailed: none in time, or the connection was lost.
        """
        with self._under_way:
            running: asyncio.Future[T] = asyncio.ensure_future(act())
            self._running.add(running)
            running.add_done_callback(self._running.discard)
            try:
                return await asyncio.wait_for(asyncio.shield(running), self._timeout)
            except TimeoutError as error:
                raise CallFailed(f"{request} got no answer in {self._timeout:g} s") from error
            except ConnectionError as error:
                raise CallFailed(f"{request} got no answer: {error!r}") from error

    async def close(self) -> None:
        """Let requests under way end."""
        await self._under_way.close()
