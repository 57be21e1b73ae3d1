"""Walls that let somebody through, and input that does something, are found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.demo.attempts import Sample, check_bad_input, check_walls
from services.demo.promises import Audit
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.nats import start_nats
from stagepost.engine.stack.ports import free_port
from stagepost.engine.stack.postgres import Postgres
from stagepost.engine.stack.processes import Supervisor

NAMES = ("red", "blue")
Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True)
class Doors:
    """How the services get in, and who of them has a key for every door."""

    databases: Databases
    postgres: Postgres
    nats_port: int
    with_all_keys: str = ""

    def dsn(self, name: str) -> str:
        if name == self.with_all_keys:
            return self.postgres.dsn(name)
        return self.databases.dsn(name)

    def uses(self, transport: str) -> bool:
        return transport == "nats"

    def nats_url(self, user: str) -> str:
        name = "admin" if user == self.with_all_keys else user
        return f"nats://{name}:secret@127.0.0.1:{self.nats_port}"


# Ended with this module: another brings a broker of its own under the same name.
@pytest.fixture(scope="module")
async def doors(
    databases: Databases, postgres: Postgres, supervisor: Supervisor, folder: Path
) -> AsyncIterator[Doors]:
    await databases.provide(NAMES)
    port = free_port()
    own = [
        {
            "user": name,
            "password": "secret",
            "permissions": {"publish": [f"{name}.>"], "subscribe": ["_INBOX.>"]},
        }
        for name in NAMES
    ]
    users = [*own, {"user": "admin", "password": "secret"}]
    config = folder / "doors.conf"
    config.write_text(
        f'host: "127.0.0.1"\nport: {port}\nauthorization {{ users: {json.dumps(users)} }}\n'
    )
    await start_nats(supervisor, config, port, folder / "doors.log")
    yield Doors(databases, postgres, port)
    await supervisor.stop(["nats"], 10)


async def test_services_that_keep_to_themselves_are_refused_everywhere_else(doors: Doors) -> None:
    finding = await check_walls(doors, NAMES, NAMES)
    assert finding.holds, finding.detail
    assert finding.detail == "2 databases refused, 2 publications refused"


async def test_a_service_with_all_keys_is_found(doors: Doors) -> None:
    open_doors = Doors(doors.databases, doors.postgres, doors.nats_port, with_all_keys="red")
    finding = await check_walls(open_doors, NAMES, NAMES)
    assert not finding.holds
    assert "red can open the database blue; red can publish as blue" in finding.detail


async def refuse(_: web.Request) -> web.Response:
    return web.json_response({}, status=422, content_type="application/problem+json")


async def accept(_: web.Request) -> web.Response:
    return web.json_response({}, status=202)


async def fail(_: web.Request) -> web.Response:
    return web.json_response({}, status=500, content_type="application/problem+json")


async def mumble(_: web.Request) -> web.Response:
    return web.Response(status=400, text="no")


async def check(audit: Audit, answer: Handler, body: object = None) -> tuple[bool, str]:
    app = web.Application()
    app.router.add_post("/orders", answer)
    samples = [Sample("nonsense", "ordering", "POST", "/orders", body)]
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        urls = {"ordering": str(server.make_url("/")).rstrip("/")}
        finding = await check_bad_input(audit, session, urls, samples)
        return finding.holds, finding.detail


@pytest.mark.parametrize("body", [None, b"{", {"lines": []}])
async def test_bad_input_that_is_refused_is_well(audit: Audit, body: object) -> None:
    holds, detail = await check(audit, refuse, body)
    assert holds
    assert detail.startswith("1 bad requests refused")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (accept, "nonsense got 202 with application/json from ordering"),
        (fail, "nonsense got 500 with application/problem+json from ordering"),
        (mumble, "nonsense got 400 with text/plain from ordering"),
    ],
)
async def test_bad_input_that_gets_no_clear_error_is_found(
    audit: Audit, answer: Handler, fault: str
) -> None:
    holds, detail = await check(audit, answer)
    assert not holds
    assert fault in detail


async def test_bad_input_that_is_refused_and_yet_written_is_found(audit: Audit) -> None:
    async def write(request: web.Request) -> web.Response:
        await audit.connection.execute(
            """INSERT INTO ordering.stored_events
               SELECT gen_random_uuid(), 1, topic, state FROM ordering.stored_events LIMIT 1"""
        )
        return await refuse(request)

    holds, detail = await check(audit, write)
    assert not holds
    assert "events before and after are not the same" in detail
