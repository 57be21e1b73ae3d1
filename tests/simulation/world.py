"""The whole system in one process: five services, the broker, the world outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from stagepost.engine.answers import WAIT_SECONDS
from stagepost.engine.batch import Commit
from stagepost.engine.calls_memory import MemoryCalls
from stagepost.engine.envelope import Envelope
from stagepost.engine.ids import SeededIds
from stagepost.engine.recipients_memory import MemoryRecipients
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.tables_memory import MemoryTables
from stagepost.engine.transports.memory import MemoryBroker
from tests.simulation.faults import Io, Script
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.node import Node
from tests.simulation.outside import Ledgers, Outside, routes
from tests.simulation.plan import SERVICES, Plan

START = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualClock:
    """The clock of one database, which may be set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._ahead = 0.0
        self._most = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time() + self._ahead)

    def latest(self) -> datetime:
        """Return the time by the furthest setting that there was."""
        return START + timedelta(seconds=self._loop.time() + self._most)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def set(self, by: float) -> None:
        self._ahead += by
        self._most = max(self._most, self._ahead)


class World:
    """Everything there is."""

    def __init__(self, plan: Plan, script: Script) -> None:
        self.plan = plan
        self.loop = VirtualLoop(plan.seed)  # type: ignore[abstract]  # what nobody calls is left out
        self.io = Io(self.loop, script, plan.latency, self._crash, self._pause)
        self.broken = self.io.broken
        self.ids = SeededIds(self.loop.random.getrandbits(32))
        self.broker = MemoryBroker()
        self.clocks = {name: VirtualClock(self.loop) for name in SERVICES}
        self.stores = {name: MemoryStore(name, self.clocks[name]) for name in SERVICES}
        self.tables = {name: MemoryTables() for name in SERVICES}
        self.ledgers = Ledgers()
        self.calls = MemoryCalls(routes(lambda: self.outside), plan.call_timeout)
        self.recipients = MemoryRecipients(
            {name: partial(self._take_in, name) for name in SERVICES},
            plan.call_timeout + WAIT_SECONDS,
        )
        self.nodes = {
            node.name: node
            for name, instances in plan.instances.items()
            for node in (Node(self, name, number + 1) for number in range(instances))
        }
        self.outside_process = Process("outside")
        self.outside = self._open_outside()
        self._poison = Random(f"poison {plan.seed}")

    def nodes_of(self, service: str) -> list[Node]:
        return [node for node in self.nodes.values() if node.service == service]

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Let the world do something, whoever wants it."""
        self.loop.call_later(seconds, act, context=self.loop.world.context)

    def breaks(self) -> bool:
        """Tell whether the next message breaks its handler."""
        plan = self.plan
        if not plan.poison or self.loop.time() >= plan.calm_at:
            return False
        breaks = self._poison.random() < plan.poison
        self.io.fired["message breaks its handler"] += breaks
        return breaks

    def refuses(self, commit: Commit) -> bool:
        """Tell whether a database will not have this commit, ever again until all is calm."""
        plan = self.plan
        if not plan.refuses or commit.parks or self.loop.time() >= plan.calm_at:
            return False
        refuses = Random(f"{plan.seed} {commit.cause.id}").random() < plan.refuses
        self.io.fired["commit refused by its database"] += refuses
        return refuses

    def start_outside(self) -> None:
        if not self.outside_process.alive:
            self.outside_process = Process("outside")
            self.outside = self._open_outside()

    async def _take_in(self, service: str, command: Envelope) -> Envelope | None:
        """Have a command handled by an instance of its recipient: they share a socket."""
        alive = [node for node in self.nodes_of(service) if node.process.alive]
        if not alive:
            raise ConnectionRefusedError
        node = self.loop.random.choice(alive)
        answered: asyncio.Future[Envelope | None] = self.loop.create_future()

        async def work() -> None:
            try:
                answer = await node.instance.answers.answer(command)
            except Exception as error:  # noqa: BLE001  # it goes to whoever asked
                answered.set_exception(error)
            else:
                answered.set_result(answer)

        self.loop.create_task(work(), context=node.process.context)
        return await answered

    def _open_outside(self) -> Outside:
        process, slow = self.outside_process, self.plan.slow_seconds
        return Outside(process, self.ledgers, self.io, self.loop, slow)

    def _crash(self, process: Process) -> None:
        """Cut the power of a process, and start it again after a while."""
        seconds = self.loop.random.choice((0.1, 1.0, 5.0))
        if process is self.outside_process:
            self.loop.kill(process)
            self.after(seconds, self.start_outside)
        else:
            node = self.nodes[process.name]
            node.kill()
            self.after(seconds, node.start)

    def _pause(self, process: Process, seconds: float) -> None:
        self.loop.pause(process)
        self.after(seconds, lambda: self.loop.wake(process))
