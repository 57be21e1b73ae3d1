"""What the tests of the bench share: both servers, as yardsticks and single parts find them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stagepost.engine.stack.postgres import Postgres
from stagepost.engine.stack.processes import Supervisor
from stagepost.engine.transports.nats_rules import ADMIN
from tests.bench.servers import Servers
from tests.engine.nats_server import NatsServer


@pytest.fixture
def servers(postgres: Postgres, supervisor: Supervisor, tmp_path: Path) -> Iterator[Servers]:
    nats = NatsServer(tmp_path)
    nats.start()
    pids = {"postgres": supervisor["postgres"].pid, "nats": nats.pid}
    yield Servers(postgres, nats.url(ADMIN), pids)
    nats.kill()
