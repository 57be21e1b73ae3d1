"""Calls in memory: each path of the outside world is an async function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

from stagepost.engine.calls_rules import OK, answer_of
from stagepost.engine.memory_client import MemoryClient
from stagepost.errors import CallFailed


class Reply(NamedTuple):
    """What a part of the outside world answers: a body, and an HTTP status."""

    body: bytes
    status: int = OK


Route: TypeAlias = Callable[[bytes, str], Awaitable[Reply]]
"""`(body, idempotency_key) -> Reply`. Raises ConnectionError where the connection is lost."""

_NOT_FOUND = Reply(b"there is nothing under this path", 404)


class MemoryCalls:
    """The Calls port in memory. `routes` holds a function for each (part of the world, path)."""

    def __init__(self, routes: Mapping[tuple[str, str], Route], timeout: float) -> None:
        self._routes = routes
        self._client = MemoryClient(timeout)

    async def post(self, to: str, path: str, body: bytes, idempotency_key: str) -> bytes:
        """Call the function; return the JSON body of its reply.

        Raises:
            CallFailed: no reply in time, or one that is not 200 and JSON.
        """
        request = f"POST {path} to {to}"
        route = self._route(to, path)
        reply = await self._client.ask(request, lambda: route(body, idempotency_key))
        return answer_of(request, reply.status, reply.body)

    async def close(self) -> None:
        """Let requests under way end."""
        await self._client.close()

    def _route(self, to: str, path: str) -> Route:
        if all(name != to for name, _ in self._routes):
            raise CallFailed(f"nobody said where {to} is: add it to STAGEPOST_CALLS")
        return self._routes.get((to, path), _nothing_here)


async def _nothing_here(_body: bytes, _idempotency_key: str) -> Reply:
    return _NOT_FOUND
