"""Who strikes: whole instances, databases, the broker and the world outside, at their moments."""

from __future__ import annotations

import asyncio
from collections import Counter
from copy import deepcopy
from functools import partial
from typing import Any

from tests.simulation.plan import SERVICES, Blow, Strike
from tests.simulation.world import World


class Blows:
    """Carries out the strikes of a plan, and puts everything right at the end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.struck: Counter[str] = Counter()
        self._copies: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    async def all(self) -> None:
        world = self._world
        for strike in world.plan.strikes:
            if strike.blow is Blow.SET_BACK:
                before = max(0.0, strike.at - strike.strength)
                world.after(before, partial(self._keep_copy, strike.target))
        for strike in world.plan.strikes:
            await asyncio.sleep(max(0.0, strike.at - world.loop.time()))
            world.io.note(f"{strike}")
            self.struck[strike.blow] += 1
            self._strike(strike)
        await asyncio.sleep(max(0.0, world.plan.calm_at - world.loop.time()))

    def heal(self) -> None:
        """End all that is wrong: from here on everything must come to rest."""
        world = self._world
        world.broker.start()
        world.io.down.clear()
        world.start_outside()
        for node in world.nodes.values():
            world.loop.wake(node.process)
            node.start()

    def _strike(self, strike: Strike) -> None:
        world = self._world
        match strike.blow:
            case Blow.CRASH:
                world.nodes[strike.target].kill()
                world.after(strike.seconds, world.nodes[strike.target].start)
            case Blow.SERVICE_CRASH | Blow.POWER_CUT:
                for node in world.nodes_of(strike.target) or world.nodes.values():
                    node.kill()
                    world.after(strike.seconds, node.start)
            case Blow.RESTART:
                world.loop.create_task(self._restart(strike))
            case Blow.STOP:
                process = world.nodes[strike.target].process
                world.loop.pause(process)
                world.after(strike.seconds, lambda: world.loop.wake(process))
            case Blow.STORE_DOWN:
                self._close(f"store {strike.target}", strike.seconds)
            case Blow.OUTSIDE_DOWN:
                self._close("outside", strike.seconds)
            case Blow.OUTSIDE_CRASH:
                world.loop.kill(world.outside_process)
                world.after(strike.seconds, world.start_outside)
            case Blow.CLOCK:
                world.clocks[strike.target].set((strike.strength - 0.5) * 20)
            case Blow.BROKER_DOWN:
                world.broker.stop()
                world.after(strike.seconds, world.broker.start)
            case Blow.BROKER_WIPED:
                world.broker.wipe()
            case Blow.BROKER_LOSES_TAIL:
                self._lose_tails(strike.strength)
            case Blow.SET_BACK:
                self._set_back(strike)

    async def _restart(self, strike: Strike) -> None:
        node = self._world.nodes[strike.target]
        await node.stop()
        self._world.after(strike.seconds, node.start)

    def _keep_copy(self, service: str) -> None:
        world = self._world
        self._copies[service] = deepcopy(
            (_state(world.stores[service]), _state(world.tables[service]))
        )

    def _set_back(self, strike: Strike) -> None:
        """Put a copy of a database in its place; nobody is connected meanwhile."""
        world = self._world
        for node in world.nodes_of(strike.target):
            node.kill()
            world.after(strike.seconds, node.start)
        store, tables = self._copies[strike.target]
        world.io.replaced[f"store {strike.target}"] += 1
        world.stores[strike.target].__dict__.update(store)
        world.tables[strike.target].__dict__.update(tables)

    def _close(self, party: str, seconds: float) -> None:
        self._world.io.down.add(party)
        self._world.after(seconds, lambda: self._world.io.down.discard(party))

    def _lose_tails(self, strength: float) -> None:
        broker = self._world.broker
        broker.stop()
        for name in SERVICES:
            stream = broker.streams.get(name, [])
            del stream[
                len(stream) - int(len(stream) * strength * self._world.loop.random.random()) :
            ]
        broker.start()


def _state(adapter: object) -> dict[str, Any]:
    """Return all that an adapter in memory holds; its clock is not among it."""
    return {name: value for name, value in vars(adapter).items() if name != "_clock"}
