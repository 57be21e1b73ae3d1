"""The scripts that run in containers beside the services: health checks, and one port for many."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stagepost.engine.stack.ports import free_port

PLATFORM = Path(__file__).parents[2] / "platform"


@asynccontextmanager
async def answering(status: str) -> AsyncIterator[int]:
    """A server that gives every request this answer; yield its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"GET /health/ready ")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def script(name: str, *arguments: object) -> asyncio.subprocess.Process:
    # As in a container: Python's own library, and nothing else.
    return await asyncio.create_subprocess_exec(
        sys.executable, "-IS", PLATFORM / name, *map(str, arguments)
    )


async def health(port: int) -> int:
    return await (await script("health.py", port)).wait()


@pytest.mark.parametrize(
    ("status", "exit_status"), [("200 OK", 0), ("503 Service Unavailable", 1), ("nonsense", 1)]
)
async def test_who_is_ready_is_healthy_and_nobody_else(status: str, exit_status: int) -> None:
    async with answering(status) as port:
        assert await health(port) == exit_status


async def test_where_nobody_listens_nobody_is_healthy() -> None:
    assert await health(free_port()) == 1


async def test_what_comes_to_the_front_goes_to_an_instance_and_the_front_ends_when_told() -> None:
    port = free_port()
    async with answering("200 OK") as behind:
        front = await script("front.py", port, f"127.0.0.1:{behind}")
        async with asyncio.timeout(30):
            while await health(port) != 0:
                await asyncio.sleep(0.05)
        front.terminate()
        assert await front.wait() == 0
