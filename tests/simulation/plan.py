"""What a seed stands for: who orders what, what goes wrong how often, who is struck when."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from stagepost.engine.flow import Flow
from stagepost.engine.links import Link
from stagepost.engine.styles import ORCHESTRATED
from stagepost.engine.transport_names import HTTP
from tests.order_flow import ORDER_FLOW

STYLE = os.environ.get("STYLE") or ORCHESTRATED
FLOW = Flow(STYLE, only=ORDER_FLOW)
SHOP = FLOW.services
LINKS: tuple[Link, ...] = tuple(FLOW.links.between(SHOP))
_TAKERS = {link.reader for link in LINKS if link.transport == HTTP and link.kind == "command"}
POSTED = bool(_TAKERS)
"""Whether commands go straight to their recipients: then any instance of those handles them."""
SERVICES = tuple(SHOP)
OWNER = "fulfillment" if "fulfillment" in SHOP else "ordering"
"""In whose name money is taken and goods are sent."""
SKUS = ("red-chair", "desk-lamp", "rare-mirror")
SET_BACK_SHARE = 0.1
"""How many of the seeds set a database back; what is not in it any more is excused."""


class Fault(StrEnum):
    """What can happen to one I/O call."""

    FAIL = "fail"  # it is not done, and the caller hears so
    UNKNOWN = "done but error"  # it is done, and the caller hears that it failed
    LATE = "done after the error"  # the caller hears that it failed, then it is done
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    DUPLICATE = "duplicate"  # it is done twice
    GARBLE = "garbled answer"
    SLOW = "slow"
    PAUSE = "pause"  # the caller is stopped with the answer on its way to it
    DEAF = "lost wake-up"


class Blow(StrEnum):
    """What can happen to a part of the system at some moment."""

    CRASH = "power cut of an instance"
    SERVICE_CRASH = "power cut of a service"
    POWER_CUT = "power cut of all instances"
    RESTART = "restart of an instance in order"
    STOP = "instance paused"
    STORE_DOWN = "database down"
    CLOCK = "database clock set"
    BROKER_DOWN = "broker down"
    BROKER_LOSES_TAIL = "broker loses its tail"
    BROKER_WIPED = "broker loses everything"
    OUTSIDE_DOWN = "provider and carrier down"
    OUTSIDE_CRASH = "power cut of provider and carrier"
    SET_BACK = "database set back"


_OF_SERVICES = (Blow.SERVICE_CRASH, Blow.STORE_DOWN, Blow.CLOCK)

_OFTEN = [name for name in SERVICES if name == "fulfillment"] * 2
"""Whose database is set back more often than others."""

_SPARED = {"ordering"} | _TAKERS
"""Whose database is never set back."""

_RARE = {Fault.GARBLE: 10}
"""What few calls can suffer is drawn more often."""


@dataclass(frozen=True, slots=True)
class Strike:
    """A blow at a moment, in seconds; how long it lasts, whom it hits and how hard."""

    at: float
    blow: Blow
    seconds: float
    target: str = ""
    strength: float = 0


@dataclass(frozen=True, slots=True)
class Order:
    """What one customer does: orders, asks again, changes their mind."""

    name: str
    at: float
    lines: tuple[tuple[str, int, str], ...]
    token: str = "tok_ok"
    ship_to: str = "1 Station Road"
    own_id: bool = True
    has_key: bool = True
    repeats: bool = False
    twice: bool = False
    cancel_before: bool = False
    cancel_after: float | None = None
    operator: tuple[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a seed decides beforehand; what is drawn on the way follows from the seed too."""

    seed: str
    orders: tuple[Order, ...]
    deliveries: tuple[tuple[float, str, int], ...]
    instances: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SERVICES, 1))
    rates: Mapping[Fault, float] = field(default_factory=dict)
    strikes: tuple[Strike, ...] = ()
    poison: float = 0.0
    refuses: float = 0.0
    latency: float = 0.002
    calm_at: float = 0.0
    timers: Mapping[str, float] = field(
        default_factory=lambda: {"AnswersDue": 20.0, "GoodsDue": 20.0, "SlaDue": 60.0}
    )
    call_timeout: float = 2.0
    slow_seconds: float = 1.0

    def described(self) -> str:
        """Write it down for a person."""
        rates = ", ".join(f"{fault} {rate:g}" for fault, rate in self.rates.items()) or "none"
        lines = [
            f"{len(self.orders)} orders, instances {dict(self.instances)}",
            f"deliveries (at, what, how many): {self.deliveries}",
            f"faults at I/O calls until {self.calm_at:.1f} s: {rates}",
            f"messages that break their handler: {self.poison:g}, the store: {self.refuses:g}",
            f"about {self.latency * 1000:g} ms a call, timers {dict(self.timers)}",
            f"calls wait {self.call_timeout:g} s, slow ones take {self.slow_seconds:g} s",
            *(f"{order}" for order in self.orders),
            *(f"{s.at:6.2f} s: {s.blow} {s.target} for {s.seconds:.2f} s" for s in self.strikes),
        ]
        return "\n".join(lines)

    @property
    def set_back(self) -> Strike | None:
        """The strike that sets a database back, where there is one."""
        return next((strike for strike in self.strikes if strike.blow is Blow.SET_BACK), None)


