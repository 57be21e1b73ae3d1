"""A broker that does not let a service in: it says so once, names the setting, and asks seldom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from stagepost.engine.transports import nats
from stagepost.engine.transports.nats import NatsTransport
from tests.engine.nats_server import NatsServer

WRONG = "a-wrong-password"


@pytest.fixture
async def refused(nats_server: NatsServer) -> AsyncIterator[NatsTransport]:
    """Payments, with a password that is not its own."""
    transport = NatsTransport(nats_server.url("payments").replace("secret", WRONG), "payments")
    yield transport
    await transport.close()


async def tried(transport: NatsTransport, seconds: float = 1.5) -> None:
    """Let it try to connect for so long, in vain."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(transport.publisher("payments"), seconds)
    assert not transport.connected


async def test_a_wrong_password_is_told_once_with_its_setting_and_not_with_itself(
    nats_server: NatsServer, refused: NatsTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    await tried(refused)
    (line,) = capsys.readouterr().out.splitlines()
    assert f"cannot connect to 127.0.0.1:{nats_server.port} as payments" in line
    assert "Authorization Violation" in line
    assert "STAGEPOST_NATS_URL" in line
    assert WRONG not in line


async def test_who_is_refused_does_not_try_again_at_once(
    nats_server: NatsServer, refused: NatsTransport
) -> None:
    await tried(refused)
    assert nats_server.log().count("authentication error") == 1


async def test_who_is_refused_again_and_again_says_it_once(
    nats_server: NatsServer,
    refused: NatsTransport,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(nats, "REFUSED_SECONDS", 0.01)
    await tried(refused)
    assert nats_server.log().count("authentication error") > 1
    said = capsys.readouterr().out
    assert said.count("\n") == 1, said


async def test_who_is_refused_gets_in_once_the_broker_is_mended(
    nats_server: NatsServer, refused: NatsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats, "REFUSED_SECONDS", 0.2)
    getting_in = asyncio.create_task(refused.publisher("payments"))
    await asyncio.sleep(0.5)
    assert not getting_in.done()
    nats_server.restart_with_password(WRONG)
    async with asyncio.timeout(5):
        await getting_in
    assert refused.connected


async def test_whose_password_is_changed_while_connected_tells_it_once(
    nats_server: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    transport = NatsTransport(nats_server.url("payments"), "payments")
    await transport.publisher("payments")
    nats_server.restart_with_password("another")
    await asyncio.sleep(1.5)
    assert capsys.readouterr().out.count("Authorization Violation") == 1
    await transport.close()


async def test_from_an_outage_a_service_is_back_at_once_and_told_it_once(
    nats_server: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    transport = NatsTransport(nats_server.url("payments"), "payments")
    await transport.publisher("payments")
    nats_server.kill()
    await asyncio.sleep(1.5)
    nats_server.start()
    async with asyncio.timeout(1):
        while not transport.connected:
            await asyncio.sleep(0.01)
    assert capsys.readouterr().out.count("cannot connect to") == 1
    await transport.close()


async def test_a_user_without_a_password_is_a_token_and_not_told(
    nats_server: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    transport = NatsTransport(f"nats://{WRONG}@127.0.0.1:{nats_server.port}", "payments")
    await tried(transport)
    said = capsys.readouterr().out
    assert "Authorization Violation" in said
    assert WRONG not in said
    await transport.close()
