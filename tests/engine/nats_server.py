"""A nats-server for tests."""

from __future__ import annotations

import json
import socket
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Collection
from pathlib import Path
from types import MappingProxyType

from stagepost.engine.discovery import find_services
from stagepost.engine.external import Senders
from stagepost.engine.links import Links
from stagepost.engine.service import Service
from stagepost.engine.stack.ports import free_port
from stagepost.engine.transports.nats_config import nats_config
from stagepost.engine.transports.nats_provision import provision
from stagepost.engine.transports.nats_rules import ADMIN, STREAMS, users


class NatsServer:
    """A nats-server of its own, with the users and rights of the sample's services."""

    def __init__(
        self,
        folder: Path,
        services: Collection[Service] | None = None,
        senders: Senders = MappingProxyType({}),
    ) -> None:
        self._services = list(services or find_services().values())
        self._links = Links(external=senders)
        self.port, self._monitor = free_port(), free_port()
        self._config = folder / "nats.conf"
        self._config.write_text(
            nats_config(
                self._services,
                self._links,
                host="127.0.0.1",
                port=self.port,
                monitor=f"127.0.0.1:{self._monitor}",
                store_dir=folder / "a store",
                passwords=dict.fromkeys(users(self._services, senders), "secret"),
            )
        )
        self._log = folder / "nats.log"
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, user: str) -> str:
        return f"nats://{user}:secret@127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [Path(sysconfig.get_path("scripts")) / "nats-server", "-c", self._config]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log)
        until = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < until, self._log.read_text()

    def log(self) -> str:
        return self._log.read_text()

    def restart_with_password(self, password: str) -> None:
        """Start it again with another password for everybody."""
        self.kill()
        self._config.write_text(self._config.read_text().replace("secret", password))
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0 and bool(probe.recv(4))

    def answers_awaited(self) -> int:
        """Return for how many answers, that go to another account, the server has a place."""
        url = f"http://127.0.0.1:{self._monitor}/accountz?acc={STREAMS}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return len(json.load(answer)["account_detail"].get("responses", {}))

    async def provision(self) -> None:
        await provision(self.url(ADMIN), self._services, self._links)
