"""PostgreSQL and NATS that talk TLS alone, with certificates of a development CA."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

from stagepost.engine.links import Links
from stagepost.engine.service import Service
from stagepost.engine.stack.nats import start_nats
from stagepost.engine.stack.ports import HOST, free_port
from stagepost.engine.stack.processes import Supervisor
from stagepost.engine.transports.nats_config import Tls, nats_config
from stagepost.engine.transports.nats_provision import provision
from stagepost.engine.transports.nats_rules import ADMIN, users

PASSWORD = "a-password-of-these-tests"
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@dataclass(frozen=True)
class Certificates:
    """What a CA has issued for this host: files of the server, and the CA's own."""

    ca: Path
    server: Tls


def certificates(folder: Path) -> Certificates:
    folder.mkdir()
    ca, at = trustme.CA(), Certificates(folder / "ca.pem", Tls(folder / "cert", folder / "key"))
    issued = ca.issue_cert(HOST)
    ca.cert_pem.write_to_path(str(at.ca))
    issued.cert_chain_pems[0].write_to_path(str(at.server.certificate))
    issued.private_key_pem.write_to_path(str(at.server.key))
    return at


@asynccontextmanager
async def in_front_of(socket: Path, issued: Certificates) -> AsyncIterator[int]:
    """Speak TLS, and nothing else, for a PostgreSQL that cannot: the wheel's was built without.

    Yields the port.
    """
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(issued.server.certificate, issued.server.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(trust)
                await _connect(reader, writer, socket)
        writer.close()

    async with _listening(serve) as port:
        yield port


@asynccontextmanager
async def in_the_clear(socket: Path) -> AsyncIterator[int]:
    """Stand in front of the same, and tell whoever wants TLS that there is none.

    Yields the port.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST:
                writer.write(b"N")
                await _connect(reader, writer, socket)
        writer.close()

    async with _listening(serve) as port:
        yield port


@asynccontextmanager
async def _listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, HOST, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def _connect(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: Path
) -> None:
    inner_reader, inner_writer = await asyncio.open_unix_connection(str(socket))
    await asyncio.gather(_pour(reader, inner_writer), _pour(inner_reader, writer))


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def start_broker(
    folder: Path, supervisor: Supervisor, issued: Certificates, service: Service
) -> int:
    """Start a broker for one service; return its port. Whoever stops `nats` ends it."""
    port, config = free_port(), folder / "nats.conf"
    config.write_text(
        nats_config(
            [service],
            Links(),
            host=HOST,
            port=port,
            store_dir=folder / "nats",
            passwords=dict.fromkeys(users([service], ()), PASSWORD),
            tls=issued.server,
        )
    )
    await start_nats(supervisor, config, port, folder / "nats.log")
    admin = f"tls://{ADMIN}:{PASSWORD}@{HOST}:{port}"
    await provision(admin, [service], Links(), issued.ca)
    return port
