"""The outside world as a process: it can be killed at any time, and ends in order when asked."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from services.outside.app import serve
from stagepost.engine.calls_http import HttpCalls
from stagepost.engine.settings import Settings
from stagepost.errors import BadSettings
from tests.conftest import Database

PROGRAM = """
import asyncio
from stagepost.engine.serve import run
from stagepost.engine.settings_read import load_settings
asyncio.run(run("outside", load_settings()))
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@asynccontextmanager
async def client_of(listener: socket.socket) -> AsyncIterator[HttpCalls]:
    port = listener.getsockname()[1]
    calls = HttpCalls({"provider": f"http://127.0.0.1:{port}/provider"}, 60)
    yield calls
    await calls.close()


@contextmanager
def running(database: Database, listener: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """Run the outside world on a socket that stays open while it does not run."""
    env = {
        **os.environ,
        "STAGEPOST_DATABASE": database.service,
        "STAGEPOST_NATS_URL": "nats://nobody",
        "STAGEPOST_SOCKET_FD": str(listener.fileno()),
    }
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, env=env, pass_fds=[listener.fileno()]) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def idle_connection(listener: socket.socket) -> AsyncIterator[asyncio.StreamReader]:
    """Open a connection that is kept open after a first answer."""
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: outside\r\n\r\n")
    await reader.readuntil(b'{"health":"ok"}')
    yield reader
    writer.close()
    await writer.wait_closed()


def charge_of(reference: str) -> bytes:
    return (
        b'{"order_id":"1","reference":"%s","amount":1,"currency":"EUR","payment_token":"tok_ok"}'
        % reference.encode()
    )


async def until_it_waits_for_a_lock(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    async with asyncio.timeout(60):
        while True:
            if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                return
            await asyncio.sleep(0.01)


async def test_what_was_answered_survives_kill_9(
    database: Database, listener: socket.socket
) -> None:
    key, reference = str(uuid4()), str(uuid4())
    with running(database, listener) as process:
        async with client_of(listener) as calls:
            first = await calls.post("provider", "/charges", charge_of(reference), key)
        process.kill()
        process.wait()
    with running(database, listener):
        async with client_of(listener) as calls:
            again = await calls.post("provider", "/charges", charge_of(reference), key)
            refund = await calls.post("provider", "/refunds", charge_of(reference), f"{key}-2")
    assert again == first
    assert refund == b'{"amount":1}'


async def test_asked_to_end_it_answers_what_is_under_way(
    database: Database, listener: socket.socket
) -> None:
    owner = await asyncpg.connect(database.owner)
    with running(database, listener) as process:
        async with client_of(listener) as calls, idle_connection(listener) as idle:
            await owner.execute("BEGIN; LOCK TABLE charges IN EXCLUSIVE MODE")
            charge = calls.post("provider", "/charges", charge_of(str(uuid4())), str(uuid4()))
            under_way = asyncio.create_task(charge)
            await until_it_waits_for_a_lock(owner)
            process.send_signal(signal.SIGTERM)
            assert await idle.read() == b""  # its connection is closed: ending has begun
            await owner.execute("ROLLBACK")
            assert b'"accepted":true' in await under_way
        assert await asyncio.to_thread(process.wait, 30) == 0
    await owner.close()


@pytest.mark.parametrize("seconds", ["-1", "soon"])
async def test_a_bad_setting_is_named_at_start(
    monkeypatch: pytest.MonkeyPatch, database: Database, seconds: str
) -> None:
    monkeypatch.setenv("STAGEPOST_OUTSIDE_SLOW_SECONDS", seconds)
    settings = Settings(database=SecretStr(database.service), nats_url=SecretStr("nats://nobody"))
    with pytest.raises(BadSettings, match="STAGEPOST_OUTSIDE_SLOW_SECONDS: Input should be"):
        await serve(settings)
