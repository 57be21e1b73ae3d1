"""Forgetting what is old and done with: `stagepost prune`. What may go, `sql/006_feed.sql` says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from stagepost.engine.database import UNREACHABLE, connect
from stagepost.engine.flow import Flow
from stagepost.engine.flow_kept import kept_flow
from stagepost.engine.links import relay_name, routes_of
from stagepost.engine.service import Service
from stagepost.errors import BadSettings, SchemaTooOld, StoreUnavailable

_STATEMENT = "SELECT sent, heard, begins FROM prune($1, $2)"
_TOO_YOUNG = "SP002"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many messages were forgotten, and the position after which the feed begins now."""

    sent: int
    heard: int
    begins: int


async def prune(dsn: str, service: Service, before: datetime) -> Forgotten:
    """Forget a service's messages of before a time, as the owner of the tables.

    Raises:
        BadSettings: the time is less than 24 hours ago, or the database lets nobody in as told.
        SchemaTooOld, StoreUnavailable
    """
    try:
        connection = await connect(dsn)
        try:
            flow = await kept_flow(connection) or Flow()
            as_it_runs = flow.services.get(service.name, service)
            routes = routes_of(as_it_runs, flow.services, flow.links)
            relays = [relay_name(broker) for broker in routes.publishes]
            row = await connection.fetchrow(_STATEMENT, before, relays)
        finally:
            await connection.close()
    except UNREACHABLE as error:
        raise StoreUnavailable(f"the database cannot be reached: {error}") from error
    except (asyncpg.UndefinedFunctionError, asyncpg.UndefinedTableError) as error:
        raise SchemaTooOld("the database cannot forget yet: run `stagepost migrate`") from error
    except asyncpg.PostgresError as error:
        if error.sqlstate == _TOO_YOUNG:
            raise BadSettings(f"{error}; {before:%Y-%m-%d %H:%M:%S %Z} is") from error
        raise
    assert row is not None
    return Forgotten(**row)
