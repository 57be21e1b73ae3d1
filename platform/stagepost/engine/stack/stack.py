"""The stack: what runs, in which order it starts and ends, and where it can be reached."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from socket import socket
from types import TracebackType
from typing import Self

import aiohttp

from stagepost.engine.discovery import find_worlds
from stagepost.engine.flow import Flow
from stagepost.engine.follow import end
from stagepost.engine.service import Service
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.folder import Passwords, empty, held, make_logs, write_secret
from stagepost.engine.stack.kafka import start_kafka
from stagepost.engine.stack.keys import operator_headers
from stagepost.engine.stack.nats import Nats
from stagepost.engine.stack.place import names_of, settings_of, transports_of
from stagepost.engine.stack.ports import HOST, free_port, listen, port_of
from stagepost.engine.stack.postgres import Postgres, account_for
from stagepost.engine.stack.processes import Group, Program, Supervisor
from stagepost.engine.stack.rolling import serves
from stagepost.engine.stack.state import state_of
from stagepost.engine.stack.stores import provide_stores
from stagepost.engine.transport_names import KAFKA, NATS
from stagepost.errors import StagepostError

PATIENCE = 10.0
"""Seconds that a process gets to end in order."""
ANSWER = aiohttp.ClientTimeout(total=2)
"""How long a process that has its socket already gets to say that it is ready."""

KAFKA_VARIABLE = "STAGEPOST_KAFKA"


def to_stderr(line: str) -> None:
    """Say something to whoever looks on, without touching standard output."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # it is for a person to read


