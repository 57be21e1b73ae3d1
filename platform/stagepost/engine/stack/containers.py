"""A stack in containers: each part on a host of its own name, with what it is told in files.

`secrets/<part>/` in the stack's folder is for that part alone. A service's files are settings; they
belong to the user whose number is the service's port, which its container runs as.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from stagepost.engine.delays import check_delays
from stagepost.engine.discovery import find_own_settings, find_services, find_worlds
from stagepost.engine.flow import Flow
from stagepost.engine.settings_read import load_settings
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.folder import Passwords, write_secret
from stagepost.engine.stack.nats import logins
from stagepost.engine.stack.place import (
    names_of,
    settings_of,
    stores_of,
    transports_of,
    whereabouts,
)
from stagepost.engine.stack.server import SUPERUSER, Server
from stagepost.engine.stack.stores import provide_stores
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats_config import nats_config
from stagepost.engine.transports.nats_provision import provision
from stagepost.engine.transports.nats_rules import ADMIN, users

POSTGRES, BROKER = "postgres", "nats"
INIT = "init.sql"
"""What stands in PostgreSQL from the beginning: `platform/init.sh` has it carried out."""
BROKER_PORT = 4222
BROKER_STORE = Path("/data")
BROKER_HEALTH = "127.0.0.1:8222"
OWNERS = {POSTGRES: 999, BROKER: 0}
"""Who reads there what they are told: the users of the official images."""


class Containers:
    """A `Place` whose passwords are kept in a folder."""

    def __init__(self, data: Path, flow: Flow) -> None:
        self.flow = flow
        self.passwords = Passwords(data / "secrets.json")
        server = Server(POSTGRES, self.passwords.of(SUPERUSER))
        self.databases = Databases(server, self.passwords)
        self._used = transports_of(flow)

    def url(self, name: str) -> str:
        return f"http://{name}:{_ports()[name]}"

    def uses(self, transport: str) -> bool:
        return transport in self._used

    def nats_url(self, user: str) -> str:
        password = logins(self.passwords, [user])[user]
        return f"nats://{user}:{password}@{BROKER}:{BROKER_PORT}"

    def nats_config(self) -> str:
        """Return the broker's configuration: a user for each service and each who may come in."""
        services, links = list(self.flow.services.values()), self.flow.links
        return nats_config(
            services,
            links,
            host="0.0.0.0",  # noqa: S104  # in its container
            port=BROKER_PORT,
            store_dir=BROKER_STORE,
            monitor=BROKER_HEALTH,
            passwords=logins(self.passwords, users(services, links.external)),
        )


def prepare(data: Path, flow: Flow) -> None:
    """Write down what each part is told, before any of them starts; passwords are kept.

    Raises:
        BadSettings: what the environment says is wrong, and no service would start.
    """
    place = Containers(data, flow)
    folder = data / "secrets"
    folder.mkdir(exist_ok=True)
    databases = place.databases
    server = {"password": databases.server.password, INIT: databases.init_sql(stores_of(flow))}
    _tell(folder / POSTGRES, server, OWNERS[POSTGRES])
    _tell(folder / BROKER, {"nats.conf": place.nats_config()}, OWNERS[BROKER])
    for name in names_of(flow):
        told = {setting.lower(): value for setting, value in settings_of(name, place).items()}
        _tell(folder / name, told, _ports()[name])
        check_delays(load_settings(folder / name))
    for own in find_own_settings().values():
        own.load()
    write_secret(data / "stack.json", json.dumps(whereabouts(place), indent=2))
    for file in (data / "stack.json", data / "secrets.json"):
        _give(file, data.stat().st_uid)


async def provide(data: Path, flow: Flow) -> None:
    """Make streams and consumers, and whatever of databases, roles and tables is missing.

    Raises:
        StackError: the stores belong to another flow, and work is not done.
        SchemaTooNew, StoreUnavailable, TransportUnavailable
    """
    place = Containers(data, flow)
    await provide_stores(place.databases, flow)
    if place.uses(NATS):
        await provision(place.nats_url(ADMIN), list(flow.services.values()), flow.links)


def _ports() -> dict[str, int]:
    ports = {name: service.port for name, service in find_services().items()}
    return ports | {name: port for name, (port, _) in find_worlds().items()}


def _tell(folder: Path, told: dict[str, str], owner: int) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in told.items():
        write_secret(folder / name, text)
        _give(folder / name, owner)
    _give(folder, owner)


def _give(path: Path, owner: int) -> None:
    """Let one user have it; who is not root keeps it."""
    if os.geteuid() == 0:
        os.chown(path, owner, owner)
