"""The figures, each by the name that ONLY takes: how it is measured, and under which keys told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.demo.summary import percentile
from stagepost.engine.stack import Stack
from tests.bench.append import append_ratio
from tests.bench.book import two_lines
from tests.bench.carry import carry_ratios
from tests.bench.inside import StackWithWorldsInside
from tests.bench.options import Options
from tests.bench.probe import probe
from tests.bench.rest import at_rest, idle
from tests.bench.rivals import DBOS, EVENTSOURCING, Peer, best
from tests.bench.servers import Servers
from tests.bench.sustained import WINDOWS, Sustained, push

Figures = dict[str, Any]
REST_ORDERS = 50


@dataclass(frozen=True)
class Bench:
    """What every figure is measured with."""

    options: Options
    data: Path
    servers: Servers
    say: Callable[[str], None]

    async def yardstick(self) -> float:
        """Run the probe; return its orders per second."""
        rate = await probe(self.servers)
        self.say(f"the probe: {rate:,.0f} orders/s")
        return rate

    @asynccontextmanager
    async def stack(self, kind: type[Stack] = Stack) -> AsyncIterator[Stack]:
        """Run the stack, without anything in it."""
        async with kind(self.data / "stack", fresh=True, timers=WINDOWS, say=self.say) as stack:
            yield stack


async def sustained(bench: Bench) -> Figures:
    """Orders at full speed over the real stack, the probe before and after."""
    run, probed = await _beside_the_probe(bench, Stack)
    return {
        "vs_probe": round(run.run.orders_per_second / probed, 3),
        "orders_per_second": round(run.run.orders_per_second, 1),
        "messages_per_second": round(run.messages_per_second, 1),
        "probe_orders_per_second": round(probed, 1),
        "cpu_ms_per_order": {name: round(ms, 3) for name, ms in run.cpu_ms.items()},
        "rss_mib": round(max(run.rss_mib.values()), 1),
        "rss_mib_by_service": {name: round(mib, 1) for name, mib in run.rss_mib.items()},
    }


async def inprocess(bench: Bench) -> Figures:
    """The same, with the outside world as a port in the processes of payments and shipping."""
    run, probed = await _beside_the_probe(bench, StackWithWorldsInside)
    return {"vs_probe_inprocess": round(run.run.orders_per_second / probed, 3)}


async def _beside_the_probe(bench: Bench, kind: type[Stack]) -> tuple[Sustained, float]:
    before = await bench.yardstick()
    async with bench.stack(kind) as stack:
        run = await push(stack, two_lines(bench.options.orders, bench.options.seed), bench.say)
    return run, (before + await bench.yardstick()) / 2


async def rest(bench: Bench) -> Figures:
    """Orders one by one, each after a silence."""
    async with bench.stack() as stack:
        bench.say(f"{REST_ORDERS} orders, each after 5 s of silence")
        times = sorted(await at_rest(stack, two_lines(REST_ORDERS, bench.options.seed)))
    return {
        "p50_ms_at_rest": round(percentile(times, 50), 1),
        "p99_ms_at_rest": round(percentile(times, 99), 1),
    }


async def at_idle(bench: Bench) -> Figures:
    """Nothing to do."""
    async with bench.stack() as stack:
        return {"idle_cpu_percent": round(await idle(stack, bench.say), 2)}


async def append(bench: Bench) -> Figures:
    """The one way to write, alone."""
    return {"append_ratio": round(await append_ratio(bench.servers, bench.data, bench.say), 3)}


async def carry(bench: Bench) -> Figures:
    """The relay alone, then the consumer alone."""
    relay, consumer = await carry_ratios(bench.servers, bench.data, bench.say)
    return {"relay_ratio": round(relay, 3), "consumer_ratio": round(consumer, 3)}


async def dbos(bench: Bench) -> Figures:
    """A five-step order as a DBOS workflow."""
    return await _peer(bench, "dbos", DBOS)


async def eventsourcing(bench: Bench) -> Figures:
    """A five-step order on a system runner of the `eventsourcing` library."""
    return await _peer(bench, "eventsourcing", EVENTSOURCING)


async def _peer(bench: Bench, name: str, peer: Peer) -> Figures:
    before = await bench.yardstick()
    rate = await best(peer, bench.servers, bench.data, bench.say)
    probed = (before + await bench.yardstick()) / 2
    return {f"{name}_orders_per_second": round(rate, 1), f"{name}_vs_probe": rate / probed}


def compared(figures: Figures) -> Figures:
    """Return how often the peers' work we do, where both were measured.

    Each was measured against the probe of its own minutes, so that a throttled minute is not held
    against either.
    """
    return {
        f"vs_{name}": round(figures["vs_probe"] / figures[f"{name}_vs_probe"], 2)
        for name in ("dbos", "eventsourcing")
        if "vs_probe" in figures and f"{name}_vs_probe" in figures
    }


FIGURES: dict[str, Callable[[Bench], Awaitable[Figures]]] = {
    "sustained": sustained,
    "inprocess": inprocess,
    "rest": rest,
    "idle": at_idle,
    "append": append,
    "carry": carry,
    "dbos": dbos,
    "eventsourcing": eventsourcing,
}
LONG: dict[str, Callable[[Bench], Awaitable[Figures]]] = {}
"""What only SOAK=1 adds."""
