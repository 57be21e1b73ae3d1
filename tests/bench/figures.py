"""The figures, each by the name that ONLY takes: how it is measured, and under which keys told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from services.demo.summary import percentile
from stagepost.engine.flow import Flow
from stagepost.engine.stack import Stack
from tests.bench.append import append_ratio
from tests.bench.book import two_lines
from tests.bench.carry import carry_ratios
from tests.bench.history import with_history
from tests.bench.inside import StackWithWorldsInside
from tests.bench.options import Options
from tests.bench.probe import Probed, probe
from tests.bench.replay import replay_rates, verify_peak
from tests.bench.rest import SETTLE, at_rest, idle
from tests.bench.rivals import DBOS, EVENTSOURCING, Peer, best
from tests.bench.servers import Servers
from tests.bench.sustained import WINDOWS, Sustained, check, push
from tests.bench.travel import state_at_ms
from tests.order_flow import ORDER_FLOW

Figures = dict[str, Any]
REST_ORDERS = 50
FIRST, MANY = 5_000, 50_000
"""Orders before memory is looked at first, and those during which it may grow."""
HISTORY = 500_000
EVENTS_TO_VERIFY = 1_000_000
WORTH_TELLING = 0.001
"""Milliseconds an order; PostgreSQL has many processes that do next to nothing."""


@dataclass(frozen=True)
class Bench:
    """What every figure is measured with."""

    options: Options
    data: Path
    servers: Servers
    say: Callable[[str], None]

    @asynccontextmanager
    async def beside_the_probe(self) -> AsyncIterator[list[Probed]]:
        """Run the probe before and after; what it did is known at the end."""
        runs = [await self._probe()]
        yield runs
        runs.append(await self._probe())

    async def _probe(self) -> Probed:
        probed = await probe(self.servers)
        self.say(
            f"the probe: {probed.orders_per_second:,.0f} orders/s, {probed.cpu_ms:.2f} ms each"
        )
        return probed

    @asynccontextmanager
    async def stack(self, kind: type[Stack] = Stack, *, fresh: bool = True) -> AsyncIterator[Stack]:
        """Run the stack; a fresh one has nothing in it."""
        async with kind(
            self.data / "stack",
            fresh=fresh,
            flow=Flow(only=ORDER_FLOW),
            timers=WINDOWS,
            say=self.say,
        ) as stack:
            yield stack


async def sustained(bench: Bench) -> Figures:
    """Orders at full speed over the real stack, the probe before and after."""
    async with bench.beside_the_probe() as probes:
        run = await _run(bench, Stack)
    return {
        "vs_probe": round(run.run.orders_per_second / rate_of(probes), 3),
        "orders_per_second": round(run.run.orders_per_second, 1),
        "messages_per_second": round(run.messages_per_second, 1),
        "probe_orders_per_second": round(rate_of(probes), 1),
        "probe_cpu_ms_per_order": round(mean(probed.cpu_ms for probed in probes), 3),
        "cpu_ms_per_order": {
            name: round(ms, 3) for name, ms in run.cpu_ms.items() if ms >= WORTH_TELLING
        },
        "rss_mib": round(max(run.rss_mib.values()), 1),
        "rss_mib_by_service": {name: round(mib, 1) for name, mib in run.rss_mib.items()},
    }


async def inprocess(bench: Bench) -> Figures:
    """The same, with the outside world as a port in the processes of payments and shipping."""
    async with bench.beside_the_probe() as probes:
        run = await _run(bench, StackWithWorldsInside)
    return {"vs_probe_inprocess": round(run.run.orders_per_second / rate_of(probes), 3)}


async def _run(bench: Bench, kind: type[Stack]) -> Sustained:
    book = two_lines(bench.options.orders, bench.options.seed)
    async with bench.stack(kind) as stack:
        pushed = await push(stack, book, bench.say)
        await check(stack, [book], bench.say)
    return pushed


def rate_of(probes: Sequence[Probed]) -> float:
    """Return the orders per second of several runs of the probe."""
    return mean(probed.orders_per_second for probed in probes)


async def rest(bench: Bench) -> Figures:
    """Orders one by one, each after a silence."""
    book = two_lines(REST_ORDERS, bench.options.seed)
    async with bench.stack() as stack:
        bench.say(f"{REST_ORDERS} orders, each after 5 s of silence")
        times = sorted(await at_rest(stack, book))
        await check(stack, [book], bench.say)
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


async def growth(bench: Bench) -> Figures:
    """How much a service process grows at most while 50,000 orders pass, after the first 5,000."""
    books = [two_lines(FIRST, bench.options.seed), two_lines(MANY, bench.options.seed, "many")]
    async with bench.stack() as stack:
        first, last = [await push(stack, book, bench.say) for book in books]
        grown = {name: mib / first.rss_mib[name] - 1 for name, mib in last.rss_mib.items()}
        bench.say(", ".join(f"{name} {share:+.1%}" for name, share in grown.items()))
        await check(stack, books, bench.say)
    return {"rss_growth_percent": round(max(grown.values()) * 100, 1)}


async def history(bench: Bench) -> Figures:
    """The same orders on an empty stack and on one with the history of 500,000.

    Promises are checked on the first: of what is copied the world outside knows nothing.
    """
    rates = []
    kinds: list[type[Stack]] = [Stack, with_history(HISTORY // bench.options.orders, bench.say)]
    for kind, prefix in zip(kinds, ("bench", "new"), strict=True):
        book = two_lines(bench.options.orders, bench.options.seed, prefix)
        async with bench.stack(kind, fresh=kind is Stack) as stack:
            async with bench.beside_the_probe() as probes:
                pushed = await push(stack, book, bench.say)
            if kind is Stack:
                await check(stack, [book], bench.say)
            await asyncio.sleep(SETTLE)  # what is on its way must arrive before all is copied
        rates.append(pushed.run.orders_per_second / rate_of(probes))
    return {"history_ratio": round(rates[1] / rates[0], 3)}


async def replay(bench: Bench) -> Figures:
    """All events of the order flow's stores, decoded and folded, and so by the library's reader."""
    ours, theirs = await replay_rates(bench.servers, bench.data, bench.say)
    return {"replay_per_second": round(ours), "vs_library_replay": round(ours / theirs, 2)}


async def travel(bench: Bench) -> Figures:
    """What an aggregate of a long stream was at a time."""
    return {"state_at_ms": round(await state_at_ms(bench.servers, bench.data, bench.say), 1)}


async def verify(bench: Bench) -> Figures:
    """A view of a million events, beside its replay."""
    peak = await verify_peak(bench.servers, bench.data, EVENTS_TO_VERIFY, bench.say)
    return {"verify_peak_mib": round(peak, 1)}


async def dbos(bench: Bench) -> Figures:
    """A five-step order as a DBOS workflow."""
    return await _peer(bench, "dbos", DBOS)


async def eventsourcing(bench: Bench) -> Figures:
    """A five-step order on a system runner of the `eventsourcing` library."""
    return await _peer(bench, "eventsourcing", EVENTSOURCING)


async def _peer(bench: Bench, name: str, peer: Peer) -> Figures:
    async with bench.beside_the_probe() as probes:
        rate = await best(peer, bench.servers, bench.data, bench.say)
    return {
        f"{name}_orders_per_second": round(rate, 1),
        f"{name}_vs_probe": round(rate / rate_of(probes), 4),
    }


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
    "replay": replay,
    "travel": travel,
    "dbos": dbos,
    "eventsourcing": eventsourcing,
}
LONG: dict[str, Callable[[Bench], Awaitable[Figures]]] = {
    "growth": growth,
    "history": history,
    "verify": verify,
}
"""What only SOAK=1 adds."""
