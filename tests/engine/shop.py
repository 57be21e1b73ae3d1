"""A service that only tests know, served by the real server, and what it is given."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import httpx
from litestar import Response, get, post, put
from litestar.params import FromPath, JSONBody
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict

from contracts.values import Lines
from stagepost.engine.clock import ManualClock
from stagepost.engine.flow import Flow
from stagepost.engine.ids import SeededIds
from stagepost.engine.service import Service
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.web import (
    Authenticate,
    Probe,
    http_server,
    make_app,
    problems,
)
from stagepost.engine.web.problems import PROBLEM_JSON
from stagepost.errors import Conflict, NoRoom, NotFound, OutcomeUnknown, Refused, StoreUnavailable
from stagepost.messages import Id, Text
from tests.callers import an_operator


class Basket(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    lines: Lines
    gift: Text | None = None


class Put(BaseModel):
    lines: int


RAISED: dict[str, Exception] = {
    "nothing": NotFound("there is no basket 'nothing'"),
    "taken": Conflict("line 2 is taken", pointer="/lines/1"),
    "other": Refused("not like this"),
    "bug": RuntimeError("a secret of the house"),
    "full": NoRoom("the disk has 3 MiB left"),
    "down": StoreUnavailable("password=secret"),
    "cut": OutcomeUnknown("connection cut"),
}


@get("/baskets/{name:str}", responses=problems(404, 409))
async def read_basket(name: FromPath[Id]) -> Put:
    """Read a basket."""
    if name in RAISED:
        raise RAISED[name]
    return Put(lines=1)


@put("/baskets/{name:str}", responses=problems(409))
async def fill_basket(name: FromPath[Id], data: JSONBody[Basket]) -> Response[Put]:
    """Fill a basket."""
    return Response(Put(lines=sum(line.quantity for line in data.lines)), headers={"ETag": name})


@post("/baskets", status_code=201)
async def new_basket(data: JSONBody[Basket]) -> Put:
    """Make a basket."""
    return Put(lines=sum(line.quantity for line in data.lines))


SHOP = Service(
    name="shop",
    about="Sells <things> & more.",
    port=0,
    sql=Path(),
    routes=[read_basket, fill_basket, new_basket],
)
GOOD: dict[str, Any] = {"lines": [{"sku": "red-chair", "quantity": 2}]}


async def well() -> None:
    """Nothing is wrong."""


async def broken() -> NoReturn:
    raise StoreUnavailable("the database cannot be reached")


class World:
    """What the app under test is given."""

    def __init__(self, service: Service = SHOP) -> None:
        self.service = service
        self.store = MemoryStore("shop", ManualClock())
        self.registry = CollectorRegistry()
        self.probes = [Probe("database", well, vital=True), Probe("broker", well, vital=False)]

    @asynccontextmanager
    async def served(
        self, authenticate: Authenticate = an_operator
    ) -> AsyncIterator[httpx.AsyncClient]:
        app = make_app(
            self.service,
            desk=None,  # type: ignore[arg-type]  # these routes ask neither
            queries=None,  # type: ignore[arg-type]
            store=self.store,
            ids=SeededIds(1),
            answers=None,  # type: ignore[arg-type]  # no command is brought
            probes=self.probes,
            registry=self.registry,
            flow=Flow(),
            authenticate=authenticate,
        )
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = http_server(app, host="127.0.0.1", port=0)
            serving = asyncio.create_task(server.serve([listening]))
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            try:
                async with httpx.AsyncClient(base_url=url) as client:
                    yield client
            finally:
                server.end()
                await serving


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == PROBLEM_JSON
    problem: dict[str, Any] = answer.json()
    assert set(problem) >= {"type", "title", "status", "detail", "instance", "errors"}
    assert problem["status"] == answer.status_code
    return problem
