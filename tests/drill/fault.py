"""What a fault is: a name, how it is done to the running shop, and what must be seen of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.drill.parts import Needs, anything
from tests.drill.site import Site

KILLED, BACK = 5.0, 2.0
"""Reach: seconds of standstill for a killed service; for a database or broker once it is back."""

UNTOUCHED = 3.0
"""Reach: seconds of standstill where nothing is taken away, and readers begin anew at worst."""


class NotFired(Exception):
    """A fault was not really done: what is seen proves nothing, and the drill fails."""


@dataclass(frozen=True)
class Struck:
    """What was really done: `proof` says how that is known.

    `back_at` is when what had gone was there again, in seconds since 1970; where nothing went, when
    all was done. `figures` are what else is worth telling, by name.
    """

    proof: str
    back_at: float
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Fault:
    """One fault of the catalogue.

    `strike` does it to the shop, while orders flow, and returns when the shop has everything again
    that it needs; it raises `NotFired` where it could not be done. `seconds` is about how long it
    takes until all is quiet again: the schedule goes by it. `standstill` and `after_back` are the
    reach: the longest time in which no order may be confirmed, in all, and since what had gone is
    back. It falls on a shop in which each service runs in so many `instances`.

    `broken` names the promises that nobody can keep under this fault, and why; what it names is
    told, and does not fail the drill. `waits` says why orders may be left that wait for a person;
    without it none may. Orders that come when all is back must end in any case. `needs` tells in
    which flows there is anything to hit.
    """

    name: str
    strike: Callable[[Site], Awaitable[Struck]]
    seconds: float = 4.0
    standstill: float | None = None
    after_back: float | None = None
    instances: int = 1
    broken: Mapping[str, str] = field(default_factory=dict)
    waits: str = ""
    needs: Needs = anything
