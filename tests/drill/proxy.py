"""A TCP proxy between a service and a server, which can be told to fail."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Iterator
from enum import StrEnum

Connect = Callable[[], Awaitable[tuple[StreamReader, StreamWriter]]]

CHUNK = 1 << 16
BIG = 1500
"""Bytes of a request that is surely an append (or a publication), and no question."""


class Cut(StrEnum):
    """Where in an exchange the connection is cut."""

    IN_REQUEST = "half of the request was sent"
    AFTER_REQUEST = "all of the request was sent, nothing of the answer came back"
    IN_ANSWER = "half of the answer came back"


class _Pair:
    """One connection: its two ends."""

    def __init__(self, client: StreamWriter, server: StreamWriter) -> None:
        self.client = client
        self.server = server
        self.asked = False
        """Whether the last thing that passed was a big request."""

    def abort(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


class Proxy:
    """Listens on a port of its own and passes on all bytes, until told otherwise."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._pairs: set[_Pair] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._wanted: Cut | None = None
        self._done = asyncio.Event()
        self.held = 0
        """Bytes that came and did not pass in the last black hole, or late."""
        self.late = 0.0
        """Seconds by which everything is late."""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> int:
        """Cut every connection, as a power cut of the network would; return how many there were."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.abort()
        return len(pairs)

    async def cut_at(self, where: Cut) -> None:
        """Cut one connection at the next place like this; return when it was."""
        self._done.clear()
        self._wanted = where
        try:
            await self._done.wait()
        finally:
            self._wanted = None

    @property
    def connections(self) -> int:
        return len(self._pairs)

    @contextlib.contextmanager
    def black_hole(self) -> Iterator[None]:
        """Let no byte pass, either way, and cut nothing: nobody is told."""
        self.held = 0
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await self._flows.wait()
            server_reader, server = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, server)
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(reader, server, pair, asks=True),
                self._pump(server_reader, writer, pair, asks=False),
            )
        except OSError:
            pass
        finally:
            self._pairs.discard(pair)
            pair.abort()

    async def _pump(
        self, reader: StreamReader, writer: StreamWriter, pair: _Pair, *, asks: bool
    ) -> None:
        while data := await reader.read(CHUNK):
            if not self._flows.is_set():
                self.held += len(data)
                await self._flows.wait()
            if self.late:
                self.held += len(data)
                await asyncio.sleep(self.late)
            if self._wanted is not None and await self._cut_here(data, writer, pair, asks=asks):
                return
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _cut_here(
        self, data: bytes, writer: StreamWriter, pair: _Pair, *, asks: bool
    ) -> bool:
        part = data[: len(data) // 2]
        match self._wanted:
            case Cut.IN_REQUEST if asks and len(data) > BIG:
                pass
            case Cut.AFTER_REQUEST if asks and len(data) > BIG:
                part = data
            case Cut.IN_ANSWER if not asks and pair.asked:
                pass
            case _:
                pair.asked = asks and len(data) > BIG
                return False
        self._wanted = None
        writer.write(part)
        with contextlib.suppress(OSError):
            await writer.drain()
        # Not at once: what was written should have left.
        await asyncio.sleep(0.001)
        pair.abort()
        self._done.set()
        return True
