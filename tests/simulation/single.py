"""Every single fault at every I/O call of one order."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from tests.simulation.plan import SKUS, Fault, Order, Plan
from tests.simulation.run import Result, run_plan

ORDERED_AT = 0.5
"""When the order is placed: by then all are up, and the shelves are full."""

KINDS = (
    Fault.FAIL,
    Fault.UNKNOWN,
    Fault.LATE,
    Fault.CRASH_BEFORE,
    Fault.CRASH_AFTER,
    Fault.DUPLICATE,
)


def _plan(name: str, order: Order, **timers: float) -> Plan:
    delays = {"AnswersDue": 20.0, "GoodsDue": 20.0, "SlaDue": 60.0} | timers
    deliveries = tuple((0.0, sku, 5) for sku in SKUS)
    return Plan(name, (order,), deliveries, timers=delays)


_LINES = (("red-chair", 2, "1299"), ("desk-lamp", 1, "350.5"))

PATHS = {
    path.seed: path
    for path in (
        _plan("confirmed", Order("o0", ORDERED_AT, _LINES)),
        _plan("refused by the carrier", Order("o0", ORDERED_AT, _LINES, ship_to="REFUSED Lane")),
        _plan(
            "charged too late", Order("o0", ORDERED_AT, _LINES, token="tok_slow"), AnswersDue=0.5
        ),
    )
}
"""An order that goes well, one that is undone when all was done, one whose charge comes late."""


@dataclass
class Single:
    """A script with one fault at one call; everything else is well. Counts the calls on the way."""

    at: int = -1
    fault: Fault | None = None
    calls: list[tuple[str, Collection[Fault], float]] = field(default_factory=list)

    def next(self, call: str, able: Collection[Fault], now: float) -> Fault | None:
        if now < ORDERED_AT:
            return None
        self.calls.append((call, able, now))
        return self.fault if len(self.calls) - 1 == self.at else None

    def calm(self) -> None:
        """There is nothing to be calmed: the fault has its place, whenever that comes."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault at one call of one path."""

    path: str
    at: int
    call: str
    fault: Fault

    def run(self) -> Result:
        result = run_plan(PATHS[self.path], Single(self.at, self.fault))
        if not result.fired[self.fault]:
            result.broken.append(f"{self.fault} never came to call {self.at}, {self.call}")
        return result


def cases(path: str) -> Iterator[Case]:
    """Return every case of a path: its calls are counted in a run where all is well."""
    script = Single()
    clean = run_plan(PATHS[path], script)
    assert not clean.broken, clean.broken
    for at, (call, able, now) in enumerate(script.calls):
        if now <= clean.rest_at:
            yield from (Case(path, at, call, fault) for fault in KINDS if fault in able)
