"""One service from end to end over TLS: its database and its broker prove who they are."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from stagepost.engine.database import open_pool
from stagepost.engine.discovery import find_services
from stagepost.engine.roles import Role
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.ports import HOST, free_port
from stagepost.engine.stack.processes import Program, Supervisor
from stagepost.engine.stack.server import PORT
from stagepost.engine.tokens import Issuer, bearer
from stagepost.engine.transports.nats import NatsTransport
from stagepost.errors import StoreUnavailable
from tests.conftest import NewDatabase
from tests.security.encrypted import PASSWORD, certificates, in_front_of, in_the_clear, start_broker

CUSTOMERS = find_services()["customers"]
ISSUER = Issuer("a secret of these tests, and of nobody else")


@dataclass(frozen=True)
class Servers:
    """How customers reaches its database and its broker, and whom it must trust for that."""

    dsn: str
    nats_port: int
    ca: Path
    supervisor: Supervisor
    folder: Path

    def nats_url(self, scheme: str = "tls") -> str:
        return f"{scheme}://{CUSTOMERS.name}:{PASSWORD}@{HOST}:{self.nats_port}"


@pytest.fixture(scope="module")
async def servers(
    new_database: NewDatabase,
    databases: Databases,
    supervisor: Supervisor,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Servers]:
    folder = tmp_path_factory.mktemp("tls")
    issued, database = certificates(folder / "certificates"), await new_database(CUSTOMERS.name)
    async with in_front_of(Path(databases.server.host) / f".s.PGSQL.{PORT}", issued) as port:
        login = database.service.partition("@")[0]
        how = f"sslmode=verify-full&sslrootcert={issued.ca}"
        dsn = f"{login}@{HOST}:{port}/{database.name}?{how}"
        nats_port = await start_broker(folder, supervisor, issued, CUSTOMERS)
        yield Servers(dsn, nats_port, issued.ca, supervisor, folder)
        await supervisor.stop(["nats"], 10)


@pytest.fixture
async def in_clear(new_database: NewDatabase, databases: Databases) -> AsyncIterator[str]:
    """The address of a database that does not encrypt, and says nothing of it."""
    database = await new_database(CUSTOMERS.name)
    async with in_the_clear(Path(databases.server.host) / f".s.PGSQL.{PORT}") as port:
        yield f"{database.service.partition('@')[0]}@{HOST}:{port}/{database.name}"


@pytest.fixture
def other_ca(tmp_path: Path) -> Path:
    return certificates(tmp_path / "others").ca


async def test_a_service_stores_and_hears_over_tls(servers: Servers) -> None:
    port = free_port()
    settings = {
        "STAGEPOST_DATABASE": servers.dsn,
        "STAGEPOST_NATS_URL": servers.nats_url(),
        "STAGEPOST_NATS_CA": str(servers.ca),
        "STAGEPOST_ONLY": '["customers"]',
        "STAGEPOST_TOKEN_KEY": ISSUER.public_key,
        "STAGEPOST_PORT": str(port),
    }
    program = Program(
        "customers",
        (sys.executable, "-m", "stagepost", "run", CUSTOMERS.name),
        servers.folder / "customers.log",
        env=os.environ | settings,
    )
    headers = bearer(ISSUER.token(Role.CUSTOMER, "ada", days=1))
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", headers=headers) as client:

        async def well() -> bool:
            try:
                return (await client.get("/health/ready")).json().get("health") == "ok"
            except httpx.TransportError:
                return False

        await servers.supervisor.start(program, well)
        ada = {"name": "Ada Lovelace", "email": "ada@example.org"}
        assert (await client.post("/customers", json=ada)).status_code == 201
        # What it tells comes back to its own process over the broker.
        async with asyncio.timeout(30):
            while (await client.get("/customers/ada/onboarding")).json()["state"] == "New":
                await asyncio.sleep(0.05)
        found = (await client.get("/customers/ada/onboarding")).json()
        assert found["state"] == "AwaitingLetter"
    await servers.supervisor.stop(["customers"], 10)


async def test_a_database_that_somebody_else_vouches_for_is_none(
    servers: Servers, other_ca: Path
) -> None:
    dsn = servers.dsn.replace(str(servers.ca), str(other_ca))
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        await open_pool(dsn, size=1)


async def test_a_database_under_another_name_is_none(servers: Servers) -> None:
    dsn = servers.dsn.replace(HOST, "localhost")
    with pytest.raises(StoreUnavailable, match="Hostname mismatch"):
        await open_pool(dsn, size=1)
    pool = await open_pool(dsn.replace("verify-full", "verify-ca"), size=1)  # its name alone is it
    await pool.close()


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_database_that_does_not_encrypt_is_none_where_the_address_says_so(
    servers: Servers, in_clear: str, mode: str
) -> None:
    trusted = f"&sslrootcert={servers.ca}" if mode.startswith("verify") else ""
    with pytest.raises(StoreUnavailable, match="rejected SSL upgrade"):
        await open_pool(f"{in_clear}?sslmode={mode}{trusted}", size=1)


async def test_where_the_address_says_nothing_a_database_need_not_encrypt(in_clear: str) -> None:
    pool = await open_pool(in_clear, size=1)
    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_a_broker_that_somebody_else_vouches_for_is_none(
    servers: Servers, other_ca: Path, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for ca in (other_ca, None):
        transport = NatsTransport(servers.nats_url(scheme), CUSTOMERS.name, ca)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transport.publisher(CUSTOMERS.name), 1)
        assert not transport.connected
        assert "certificate verify failed" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_a_broker_that_insists_is_talked_to_over_tls(servers: Servers, scheme: str) -> None:
    transport = NatsTransport(servers.nats_url(scheme), CUSTOMERS.name, servers.ca)
    await transport.publisher(CUSTOMERS.name)
    assert transport.connected
    await transport.close()
