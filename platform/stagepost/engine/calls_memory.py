"""Calls in memory: each path of the outside world is an async function."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

from stagepost.engine.calls_rules import OK, UnderWay, answer_of
from stagepost.errors import CallFailed


class Reply(NamedTuple):
    """What a part of the outside world answers: a body, and an HTTP status."""

    body: bytes
    status: int = OK


Route: TypeAlias = Callable[[bytes, str], Awaitable[Reply]]
"""`(body, idempotency_key) -> Reply`. Raises ConnectionError where the connection is lost."""

_NOT_FOUND = Reply(b"there is nothing under this path", 404)


class MemoryCalls:
    """The Calls port in memory. `routes` holds a function for each (part of the world, path).

    As with a process of its own, a function goes on when nobody waits for it any more.
    """

    def __init__(self, routes: Mapping[tuple[str, str], Route], timeout: float) -> None:
        self._routes = routes
        self._timeout = timeout
        self._under_way = UnderWay()
        self._running: set[asyncio.Future[Reply]] = set()

    async def post(self, to: str, path: str, body: bytes, idempotency_key: str) -> bytes:
        """Call the function; return the JSON body of its reply.

        Raises:
            CallFailed: no reply in time, or one that is not 200 and JSON.
        """
        with self._under_way:
            request = f"POST {path} to {to}"
            try:
                running = self._start(self._route(to, path)(body, idempotency_key))
                reply = await asyncio.wait_for(asyncio.shield(running), self._timeout)
            except TimeoutError as error:
                raise CallFailed(f"{request} got no answer in {self._timeout:g} s") from error
            except ConnectionError as error:
                raise CallFailed(f"{request} got no answer: {error!r}") from error
            return answer_of(request, reply.status, reply.body)

    async def close(self) -> None:
        """Let requests under way end."""
        await self._under_way.close()

    def _start(self, reply: Awaitable[Reply]) -> asyncio.Future[Reply]:
        running = asyncio.ensure_future(reply)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return running

    def _route(self, to: str, path: str) -> Route:
        if all(name != to for name, _ in self._routes):
            raise CallFailed(f"nobody said where {to} is: add it to STAGEPOST_CALLS")
        return self._routes.get((to, path), _nothing_here)


async def _nothing_here(_body: bytes, _idempotency_key: str) -> Reply:
    return _NOT_FOUND