class Stack:
    """`async with Stack(folder) as stack`: inside, all runs and is ready; afterwards, nothing does.

    `fresh` begins without what an earlier stack left in the folder, `timers` gives delays in
    seconds by the timer's name, `env` is for the services. Of each service so many `instances` run
    and share its socket: the process of the first has its name, that of the next `<service>-2`.
    """

    def __init__(
        self,
        data: Path,
        *,
        fresh: bool = False,
        instances: int = 1,
        flow: Flow = Flow(),  # noqa: B008  # frozen
        timers: Mapping[str, float] | None = None,
        env: Mapping[str, str] | None = None,
        say: Callable[[str], None] = to_stderr,
    ) -> None:
        self.data = data.resolve()
        self._fresh = fresh
        self._instances = instances
        self._timers = dict(timers or {})
        self._env = dict(env or {})
        self._say = say
        self.flow = flow
        self._services = flow.services
        self._used = transports_of(flow)
        given = self._env.get(KAFKA_VARIABLE) or os.environ.get(KAFKA_VARIABLE)
        self._mocks_kafka = not given
        self._kafka = Path(given or self.data / "kafka.json") if KAFKA in self._used else None
        self._worlds = find_worlds()
        self._sockets: dict[str, socket] = {}
        self._provisioning: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            await self._start(exits)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exits.aclose()

    @property
    def names(self) -> tuple[str, ...]:
        """What listens: the services in the order of their ports, then the world around them."""
        return names_of(self.flow)

    @property
    def processes(self) -> tuple[str, ...]:
        """What runs for each of the `names`: every instance of a service, by its own name."""
        return tuple(process for name in self.names for process in self.processes_of(name))

    @property
    def services(self) -> Mapping[str, Service]:
        """The services that run."""
        return self._services

    @property
    def urls(self) -> dict[str, str]:
        """Where each of them is."""
        return {name: self.url(name) for name in self.names}

    @property
    def audit_dsn(self) -> str:
        """How the auditor reads all databases, as schemas of one."""
        return self.databases.audit_dsn()

    @property
    def sockets(self) -> Path:
        """Where PostgreSQL listens."""
        return self._folder

    @property
    def superuser_dsn(self) -> str:
        """How the server's superuser connects."""
        return self._postgres.dsn("postgres")

    def url(self, name: str) -> str:
        """Return where a service is; that stays while its process comes and goes."""
        return f"http://{HOST}:{port_of(self._sockets[name])}"

    def processes_of(self, name: str) -> list[str]:
        """Return the processes of one of the `names`: of a service, one for each instance."""
        instances = self._instances if name in self._services else 1
        return [name, *(f"{name}-{number}" for number in range(2, instances + 1))]

    def pid_file(self, process: str) -> Path:
        """Return where a service's process writes its id once it serves."""
        return self._folder / f"{process}.pid"

    def dsn(self, name: str) -> str:
        """Return how a service connects to its database."""
        return self.databases.dsn(name)

    def uses(self, transport: str) -> bool:
        """Tell whether anything goes over this transport."""
        return transport in self._used

    @cached_property
    def headers(self) -> dict[str, str]:
        """What an operator of this stack says with each request."""
        return operator_headers(self.passwords)

    def nats_url(self, user: str) -> str:
        """Return how a service connects to the broker, or whoever else is let in."""
        return self._nats.url(user)

    def pid(self, name: str) -> int:
        """Return the process id: of one of `processes`, of `postgres`, `nats` or `kafka`."""
        return self._supervisor[name].pid

    def kill(self, name: str) -> None:
        """End one of these processes as a crash would; it is started again."""
        self._supervisor[name].kill()

    async def running(self) -> None:
        """Wait as long as the stack is kept running: for ever, unless keeping it so fails."""
        await asyncio.shield(self._watch)

    async def _start(self, exits: AsyncExitStack) -> None:
        lock = exits.enter_context(held(self.data))
        if self._fresh:
            empty(self.data)
        make_logs(self.data)
        self.passwords = Passwords(self.data / "secrets.json")
        folder = Path(tempfile.mkdtemp(prefix="stagepost-", dir=short_temporary_folder()))
        group = Group(folder, lock)
        exits.push_async_callback(group.close)
        self._supervisor = Supervisor(group, self._say, self._after_restart)
        self._listen(exits)
        await self._start_servers(exits, folder)
        await self._start_services(exits)
        self._write_state()
        exits.callback(self._state.unlink, missing_ok=True)
        self._watch = asyncio.create_task(self._supervisor.watch())
        exits.push_async_callback(self._stop_watching)

    def _listen(self, exits: AsyncExitStack) -> None:
        ports = {name: service.port for name, service in self._services.items()}
        ports |= {name: port for name, (port, _) in self._worlds.items()}
        for name, port in ports.items():
            self._sockets[name] = exits.enter_context(listen(port))

    async def _start_servers(self, exits: AsyncExitStack, folder: Path) -> None:
        self._folder = folder
        account = account_for(self.data, self._say)
        if account:
            os.chown(folder, *account)
        self._postgres = Postgres(
            self.data / "postgres",
            folder,
            self._log("postgres"),
            self.passwords.of("postgres"),
            account,
        )
        self.databases = Databases(self._postgres.server, self.passwords)
        self._nats = Nats(
            self.data,
            self._log("nats"),
            free_port(),
            self.passwords,
            list(self._services.values()),
            self.flow.links,
        )
        exits.push_async_callback(self._supervisor.stop, ["postgres"], PATIENCE)
        brokers = []
        if NATS in self._used:
            exits.push_async_callback(self._supervisor.stop, ["nats"], PATIENCE)
            brokers.append(self._nats.start(self._supervisor))
        if self._kafka is not None and self._mocks_kafka:
            self._say("Kafka is a mock cluster here: in memory, not durable")
            exits.push_async_callback(self._supervisor.stop, ["kafka"], PATIENCE)
            brokers.append(
                start_kafka(self._supervisor, self._kafka, self._services, self._log("kafka"))
            )
        await _together(self._start_postgres(), *brokers)

    async def _start_postgres(self) -> None:
        await self._postgres.start(self._supervisor)
        await provide_stores(self.databases, self.flow)

    async def _start_services(self, exits: AsyncExitStack) -> None:
        exits.push_async_callback(self._supervisor.stop, self.processes, PATIENCE)
        async with aiohttp.ClientSession(timeout=ANSWER) as http:
            await _together(
                *(
                    self._start_service(name, number, process, http)
                    for name in self.names
                    for number, process in enumerate(self.processes_of(name), 1)
                )
            )

    async def _start_service(
        self, name: str, number: int, process: str, http: aiohttp.ClientSession
    ) -> None:
        descriptor = self._sockets[name].fileno()
        instance = {"STAGEPOST_INSTANCE": str(number)}
        if name in self._services:
            instance["STAGEPOST_PID_FILE"] = str(self.pid_file(process))
        program = Program(
            process,
            self._command(name),
            self._log(process),
            env=os.environ | self._env | self._settings(name, descriptor) | instance,
            sockets=(descriptor,),
        )

        async def ready() -> bool:
            # Whichever instance answers: the file says that this one would.
            if name in self._services and not serves(self.pid_file(process), self.pid(process)):
                return False
            try:
                async with http.get(f"{self.url(name)}/health/ready") as answer:
                    return answer.status == HTTPStatus.OK
            except (aiohttp.ClientError, TimeoutError):
                return False

        await self._supervisor.start(program, ready)

    def _command(self, name: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "stagepost", "run", name)

    def _settings(self, name: str, descriptor: int) -> dict[str, str]:
        return settings_of(name, self) | {
            "STAGEPOST_SOCKET_FD": str(descriptor),
            "STAGEPOST_DISK": str(self.data),
            **({KAFKA_VARIABLE: str(self._kafka)} if self._kafka else {}),
            **({"STAGEPOST_TIMERS": json.dumps(self._timers)} if self._timers else {}),
        }

    def _log(self, name: str) -> Path:
        return self.data / "logs" / f"{name}.log"

    @property
    def _state(self) -> Path:
        return self.data / "stack.json"

    def _after_restart(self) -> None:
        """Write down the new process ids; a broker that lost its disk gets its streams again."""
        self._write_state()
        if NATS in self._used:
            self._provisioning = asyncio.create_task(self._nats.provision_again(self._say))

    def _write_state(self) -> None:
        write_secret(self._state, json.dumps(state_of(self), indent=2))

    async def _stop_watching(self) -> None:
        await end(task for task in (self._watch, self._provisioning) if task is not None)


async def _together(*starts: Coroutine[None, None, None]) -> None:
    """Start several at once; where one fails, give up the others and raise what it raised."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for start in starts:
                tasks.create_task(start)
    except* StagepostError as errors:
        raise errors.exceptions[0] from None


def short_temporary_folder() -> str | None:
    """Return where sockets can be, None for the usual place."""
    # A path to a Unix socket has room for about 100 characters.
    return "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108
