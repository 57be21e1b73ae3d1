"""The local stack: its folder, its databases, and the whole that is kept running."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import aiohttp
import asyncpg
import psutil
import pytest

from stagepost.engine.stack import Stack
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.folder import Passwords, empty, held, make_logs
from stagepost.engine.stack.ports import listen, port_of
from stagepost.engine.stack.running import Running
from stagepost.errors import StackError
from tests.conftest import NewDatabase

PATIENCE = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does; fail where it does not come about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # other processes set no events
            await asyncio.sleep(0.02)


# The folder


def test_a_second_stack_on_the_same_folder_is_told_who_has_it(tmp_path: Path) -> None:
    told = rf"a stack runs on .* already \(process {os.getpid()}\)"
    with held(tmp_path), pytest.raises(StackError, match=told), held(tmp_path):
        pass


def test_only_what_a_stack_has_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    for file in ("kafka.json", "stack.json", "thesis.odt"):
        (tmp_path / file).touch()

    empty(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.odt"]


def test_passwords_are_kept_and_nobody_else_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    made = Passwords(file).of("auditor")

    assert Passwords(file).of("auditor") == made
    assert Passwords(file).of("payments") != made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_port_that_is_taken_gives_way_to_the_next() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, listen(port_of(taken)) as found:
        assert port_of(found) > port_of(taken)


# Databases


async def test_a_service_gets_into_no_other_database(
    new_database: NewDatabase, databases: Databases
) -> None:
    ours, other = await new_database("payments"), await new_database("shipping")
    role = databases.dsn(ours.name)

    for database in (other.name, "postgres", "template1", "audit"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await asyncpg.connect(role.replace(f"/{ours.name}?", f"/{database}?"))


async def test_what_a_service_has_set_for_itself_is_undone_at_the_next_start(
    new_database: NewDatabase, databases: Databases
) -> None:
    ours = await new_database("payments")
    service = await asyncpg.connect(ours.service)
    await service.execute("ALTER ROLE CURRENT_USER PASSWORD 'mine'")
    await service.execute("ALTER ROLE CURRENT_USER SET statement_timeout = 1")
    await service.execute(
        f"ALTER ROLE CURRENT_USER IN DATABASE {ours.name} SET default_transaction_read_only = on"
    )
    await service.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(ours.service)

    await databases.provide([ours.name])  # as every start does

    service = await asyncpg.connect(ours.service)
    assert await service.fetchval("SHOW statement_timeout") == "0"
    assert await service.fetchval("SHOW default_transaction_read_only") == "off"
    await service.close()


async def test_a_wrong_password_lets_nobody_in(databases: Databases) -> None:
    wrong = databases.audit_dsn().replace("auditor:", "auditor:x")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)


async def test_the_auditor_reads_across_databases_and_writes_nowhere(
    new_database: NewDatabase, databases: Databases
) -> None:
    names = [(await new_database(service)).name for service in ("payments", "shipping")]
    await databases.attach(names)
    await databases.attach(names)  # as every start does
    auditor = await asyncpg.connect(databases.audit_dsn())

    both = " UNION ALL ".join(f"SELECT count(*) FROM {name}.outbox" for name in names)
    assert [row["count"] for row in await auditor.fetch(both)] == [0, 0]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await auditor.execute(f"DELETE FROM {names[0]}.outbox")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await auditor.execute("CREATE TABLE public.mine ()")
    await auditor.close()


# The whole


async def ready(stack: Stack, name: str) -> None:
    """Wait for a service to answer; while its process is away, the request waits in its socket."""
    timeout = aiohttp.ClientTimeout(total=2)
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession(timeout=timeout) as http:
        while True:
            try:
                async with http.get(f"{stack.url(name)}/health/ready") as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                continue


def test_logs_are_for_their_owner_only_also_where_they_were_not(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o755)
    make_logs(tmp_path)
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700


async def test_nobody_else_on_the_machine_reads_the_logs(stack: Stack) -> None:
    assert stat.S_IMODE((stack.data / "logs").stat().st_mode) == 0o700


async def test_stack_json_says_what_runs_and_is_for_its_owner_only(stack: Stack) -> None:
    file = stack.data / "stack.json"
    state = json.loads(file.read_text())

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {name: service["url"] for name, service in state["services"].items()} == {
        name: stack.url(name) for name in stack.names if name != "outside"
    }
    assert state["services"]["payments"]["pid"] == stack.pid("payments")


async def test_whoever_reads_stack_json_gets_in_as_the_stack_itself(stack: Stack) -> None:
    running = Running(stack.data)

    assert (running.names, running.urls) == (stack.names, stack.urls)
    assert running.flow == stack.flow
    assert running.audit_dsn == stack.audit_dsn
    assert [running.dsn(name) for name in stack.names] == [stack.dsn(name) for name in stack.names]
    assert running.nats_url("payments") == stack.nats_url("payments")
    assert running.uses("nats")
    assert not running.uses("kafka")


@pytest.mark.parametrize("name", ["payments", "outside", "postgres", "nats"])
async def test_what_is_killed_comes_back_where_it_was(stack: Stack, name: str) -> None:
    url, pid = stack.url("payments"), stack.pid(name)

    stack.kill(name)

    await until(lambda: stack.pid(name) != pid)
    for service in stack.names:
        await ready(stack, service)
    assert stack.url("payments") == url
    assert psutil.pid_exists(stack.pid(name))
