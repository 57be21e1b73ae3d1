"""An HTTP client that costs next to nothing: it shares two cores with what it measures."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Self, cast
from urllib.parse import urlsplit

Answer = tuple[int, bytes]
"""Status and body."""

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Connection(asyncio.Protocol):
    """One connection that is kept open; one request at a time is on it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._received = b""

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the server of this URL."""
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        assert parts.hostname is not None
        assert parts.port is not None
        _, connection = await loop.create_connection(cls, parts.hostname, parts.port)
        return connection

    async def ask(self, request: bytes) -> Answer:
        """Send a request, made by `request`; return the answer.

        Raises:
            ConnectionError: the server hung up.
        """
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._received += data
        answer = answer_in(self._received)
        if answer is not None and self._answer is not None:
            self._received = b""
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(f"the server hung up: {exc}"))


def request(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a request as it goes over the wire."""
    parts = urlsplit(url)
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"{method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body


def answer_in(received: bytes) -> Answer | None:
    """Return an answer of known length, None while it is incomplete."""
    head, found, body = received.partition(HEAD_END)
    if not found:
        return None
    _, _, rest = head.lower().partition(LENGTH)
    length = int(rest.partition(b"\r\n")[0] or 0)
    return (int(head[9:12]), body) if len(body) >= length else None


class Connections:
    """Several of them; who wants to ask waits for one that is free."""

    def __init__(self, free: deque[Connection]) -> None:
        self._free = free
        self._room = asyncio.Semaphore(len(free))

    @classmethod
    async def open(cls, url: str, count: int) -> Self:
        return cls(deque([await Connection.open(url) for _ in range(count)]))

    async def ask(self, request: bytes) -> int:
        """Send a request on a free connection; return the status of the answer."""
        async with self._room:
            connection = self._free.popleft()
            try:
                return (await connection.ask(request))[0]
            finally:
                self._free.append(connection)

    def close(self) -> None:
        for connection in self._free:
            connection.close()