def make_plan(seed: object) -> Plan:
    """Draw a mix of faults and strengths: each seed has its own, some have hardly any."""
    rng = Random(f"plan {seed}")
    calm_at = rng.choice((5.0, 10.0, 20.0))
    instances = {name: rng.choice((1, 2)) for name in SERVICES}
    kinds = [fault for fault in Fault if rng.random() < 0.4]
    strength = rng.choice((0.002, 0.006, 0.02))
    strikes, span = _strikes(rng, calm_at, instances), rng.choice((0.01, 1.0, calm_at))
    if rng.random() < SET_BACK_SHARE:
        strikes, span = _set_back(rng), 5.0
    return Plan(
        seed=str(seed),
        orders=_orders(rng, span),
        deliveries=_deliveries(rng, calm_at),
        instances=instances,
        rates={fault: _RARE.get(fault, 1) * strength * rng.choice((0.3, 1, 2)) for fault in kinds},
        strikes=strikes,
        poison=rng.choice((0.0, 0.0, 0.0, 0.03)),
        refuses=rng.choice((0.0, 0.0, 0.0, 0.05)),
        latency=rng.choice((0.001, 0.005, 0.05)),
        calm_at=calm_at,
        timers={
            "AnswersDue": rng.choice((2.0, 5.0, 30.0)),
            "GoodsDue": rng.choice((2.0, 10.0, 30.0)),
            "SlaDue": rng.choice((5.0, 60.0)),
        },
        call_timeout=rng.choice((0.5, 2.0)),
        slow_seconds=rng.choice((1.0, 5.0)),
    )


def _deliveries(rng: Random, calm_at: float) -> tuple[tuple[float, str, int], ...]:
    """Draw what comes in: enough or not, some of it while the orders come."""
    at_once = ((0.0, sku, rng.choice((2, 9, 40))) for sku in SKUS)
    span = rng.choice((1.0, calm_at))
    later = (
        (rng.uniform(0, span), rng.choice(SKUS), rng.choice((1, 3)))
        for _ in range(rng.choice((0, 2, 8)))
    )
    return (*at_once, *later)


def _set_back(rng: Random) -> tuple[Strike, ...]:
    """Draw the blow that nothing can undo: what already left a database cannot be recalled.

    Ordering is spared: what a customer was told would be gone with it. So is who takes commands
    over HTTP: what it answered and forgot, nobody brings again. Every other time the broker is away
    meanwhile: then some of what is forgotten has left, and some has not.
    """
    service = rng.choice([name for name in (*SERVICES, *_OFTEN) if name not in _SPARED])
    at = rng.uniform(1, 5)
    back = Strike(at, Blow.SET_BACK, 1.0, service, strength=rng.uniform(0.2, at))
    if rng.random() < 0.5:
        return (back,)
    ahead = rng.uniform(0, back.strength)
    return Strike(at - ahead, Blow.BROKER_DOWN, ahead + rng.uniform(0, 5)), back


def _orders(rng: Random, span: float) -> tuple[Order, ...]:
    return tuple(
        Order(
            name=f"o{number}",
            at=rng.uniform(0, span),
            lines=tuple(
                (sku, rng.choice((1, 1, 2, 3)), rng.choice(("1299", "350.5", "89.995")))
                for sku in rng.sample(SKUS, rng.choice((1, 1, 2)))
            ),
            token=rng.choice(
                ("tok_ok",) * 9 + ("tok_declined", "tok_slow", "tok_down", "tok_lost_answer")
            ),
            ship_to=rng.choice(("1 Station Road",) * 9 + ("2 REFUSED Lane", "3 Slow Lane")),
            own_id=rng.random() < 0.7,
            has_key=rng.random() < 0.5,
            repeats=rng.random() < 0.3,
            twice=rng.random() < 0.4,
            cancel_before=rng.random() < 0.2,
            cancel_after=rng.choice((*(None,) * 9, 0.0, 0.3, 3.0)),
            operator=rng.choice((*(None,) * 12, ("retry", 2.0), ("cancel", 1.0))),
        )
        for number in range(rng.choice((2, 3, 4, 6)))
    )


def _strikes(rng: Random, calm_at: float, instances: Mapping[str, int]) -> tuple[Strike, ...]:
    blows = [blow for blow in Blow if blow is not Blow.SET_BACK and rng.random() < 0.4]
    if not blows:
        return ()
    strikes = []
    for _ in range(rng.choice((0, 2, 4, 8))):
        service = rng.choice(SERVICES)
        instance = f"{service}-{rng.randrange(instances[service]) + 1}"
        blow = rng.choice(blows)
        strikes.append(
            Strike(
                at=rng.uniform(0, calm_at),
                blow=blow,
                seconds=rng.choice((0.05, 0.5, 2.0, 5.0, 12.0)) * rng.uniform(0.5, 1),
                target=service if blow in _OF_SERVICES else instance,
                strength=rng.random(),
            )
        )
    return tuple(sorted(strikes, key=lambda strike: strike.at))
