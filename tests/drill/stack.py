"""The real stack, with services of the test build behind proxies."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import asyncpg

from stagepost.engine.flow import Flow
from stagepost.engine.stack import Stack
from stagepost.engine.stack.nats import greets, logins
from stagepost.engine.stack.place import stores_of
from stagepost.engine.stack.ports import HOST
from stagepost.engine.stack.server import PORT
from stagepost.engine.stack.stack import ANSWER, PATIENCE
from tests.drill.liar import Liar
from tests.drill.points import FOLDER, Orders
from tests.drill.proxy import Proxy

ROOT = Path(__file__).parents[2]


class DrillStack(Stack):
    """A `Stack` in which each service has a proxy to its database, and one to the broker."""

    def __init__(
        self, data: Path, flow: Flow, *, timers: Mapping[str, float], env: Mapping[str, str]
    ) -> None:
        super().__init__(data, fresh=True, flow=flow, timers=timers, env=env, say=lambda _: None)
        self.to_database = {name: Proxy(self._reach_database) for name in self.names}
        self.liar = Liar()
        self.to_broker = {name: Proxy(self._reach_broker) for name in self._services}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            for proxy in (*self.to_database.values(), *self.to_broker.values()):
                await proxy.start()
                exits.push_async_callback(proxy.close)
            await self.liar.start()
            exits.push_async_callback(self.liar.close)
            await super().__aenter__()
            self._proxies = exits.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await super().__aexit__(kind, error, trace)
        await self._proxies.aclose()

    @property
    def services(self) -> tuple[str, ...]:
        """Ours that run in this style, without the world around."""
        return tuple(self._services)

    @property
    def stores(self) -> tuple[str, ...]:
        """What has a database: also services that have nothing to do in this style."""
        return stores_of(self.flow)

    async def scale(self, instances: int) -> None:
        """Let each service run in so many instances, two at most."""
        if instances == self._instances:
            return
        second = [f"{name}-2" for name in self._services]
        if instances == 1:
            await self._supervisor.stop(second, PATIENCE)
        else:
            async with aiohttp.ClientSession(timeout=ANSWER) as http:
                await asyncio.gather(
                    *(self._start_service(name, 2, f"{name}-2", http) for name in self._services)
                )
        self._instances = instances
        self._write_state()

    async def leader(self, service: str) -> str:
        """Return the name of the process that holds the lease of a service, or held it last."""
        connection = await asyncpg.connect(self.databases.owner_dsn(service))
        try:
            holder = str(await connection.fetchval("SELECT holder FROM leases"))
        finally:
            await connection.close()
        return service if holder == f"{service}-1" else holder

    @property
    def folder_of_points(self) -> Path:
        return self.data / "points"

    def orders(self) -> Orders:
        """Return what tells the services where to stop."""
        return Orders(self.folder_of_points)

    async def answers(self, server: str) -> bool:
        """Tell whether PostgreSQL (`postgres`) or the broker (`nats`) lets anybody in."""
        if server == "postgres":
            return await self._postgres._ready()
        return await greets(self._nats.port)

    async def _reach_database(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(str(self._postgres.sockets / f".s.PGSQL.{PORT}"))

    async def _reach_broker(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HOST, self._nats.port)

    def _command(self, name: str) -> tuple[str, ...]:
        if name not in self._services:
            return super()._command(name)
        return (sys.executable, "-m", "tests.drill.service", name)

    def _settings(self, name: str, descriptor: int) -> dict[str, str]:
        settings = super()._settings(name, descriptor)
        database = self.to_database[name].port
        password = self.passwords.of(name)
        settings["STAGEPOST_DATABASE"] = f"postgresql://{name}:{password}@{HOST}:{database}/{name}"
        if name in self._services:
            calls = json.loads(settings["STAGEPOST_CALLS"])
            front = self.liar.in_front_of(self.url("outside"))
            settings["STAGEPOST_CALLS"] = json.dumps({part: f"{front}/{part}" for part in calls})
            login = f"{name}:{logins(self.passwords, [name])[name]}"
            settings["STAGEPOST_NATS_URL"] = f"nats://{login}@{HOST}:{self.to_broker[name].port}"
        paths = (str(ROOT), os.environ.get("PYTHONPATH"))
        return settings | {
            FOLDER: str(self.folder_of_points),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
