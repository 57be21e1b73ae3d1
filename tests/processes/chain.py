"""The services as they react to each other, as one system that can be walked to its end.

From each service to each that reads it there is a channel, first in, first out; whatever stands at
the head of one may be handled now or later. See `parties.py` for who takes part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from contracts import inventory, ordering, payments
from services.ordering.requests import RequestCancellation
from services.payments import provider
from stagepost.aggregate import Aggregate
from stagepost.engine.flow import Flow
from stagepost.engine.styles import CHOREOGRAPHED
from stagepost.handler import Handler
from stagepost.messages import Call, Message
from stagepost.testing import GivenHandlers
from tests.order_flow import ORDER_FLOW
from tests.processes.parties import (
    ORDER_ID,
    Known,
    Numbers,
    Outside,
    Service,
    Step,
    called,
    carrier_steps,
    provider_steps,
)

A = TypeVar("A", bound=Aggregate)
T = TypeVar("T")

SHOP = Flow(CHOREOGRAPHED, only=ORDER_FLOW).services
NAMES = tuple(SHOP)
LINKS = tuple(
    (source, reader)
    for source in NAMES
    for reader in NAMES
    if SHOP[reader].reads_from(SHOP[source])
)
TURN: Mapping[str, type[Message]] = {
    "payments": provider.Charged,
    "inventory": payments.PaymentReceived,
    "shipping": inventory.GoodsFetched,
}
"""By service: what it has heard when it is too late there to cancel."""

Channels: TypeAlias = tuple[tuple[int, ...], ...]
Faults: TypeAlias = Mapping[str, Mapping[type[Message], Handler]]
"""By service: other handlers in place of its own."""


class Budget(NamedTuple):
    """What still can be done to the system from outside, and what can still go wrong in between."""

    cancels: int = 0
    repeats: int = 0


class World(NamedTuple):
    """One joint state. Numbers stand for messages, and for what services know.

    `channels` have what is under way on each link, `heard` what was, in the order of sending.
    `turned` are those for whom it is too late to cancel; `in_time`: somebody heard of it before.
    """

    minds: tuple[int, ...]
    channels: Channels
    heard: Channels
    outside: int
    budget: Budget
    turned: frozenset[str] = frozenset()
    in_time: bool = False


@dataclass
class Chain:
    """The services and the world outside, and each step that can come next.

    `lost` names types of messages that never arrive.
    """

    faults: Faults = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    services: dict[str, Service] = field(init=False)
    messages: Numbers[Message] = field(default_factory=Numbers)
    outsides: Numbers[Outside] = field(default_factory=Numbers)
    decisions: dict[tuple[str, int, int], Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.services = {
            name: Service({**SHOP[name].handlers, **self.faults.get(name, {})}) for name in NAMES
        }

    def start(self, order: Message, stock: Iterable[Message], budget: Budget) -> World:
        """Return the world in which an order was just placed."""
        world = World(
            minds=tuple(s.number(GivenHandlers(s.handlers)) for s in self.services.values()),
            channels=((),) * len(LINKS),
            heard=((),) * len(LINKS),
            outside=self.outsides.of(Outside()),
            budget=budget,
        )
        for message in stock:
            world = self._tell(world, "inventory", message)
        return self._tell(world, "ordering", order)

    def steps(self, world: World) -> Iterator[World]:
        """Return every world that can come next."""
        yield from self._events(world)
        now = self.outsides[world.outside]
        yield from self._told(world, "payments", provider_steps(now))
        yield from self._told(world, "shipping", carrier_steps(now))
        if world.budget.cancels:
            rest = world._replace(budget=world.budget._replace(cancels=world.budget.cancels - 1))
            yield self._tell(rest, "ordering", RequestCancellation(order_id=ORDER_ID))

    def is_at_rest(self, world: World) -> bool:
        """Nothing is under way anywhere."""
        return not any(world.channels) and self.outsides[world.outside].is_idle

    def find(self, world: World, service: str, cls: type[A], stream: str) -> A | None:
        """Return an aggregate of a service as it is in this world."""
        return self.services[service].minds[world.minds[NAMES.index(service)]].one(cls, stream)

    def hear(self, service: str, mind: int, message: int) -> Known:
        """Return what a service knows after a message, and what it sends."""
        known = self.decisions.get((service, mind, message))
        if known is None:
            known = self.services[service].hear(mind, self.messages[message])
            self.decisions[service, mind, message] = known
        return known

    def _events(self, world: World) -> Iterator[World]:
        """Let the head of a channel be heard; or once more what was heard before, however late."""
        again = world.budget._replace(repeats=world.budget.repeats - 1)
        for place, (_, reader) in enumerate(LINKS):
            if world.channels[place]:
                yield self._next(world, place)
            if world.budget.repeats:
                for message in world.heard[place]:
                    yield self._tell(world._replace(budget=again), reader, self.messages[message])

    def _next(self, world: World, place: int) -> World:
        head, *behind = world.channels[place]
        rest = world._replace(
            channels=_put(world.channels, place, tuple(behind)),
            heard=_put(world.heard, place, (*world.heard[place], head)),
        )
        message = self.messages[head]
        return rest if message.TYPE in self.lost else self._tell(rest, LINKS[place][1], message)

    def _told(self, world: World, service: str, steps: Iterator[Step]) -> Iterator[World]:
        """Let the world outside do something, and perhaps tell a service."""
        for after, told in steps:
            following = world._replace(outside=self.outsides.of(after))
            yield following if told is None else self._tell(following, service, told)

    def _tell(self, world: World, service: str, message: Message) -> World:
        """Let a service handle a message: calls go to the world outside, events to all readers."""
        place = NAMES.index(service)
        mind, sends = self.hear(service, world.minds[place], self.messages.of(message))
        outside, channels = self.outsides[world.outside], world.channels
        for send in sends:
            if isinstance(send, Call):
                outside = called(outside, send)
            else:
                channels = self._to_readers(channels, service, send)
        turned, in_time = world.turned, world.in_time
        if isinstance(message, ordering.OrderCancellationRequested):
            in_time = in_time or service not in turned
        if isinstance(message, TURN.get(service, ())):
            turned |= {service}
        return world._replace(
            minds=_put(world.minds, place, mind),
            channels=channels,
            outside=self.outsides.of(outside),
            turned=turned,
            in_time=in_time,
        )

    def _to_readers(self, channels: Channels, service: str, event: Message) -> Channels:
        for place, (source, reader) in enumerate(LINKS):
            if source == service and type(event) in SHOP[reader].reads:
                behind = (*channels[place], self.messages.of(event))
                channels = _put(channels, place, behind)
        return channels


def _put(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])
