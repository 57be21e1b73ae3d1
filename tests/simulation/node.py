"""One instance of a service: a process that is started again whenever it is gone."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from stagepost.engine.batch import Batch, Lease
from stagepost.engine.calls import Calls
from stagepost.engine.decide import Decided, Decider, Loaded
from stagepost.engine.desk import Desk
from stagepost.engine.envelope import Envelope
from stagepost.engine.network import Network
from stagepost.engine.recipients import Recipients
from stagepost.engine.runtime import Instance
from stagepost.engine.store import Store
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports import Broker, Words
from stagepost.engine.transports.memory import MemoryTransport
from stagepost.engine.views import Tables
from stagepost.messages import Message
from tests.simulation.loop import Process
from tests.simulation.plan import FLOW, SHOP
from tests.simulation.ports import (
    FaultyCalls,
    FaultyRecipients,
    FaultyStore,
    FaultyTables,
    FaultyTransport,
)
from tests.simulation.watch import would_break

if TYPE_CHECKING:
    from tests.simulation.world import World

LEASE_SECONDS = 3.0

metrics_of = cache(Metrics)


class Node:
    """An instance by its name, through all its lives."""

    def __init__(self, world: World, service: str, number: int) -> None:
        self.name = f"{service}-{number}"
        self.service = service
        self.world = world
        self.process = Process(self.name)
        self.process.alive = False
        self.led_at: dict[int, float] = {}
        self.tails: dict[int, dict[str, int]] = {}

    def start(self) -> None:
        if not self.process.alive:
            self.process = Process(self.name)
            self.process.node = self
            self.process.context.run(self._start)

    def _start(self) -> None:
        world, name = self.world, self.service
        store = FaultyStore(world.stores[name], world.io, name, self._would_break, world.refuses)
        self.transport = FaultyTransport(MemoryTransport(world.broker), world.io, self.process)
        self.instance = Instance(
            SHOP[name],
            SHOP,
            holder=self.name,
            store=cast("Store", store),
            tables=cast("Tables", FaultyTables(world.tables[name], world.io, name)),
            network=Network(
                {NATS: cast("Broker", self.transport)},
                cast("Words", self.transport),
                cast("Recipients", FaultyRecipients(world.recipients, world.io)),
                FLOW.links,
            ),
            calls=cast("Calls", FaultyCalls(world.calls, world.io)),
            ids=world.ids,
            metrics=metrics_of(name),
            delays=world.plan.timers,
            lease_seconds=LEASE_SECONDS,
        )
        self.desk = self.instance.desk
        self.desk.lead = self._lead  # type: ignore[method-assign,assignment]  # to note when that was
        decisions = self.desk._decisions
        decisions._decider = cast("Decider", Breakable(decisions._decider, world))
        self.task = world.loop.create_task(self.instance.run(), context=self.process.context)
        self.task.add_done_callback(self._ended, context=world.loop.world.context)

    def kill(self) -> None:
        """Cut the power."""
        if self.process.alive:
            self.world.loop.kill(self.process)
            self.transport.cut()

    async def stop(self) -> None:
        """Let it end in order, as SIGTERM does; what takes too long is killed."""
        task, process = self.task, self.process
        task.cancel()
        await asyncio.wait([task], timeout=30)
        if process is self.process:
            self.kill()

    def connected(self, tails: dict[str, int]) -> None:
        """Note what stood in the broker when the holder of a lease first connected."""
        if self.desk._lease is not None:
            self.tails.setdefault(self.desk._lease.epoch, dict(tails))

    def _lead(self, lease: Lease, *known: Any) -> None:
        self.led_at[lease.epoch] = self.world.loop.time()
        Desk.lead(self.desk, lease, *known)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self.world.broken.append(f"{self.name} ended by itself: {task.exception()!r}")

    def _would_break(self, batch: Batch) -> dict[int, str]:
        return would_break(self, batch)


class Breakable:
    """A decider with a bug that shows now and then, until all is calm."""

    def __init__(self, decider: Decider, world: World) -> None:
        self._decider = decider
        self._world = world

    def decide(self, cause: Envelope, message: Message, load: Loaded) -> Decided:
        if self._world.breaks():
            raise RuntimeError("simulated")
        return self._decider.decide(cause, message, load)
