"""A process together with everybody it talks to, as one system that can be walked to its end.

Between the process and each service (see `parties.py`) are two channels, first in, first out;
whatever stands at the head of one may be handled now or later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from services.fulfillment.process import Cancel, Retry
from services.inventory.handlers import HANDLERS as INVENTORY
from services.ordering.handlers import HANDLERS as ORDERING
from services.ordering.requests import RequestCancellation
from services.payments.handlers import HANDLERS as PAYMENTS
from services.shipping.handlers import HANDLERS as SHIPPING
from stagepost.aggregate import Aggregate
from stagepost.handler import Handler
from stagepost.messages import Answer, Call, Command, Message, Timer
from stagepost.process import Process, State
from stagepost.testing import GivenHandlers
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

SERVICES: Mapping[str, Mapping[type[Message], Handler]] = {
    "ordering": ORDERING,
    "payments": PAYMENTS,
    "inventory": INVENTORY,
    "shipping": SHIPPING,
}
NAMES = tuple(SERVICES)
Channels: TypeAlias = tuple[tuple[int, ...], ...]


class Budget(NamedTuple):
    """What still can be done to the system from outside, and what can still go wrong in between."""

    cancels: int = 0
    retries: int = 0
    repeats: int = 0
    losses: int = 0


class World(NamedTuple):
    """One joint state. Numbers stand for where the process is, messages, and what services know."""

    process: int
    timers: frozenset[int]
    minds: tuple[int, ...]
    to_services: Channels
    to_process: Channels
    outside: int
    budget: Budget


@dataclass
class System:
    """The process, the services and the world outside, and each step that can come next.

    `lost` names types of messages that never arrive at the process.
    """

    process: Process[State]
    lost: frozenset[str] = frozenset()
    services: dict[str, Service] = field(
        default_factory=lambda: {name: Service(handlers) for name, handlers in SERVICES.items()}
    )
    states: Numbers[State] = field(default_factory=Numbers)
    messages: Numbers[Message] = field(default_factory=Numbers)
    outsides: Numbers[Outside] = field(default_factory=Numbers)
    reactions: dict[tuple[int, int], Known] = field(default_factory=dict)
    decisions: dict[tuple[str, int, int], Known] = field(default_factory=dict)

    def start(self, order: Message, stock: Iterable[Message], budget: Budget) -> World:
        """Return the world in which an order was just placed."""
        world = World(
            process=self.states.of(self.process.initial),
            timers=frozenset(),
            minds=tuple(s.number(GivenHandlers(s.handlers)) for s in self.services.values()),
            to_services=((),) * len(NAMES),
            to_process=((),) * len(NAMES),
            outside=self.outsides.of(Outside()),
            budget=budget,
        )
        for message in stock:
            world = self._tell(world, "inventory", self.messages.of(message))
        return self._tell(world, "ordering", self.messages.of(order))

    def steps(self, world: World) -> Iterator[World]:
        """Return every world that can come next."""
        yield from self._commands(world)
        yield from self._answers(world)
        yield from self._timers(world)
        now = self.outsides[world.outside]
        yield from self._told(world, "payments", provider_steps(now))
        yield from self._told(world, "shipping", carrier_steps(now))
        yield from self._people(world)

    def is_done(self, world: World) -> bool:
        return self.process.is_done(self.states[world.process])

    def find(self, world: World, service: str, cls: type[A], stream: str) -> A | None:
        """Return an aggregate of a service as it is in this world."""
        return self.services[service].minds[world.minds[NAMES.index(service)]].one(cls, stream)

    def _commands(self, world: World) -> Iterator[World]:
        for service, channel in zip(NAMES, world.to_services, strict=True):
            if channel:
                rest = world._replace(to_services=_without_first(world.to_services, service))
                for before in _perhaps_again(world, rest):
                    yield self._tell(before, service, channel[0])

    def _answers(self, world: World) -> Iterator[World]:
        for service, channel in zip(NAMES, world.to_process, strict=True):
            if channel:
                rest = world._replace(to_process=_without_first(world.to_process, service))
                if self.messages[channel[0]].TYPE in self.lost:
                    yield rest
                    continue
                for before in _perhaps_again(world, rest):
                    yield self._react(before, channel[0])
                if world.budget.losses and isinstance(self.messages[channel[0]], Answer):
                    losses = world.budget.losses - 1
                    yield rest._replace(budget=world.budget._replace(losses=losses))

    def _timers(self, world: World) -> Iterator[World]:
        for timer in world.timers:
            yield self._react(world._replace(timers=world.timers - {timer}), timer)

    def _told(self, world: World, service: str, steps: Iterator[Step]) -> Iterator[World]:
        """Let the world outside do something, and perhaps tell a service."""
        for after, told in steps:
            following = world._replace(outside=self.outsides.of(after))
            if told is not None:
                following = self._tell(following, service, self.messages.of(told))
            yield following

    def _people(self, world: World) -> Iterator[World]:
        """Let the customer or the operator cancel, or the operator have it all asked again."""
        budget = world.budget
        if budget.cancels:
            rest = world._replace(budget=budget._replace(cancels=budget.cancels - 1))
            by_customer = self.messages.of(RequestCancellation(order_id=ORDER_ID))
            yield self._tell(rest, "ordering", by_customer)
            by_operator = self.messages.of(Cancel(order_id=ORDER_ID))
            yield self._react(rest, by_operator)
        if budget.retries:
            rest = world._replace(budget=budget._replace(retries=budget.retries - 1))
            yield self._react(rest, self.messages.of(Retry(order_id=ORDER_ID)))

    def _react(self, world: World, message: int) -> World:
        """Let the process hear a message: its commands go out, its timers are set."""
        known = self.reactions.get((world.process, message))
        if known is None:
            known = self._reaction(world.process, message)
        state, sends = known
        timers, channels = world.timers, world.to_services
        for send in sends:
            # The service level moves nothing (that is tested), and would double the worlds.
            if isinstance(send, Timer) and not isinstance(send, self.process.due):
                timers |= {self.messages.of(send)}
            if isinstance(send, Command):
                channels = _with(channels, send.OWNER, self.messages.of(send))
        if self.process.is_done(self.states[state]):
            timers = frozenset()
        return world._replace(process=state, timers=timers, to_services=channels)

    def _reaction(self, state: int, message: int) -> Known:
        reaction = self.process.react(self.states[state], self.messages[message])
        known = self.states.of(reaction.state), reaction.sends
        self.reactions[state, message] = known
        return known

    def _tell(self, world: World, service: str, message: int) -> World:
        """Let a service handle a message: calls go to the world outside, answers to the process."""
        place = NAMES.index(service)
        known = self.decisions.get((service, world.minds[place], message))
        if known is None:
            known = self._decision(service, world.minds[place], message)
        mind, sends = known
        outside, channels = world.outside, world.to_process
        for send in sends:
            if isinstance(send, Call):
                outside = self.outsides.of(called(self.outsides[outside], send))
            else:
                channels = _with(channels, service, self.messages.of(send))
        minds = (*world.minds[:place], mind, *world.minds[place + 1 :])
        return world._replace(minds=minds, outside=outside, to_process=channels)

    def _decision(self, service: str, mind: int, message: int) -> Known:
        known = self.services[service].hear(mind, self.messages[message])
        self.decisions[service, mind, message] = known
        return known


def _perhaps_again(world: World, rest: World) -> Iterator[World]:
    """Take a message from its channel; or handle it, and find it there once more."""
    yield rest
    if world.budget.repeats:
        yield world._replace(budget=world.budget._replace(repeats=world.budget.repeats - 1))


def _with(channels: Channels, service: str, message: int) -> Channels:
    place = NAMES.index(service)
    return (*channels[:place], (*channels[place], message), *channels[place + 1 :])


def _without_first(channels: Channels, service: str) -> Channels:
    place = NAMES.index(service)
    return (*channels[:place], channels[place][1:], *channels[place + 1 :])
