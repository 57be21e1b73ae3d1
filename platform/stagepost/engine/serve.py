"""One service process: opens the world, wires an instance to it, and closes it in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from contextlib import AsyncExitStack
from functools import partial
from socket import IPPROTO_TCP, TCP_NODELAY, create_server, socket

from stagepost.engine.calls import Calls
from stagepost.engine.calls_http import HttpCalls
from stagepost.engine.database import Pool, Queries, open_pool, read_statements
from stagepost.engine.delays import check_delays
from stagepost.engine.discovery import find, find_services
from stagepost.engine.flow import Flow
from stagepost.engine.flow_kept import check_flow
from stagepost.engine.follow import end
from stagepost.engine.ids import SystemIds
from stagepost.engine.migrations import check_schema
from stagepost.engine.network import Network
from stagepost.engine.network_open import open_network
from stagepost.engine.room import Room
from stagepost.engine.runtime import Instance, stop_on_signals
from stagepost.engine.service import Service
from stagepost.engine.settings import Settings, needed
from stagepost.engine.starting import reach_database, unless_stopped
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.tables_postgres import PostgresTables
from stagepost.engine.telemetry import Metrics, configure_logging
from stagepost.engine.tokens import Verifier, check_own
from stagepost.engine.transports import Transport
from stagepost.engine.web import Probe, Server, http_server, make_app
from stagepost.engine.web.access import Access
from stagepost.engine.web.peers import Peers
from stagepost.errors import BadSettings, NoRoom, TransportUnavailable

READERS = 4
"""Connections to the database on which requests are answered that only read."""


async def run(name: str, settings: Settings) -> None:
    """Run a service, or a part of the world around it, until SIGTERM or SIGINT.

    Raises:
        BadSettings, StoreUnavailable, SchemaTooNew, SchemaTooOld: it cannot start, and why.
    """
    configure_logging(settings.log_level, service=name, instance=settings.instance)
    check_delays(settings)
    found = find(name)
    if isinstance(found, Service):
        flow = Flow(settings.style, settings.links, settings.only, settings.external)
        await run_service(name, flow, settings)
    else:
        await found(settings)


async def run_service(name: str, flow: Flow, settings: Settings) -> None:
    """Serve HTTP, and do all the rest while this instance holds the lease.

    Raises:
        BadSettings: the service has nothing to do in this style, or lacks a setting.
    """
    service = flow.services.get(name)
    if service is None:
        raise BadSettings(f"{name} has nothing to do where services are {flow.style}")
    stop = asyncio.Event()
    stop_on_signals(stop)
    listening = _listen(service, settings)
    async with AsyncExitStack() as exits:
        world = await unless_stopped(stop, _open_world(service, flow, settings, listening, exits))
        if world is None:
            return
        server, instance = world
        _settle_memory()
        serving = asyncio.create_task(server.serve())
        working = asyncio.create_task(instance.run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        # In order: no new requests, then what is under way, then the connections.
        stopping.cancel()
        instance.answers.end()
        await server.drain()
        server.end()
        await asyncio.wait({serving})
        await end([working])
        with contextlib.suppress(asyncio.CancelledError):
            working.result()


def _settle_memory() -> None:
    """Keep what was imported and built out of every garbage collection to come: it stays.

    What messages leave behind is freed by reference counts; cycles are few, and looked for seldom.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 20)


def _listen(service: Service, settings: Settings) -> socket:
    """Open the socket before anything else: an instance that cannot serve takes no lease.

    Raises:
        BadSettings: somebody else has the port.
    """
    if settings.socket_fd is not None:
        return socket(fileno=settings.socket_fd)
    port = service.port if settings.port is None else settings.port
    try:
        listening = create_server((settings.host, port))
    except OSError as error:
        raise BadSettings(
            f"cannot listen on {settings.host}:{port} ({error.strerror}):"
            " give another port in STAGEPOST_PORT"
        ) from error
    listening.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return listening


async def _open_world(
    service: Service, flow: Flow, settings: Settings, listening: socket, exits: AsyncExitStack
) -> tuple[Server, Instance]:
    """Connect to everything outside, and wire an instance and its HTTP server to it."""
    access, dsn = _access(service, settings), settings.database.get_secret_value()
    pool = await reach_database(dsn)
    exits.push_async_callback(pool.close)
    # Readers wait for readers: never does what writes, or renews the lease, wait behind them.
    reading = await open_pool(dsn, size=READERS)
    exits.push_async_callback(reading.close)
    await check_schema(pool, service.sql)
    store = PostgresStore(pool, service.name)
    await check_flow(pool, service.name, flow)
    network = open_network(service, flow, settings, exits)
    calls = _calls(service, settings)
    exits.push_async_callback(calls.close)
    ids = SystemIds()
    instance = Instance(
        service,
        flow.services,
        holder=f"{service.name}-{settings.instance}",
        store=store,
        tables=PostgresTables(pool, read_statements(service.sql / "queries.sql")),
        network=network,
        calls=calls,
        ids=ids,
        metrics=Metrics(service.name),
        delays=settings.timers,
        lease_seconds=settings.lease_seconds,
        room=Room(settings.backlog_limit, settings.disk, settings.disk_floor),
    )
    app = make_app(
        service,
        desk=instance.desk,
        queries=Queries(reading, service.sql / "queries.sql"),
        store=PostgresStore(reading, service.name),
        ids=ids,
        answers=instance.answers,
        probes=_probes(store, pool, service, network, instance),
        registry=instance.metrics.registry,
        flow=flow,
        authenticate=access,
        peers=Peers.of(service, find_services(flow.style)),
    )
    host, port = listening.getsockname()[:2]

    def serving() -> None:
        if settings.pid_file is not None:
            settings.pid_file.write_text(str(os.getpid()))

    return http_server(app, host=host, port=port, fd=listening.fileno(), serving=serving), instance


def _access(service: Service, settings: Settings) -> Access:
    """Return who may call what.

    Raises:
        BadSettings: nobody said who makes tokens, or the service's own is not one of these.
    """
    verifier = Verifier(needed(settings.token_key, "STAGEPOST_TOKEN_KEY"))
    if settings.token is not None:
        check_own(verifier, settings.token.get_secret_value(), service.name)
    return Access(verifier, settings.rate_limit)


def _calls(service: Service, settings: Settings) -> Calls:
    """Return how a service reaches the outside world.

    Raises:
        BadSettings: nobody said how.
    """
    if service.open_calls is not None:
        return service.open_calls(settings)
    return HttpCalls(settings.calls, settings.call_timeout)


def _probes(
    store: PostgresStore,
    pool: Pool,
    service: Service,
    network: Network,
    instance: Instance,
) -> list[Probe]:
    async def connected(name: str, transport: Transport) -> None:
        if not transport.connected:
            raise TransportUnavailable(f"{name} cannot be reached; messages wait in the outbox")

    async def schema() -> None:
        await check_schema(pool, service.sql)

    async def room() -> None:
        if instance.desk.no_room is not None:
            raise NoRoom(instance.desk.no_room)

    return [
        Probe("room", room, vital=False),
        Probe("database", store.incarnation, vital=True),
        Probe("schema", schema, vital=True),
        *(
            Probe(name, partial(connected, name, transport), vital=False)
            for name, transport in network.transports.items()
        ),
    ]
