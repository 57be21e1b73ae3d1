"""The process: `stagepost run outside`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from aiohttp import web

from services.outside.api import Api
from services.outside.carrier import ParcelEntry
from services.outside.counter import Counter
from services.outside.ledger import Ledger
from services.outside.provider import ChargeEntry
from services.outside.settings import load
from stagepost.engine.database import Pool, Queries
from stagepost.engine.runtime import stop_on_signals
from stagepost.engine.settings import Settings
from stagepost.engine.starting import reach_database, unless_stopped

PORT = 8010
SQL = Path(__file__).parent / "sql"


async def serve(settings: Settings) -> None:
    """Serve provider and carrier until SIGTERM or SIGINT, then end what is under way.

    Raises:
        BadSettings, StoreUnavailable: it cannot start; the message says why.
    """
    slow_seconds = load().slow_seconds
    stop = asyncio.Event()
    stop_on_signals(stop)
    pool = await unless_stopped(stop, reach_database(settings.database.get_secret_value()))
    if pool is None:
        return
    app = make_app(pool, linger=partial(asyncio.sleep, slow_seconds))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    try:
        await _site(runner, settings).start()
        await stop.wait()
    finally:
        await runner.cleanup()
        await pool.close()


def make_app(pool: Pool, *, linger: Callable[[], Awaitable[None]]) -> web.Application:
    """Wire provider and carrier to their ledgers; `linger` is how slow ones wait."""
    queries = Queries(pool, SQL / "queries.sql")
    charges = Counter(Ledger(queries, "charges", ChargeEntry), queries, linger)
    parcels = Counter(Ledger(queries, "parcels", ParcelEntry), queries, linger)
    return Api(charges, parcels, queries).app()


def _site(runner: web.AppRunner, settings: Settings) -> web.BaseSite:
    if settings.socket_fd is not None:
        return web.SockSite(runner, socket.socket(fileno=settings.socket_fd))
    port = PORT if settings.port is None else settings.port
    return web.TCPSite(runner, settings.host, port)
