"""Where every I/O call passes: it takes its time, and something may happen to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from hashlib import blake2b
from random import Random
from typing import Any, NoReturn, Protocol, TypeVar

from tests.simulation.loop import Process, VirtualLoop, here
from tests.simulation.plan import Fault

T = TypeVar("T")

READ = frozenset({Fault.FAIL, Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.SLOW, Fault.PAUSE})
PUBLISH = READ | {Fault.UNKNOWN, Fault.LATE}
WRITE = PUBLISH | {Fault.DUPLICATE}
CALL = WRITE | {Fault.GARBLE}
DELIVERY = frozenset({Fault.CRASH_AFTER, Fault.DUPLICATE, Fault.SLOW})
WAKE = frozenset({Fault.DEAF})


class Script(Protocol):
    """Says what happens to the next I/O call."""

    def next(self, call: str, able: Collection[Fault], now: float) -> Fault | None:
        """Return the fault that this call suffers, one of those that it can."""
        ...

    def calm(self) -> None:
        """Let nothing happen any more."""
        ...


class Drawn:
    """Faults that are drawn, each at its own rate, until all is calm."""

    def __init__(self, seed: object, rates: dict[Fault, float]) -> None:
        self._random = Random(f"faults {seed}")
        self._rates = rates
        self._total = sum(rates.values())

    def next(self, _call: str, able: Collection[Fault], _now: float) -> Fault | None:
        drawn = self._random.random()
        if drawn >= self._total:
            return None
        for fault, rate in self._rates.items():
            drawn -= rate
            if drawn < 0:
                return fault if fault in able else None
        return None

    def calm(self) -> None:
        self._total = 0.0


class Io:
    """The wires between the processes and all that they reach."""

    def __init__(
        self,
        loop: VirtualLoop,
        script: Script,
        latency: float,
        crash: Callable[[Process], None],
        pause: Callable[[Process, float], None],
    ) -> None:
        self.loop = loop
        self.script = script
        self.fired: Counter[str] = Counter()
        self.hit: Counter[str] = Counter()
        self.down: set[str] = set()
        self.replaced: Counter[str] = Counter()
        self.broken: list[str] = []
        self.calls = 0
        self._latency = latency
        self.crash = crash
        self._pause = pause
        self._random = Random(f"io {loop.random.random()}")
        self._digest = blake2b(digest_size=16)

    @property
    def trace(self) -> str:
        """Return a digest of every call there was, when and by whom, and of what happened to it."""
        return self._digest.hexdigest()

    async def reach(
        self,
        party: str,
        call: str,
        act: Callable[[], Awaitable[T]],
        *,
        able: Collection[Fault],
        failed: Exception,
        unknown: Exception | None = None,
        garbled: T | None = None,
    ) -> T:
        """Make one call, with what happens to it on the way."""
        process = here()
        if not process.alive:
            await self._never()
        fault = self.next(call, able)
        if party in self.down:
            await asyncio.sleep(self._latency)
            raise failed
        if fault is Fault.SLOW:
            await asyncio.sleep(self._random.choice((0.3, 1.0, 4.0)))
        is_prompt = self._random.random() < 0.5
        if not is_prompt:
            await asyncio.sleep(self._latency * self._random.uniform(0.5, 1.5))
        if fault is Fault.FAIL:
            raise failed
        if fault is Fault.CRASH_BEFORE:
            await self.die(process)
        if fault is Fault.LATE:
            self._later(self._random.choice((0.05, 0.5, 3.0)), party, act)
            raise unknown or failed
        if fault is Fault.DUPLICATE:
            await act()
        answer = await act()
        if fault is Fault.CRASH_AFTER:
            await self.die(process)
        if fault is Fault.PAUSE:
            self._pause(process, self._random.choice((1.0, 4.0, 9.0)))
        if is_prompt:
            await asyncio.sleep(self._latency * self._random.uniform(0.5, 1.5))
        if fault is Fault.UNKNOWN:
            raise unknown or failed
        return garbled if garbled is not None and fault is Fault.GARBLE else answer

    def next(self, call: str, able: Collection[Fault]) -> Fault | None:
        """Return what happens to a call, and note it."""
        self.calls += 1
        fault = self.script.next(call, able, self.loop.time())
        self.note(f"{here().name} {call} {fault or ''}")
        if fault is not None:
            self.fired[f"{fault}"] += 1
            self.hit[call] += 1
        return fault

    def draw(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def note(self, happened: str) -> None:
        self._digest.update(f"{self.loop.time():.6f} {happened}\n".encode())

    def _later(self, seconds: float, party: str, act: Callable[[], Awaitable[object]]) -> None:
        """Let something be done by the world, whatever becomes of who wanted it.

        What is on its way to a database does not arrive at the copy that is put in its place.
        """
        replaced = self.replaced[party]

        async def do() -> None:
            try:
                if self.replaced[party] == replaced:
                    await act()
            except Exception as error:  # noqa: BLE001  # nobody waits for it any more
                self.note(f"late: {error}")

        self._world(seconds, do)

    async def die(self, process: Process) -> NoReturn:
        self.crash(process)
        await self._never()

    async def _never(self) -> NoReturn:
        await self.loop.create_future()
        raise AssertionError("a dead process went on")

    def _world(self, seconds: float, do: Callable[[], Coroutine[Any, Any, None]]) -> None:
        context = self.loop.world.context
        self.loop.call_later(
            seconds, lambda: self.loop.create_task(do(), context=context), context=context
        )
