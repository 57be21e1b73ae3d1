"""A broker with the users of senders from outside, and a counter that hears them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.engine.nats_server import NatsServer
from tests.external.outside import SENDERS, SERVICES, World


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path, SERVICES, SENDERS)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def world(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr("stagepost.engine.redriver.LOOK_AGAIN", 0.01)
    monkeypatch.setattr("stagepost.engine.runtime.AGAIN", 0.01)
    await server.provision()
    world = World(server)
    yield world
    await world.close()
