"""A service that does not get to its database when it starts says which setting is to blame."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

import asyncpg
import pytest

from stagepost.engine import starting
from stagepost.engine.database import acquire, open_pool
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.ports import free_port
from stagepost.engine.starting import reach_database
from stagepost.engine.tokens import Issuer
from stagepost.errors import BadSettings, StoreUnavailable
from tests.conftest import Database, NewDatabase

WRONG = "a-wrong-password"
ISSUER = Issuer("a secret of these tests, and of nobody else")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("sslmode=verify", "`sslmode` parameter must be one of"),
        ("port=a-port", "it cannot be read"),
    ],
)
async def test_an_address_that_is_none_is_not_tried_again(
    database: Database, more: str, said: str
) -> None:
    with pytest.raises(BadSettings) as raised:
        await reach_database(f"{database.service}&{more}")
    assert "STAGEPOST_DATABASE: the address of a database is wrong" in str(raised.value)
    assert said in str(raised.value)
    assert "a-port" not in str(raised.value)


async def test_who_is_not_let_in_says_by_which_setting(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "START_SECONDS", 0.0)
    dsn = database.service.replace(f"/{database.name}?", "/no-such-database?")
    with pytest.raises(StoreUnavailable, match=r"does not exist \(STAGEPOST_DATABASE\)"):
        await reach_database(dsn)


async def test_who_gets_no_more_connections_is_told_what_to_do(
    new_database: NewDatabase, databases: Databases
) -> None:
    database = await new_database("payments")
    superuser = await asyncpg.connect(databases.server.dsn("postgres"))
    await superuser.execute(f"ALTER ROLE {database.name} CONNECTION LIMIT 1")
    await superuser.close()
    told = rf'too many connections for role "{database.name}": run fewer instances'

    async with await open_pool(database.service, size=2) as pool, pool.acquire():
        with pytest.raises(StoreUnavailable, match=f"cannot be reached: {told}"):
            await acquire(pool)
        with pytest.raises(StoreUnavailable, match=f"cannot connect to the database: {told}"):
            await open_pool(database.service)


async def test_a_parameter_that_the_server_does_not_know_is_no_bug(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match='unrecognized configuration parameter "sslmod"'):
        await open_pool(f"{database.service}&sslmod=verify-full", size=1)


@pytest.mark.parametrize("name", ["loyalty", "outside"])
async def test_who_waits_for_the_database_ends_when_told_to(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        given = {
            "STAGEPOST_DATABASE": f"postgresql://u:p@127.0.0.1:{port}/d",
            "STAGEPOST_TOKEN_KEY": "00" * 32,
            "STAGEPOST_PORT": "0",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "stagepost", "run", name, env=os.environ | given
        )
        connected, _ = await asyncio.to_thread(silent.accept)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(2):
            assert await process.wait() == 0
        connected.close()


async def test_a_wrong_password_ends_the_start_at_once(database: Database) -> None:
    dsn = database.service.replace("@/", f"{WRONG}@/")
    async with asyncio.timeout(5):
        with pytest.raises(BadSettings) as raised:
            await reach_database(dsn)
    assert "cannot start: STAGEPOST_DATABASE: the database does not let us in" in str(raised.value)
    assert "password authentication failed" in str(raised.value)
    assert WRONG not in str(raised.value)


@pytest.mark.parametrize("password", [WRONG, f"{WRONG}/#", f"[{WRONG}"])
@pytest.mark.parametrize("name", ["payments", "outside"])
async def test_a_process_with_a_wrong_password_says_so_and_ends(
    database: Database, name: str, password: str
) -> None:
    dsn = database.service.replace("@/", f"{password}@/")
    settings = {"STAGEPOST_DATABASE": dsn, "STAGEPOST_TOKEN_KEY": ISSUER.public_key}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stagepost", "run", name),
        env=os.environ | settings | {"STAGEPOST_PORT": str(free_port())},
        stdout=-1,
        stderr=-1,
    )
    said = b"".join(await asyncio.wait_for(process.communicate(), 30)).decode()
    assert process.returncode == 2, said
    assert "cannot start" in said
    assert "STAGEPOST_DATABASE: " in said
    assert WRONG not in said
    assert "Traceback" not in said
