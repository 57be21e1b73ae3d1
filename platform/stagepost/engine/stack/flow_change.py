"""From one flow to another, on the same data: only when all work is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import asyncpg

from stagepost.engine.database import Connection
from stagepost.engine.flow import Flow
from stagepost.engine.flow_kept import STATEMENTS, change_flow, kept_flow
from stagepost.engine.service import Service
from stagepost.errors import StackError


async def settle_flow(names: list[str], dsn: Callable[[str], str], flow: Flow) -> None:
    """Have the stores of all these services belong to a flow; `dsn` is how their owners connect.

    Raises:
        StackError: they belong to another, and work is not done.
    """
    async with AsyncExitStack() as exits:
        stores: dict[str, Connection] = {}
        for name in names:
            stores[name] = await asyncpg.connect(dsn(name))
            exits.push_async_callback(stores[name].close)
        kept = {name: await kept_flow(store) for name, store in stores.items()}
        former = {str(f): f for f in kept.values() if f and not f.is_as(flow)}
        for before in former.values():
            if undone := await _undone(before.services, stores):
                raise StackError(
                    f"these stores belong to services that are {before}, and are not done: "
                    f"{'; '.join(undone)}. Start them so until all orders have ended, or choose"
                    " another folder (DATA)"
                )
        for name, store in stores.items():
            async with store.transaction():
                if former and kept[name] and name in flow.services:
                    await _pass_what_was_told(flow.services, name, stores)
                await change_flow(store, flow)


async def _pass_what_was_told(
    services: Mapping[str, Service], reader: str, stores: Mapping[str, Connection]
) -> None:
    """Have a service that goes on in another flow begin behind what was told till now.

    All of that is done. Who did not listen to it in the former flow would do it once more.
    """
    for source in services.values():
        types = [message.TYPE for message in services[reader].reads_from(source)]
        last = await stores[source.name].fetchrow(STATEMENTS["last"], types)
        if last is not None:
            await stores[reader].execute(STATEMENTS["pass"], source.name, *last)


async def _undone(services: Mapping[str, Service], stores: Mapping[str, Connection]) -> list[str]:
    """Say what the services of a flow have yet to do."""
    undone = []
    for name, service in services.items():
        waiting = await stores[name].fetchrow(STATEMENTS["waiting"])
        assert waiting is not None
        undone += [
            f"{name} has {count:,} {what.replace('_', ' ')} waiting"
            for what, count in waiting.items()
            if count
        ]
        for source in services.values():
            types = [message.TYPE for message in service.reads_from(source)]
            if unheard := await _unheard(types, stores[source.name], stores[name], source.name):
                undone.append(f"{name} has {unheard:,} messages of {source.name} to read")
    return undone


async def _unheard(types: list[str], source: Connection, reader: Connection, name: str) -> int:
    if not types:
        return 0
    reached = await reader.fetchrow(STATEMENTS["reached"], name) or (0, 0)
    told = await source.fetch(STATEMENTS["told"], types, *reached)
    count: int = await reader.fetchval(STATEMENTS["unheard"], [row[0] for row in told])
    return count
