"""What stands in PostgreSQL before a service starts: roles, databases, tables, the flow."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from stagepost.engine.discovery import find_services, find_worlds
from stagepost.engine.flow import Flow
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.flow_change import settle_flow
from stagepost.engine.stack.place import stores_of


async def provide_stores(databases: Databases, flow: Flow) -> None:
    """Bring every store to what this release needs, and to this flow.

    Raises:
        StackError: they belong to another flow, and work is not done.
        SchemaTooNew
    """
    services = find_services() | flow.services
    # Of every service, also where it has nothing to do in this style: what it did stays.
    stores = stores_of(flow)
    await databases.provide(stores)
    folders = {name: service.sql for name, service in services.items()}
    folders |= {name: _sql_beside(serve) for name, (_, serve) in find_worlds().items()}
    await databases.migrate(folders)
    await databases.attach(stores)
    await settle_flow(list(services), databases.owner_dsn, flow)


def _sql_beside(serve: Callable[..., object]) -> Path:
    return Path(str(sys.modules[serve.__module__].__file__)).parent / "sql"
