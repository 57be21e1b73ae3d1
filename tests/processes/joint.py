"""A process together with everybody it talks to, as one system that can be walked to its end.

The participants are the services' own handlers. The payment provider and the carrier are models
that may do whatever is possible: charge and never say so, decline, answer late, refuse. Between
the process and each service are two channels, first in, first out; whatever stands at the head of
one may be handled now or later. So a joint state is a tuple of small integers, and all of them
can be visited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from services.fulfillment.process import Cancel, Retry
from services.inventory.handlers import HANDLERS as INVENTORY
from services.ordering.handlers import HANDLERS as ORDERING
from services.ordering.requests import RequestCancellation
from services.payments import provider
from services.payments.handlers import HANDLERS as PAYMENTS
from services.shipping import carrier
from services.shipping.handlers import HANDLERS as SHIPPING
from stagepost.aggregate import Aggregate
from stagepost.errors import Refused
from stagepost.handler import Handler
from stagepost.messages import Answer, Call, Command, Message, Timer
from stagepost.process import Process, State
from stagepost.testing import GivenHandlers

T = TypeVar("T")
A = TypeVar("A", bound=Aggregate)

SERVICES: Mapping[str, Mapping[type[Message], Handler]] = {
    "ordering": ORDERING,
    "payments": PAYMENTS,
    "inventory": INVENTORY,
    "shipping": SHIPPING,
}
NAMES = tuple(SERVICES)
ORDER_ID = "10248"
Channels: TypeAlias = tuple[tuple[int, ...], ...]
Known: TypeAlias = tuple[int, tuple[Message, ...]]
"""What follows from a message, found out once: what is known or where one stands; what is sent."""


class Numbers(Generic[T]):
    """Gives each value a small number, so that joint states are cheap to compare and to keep."""

    def __init__(self) -> None:
        self._values: list[T] = []
        self._numbers: dict[Any, int] = {}

    def of(self, value: T, identity: object = None) -> int:
        """Return the number of a value; values of equal identity have one number."""
        name = value if identity is None else identity
        number = self._numbers.setdefault(name, len(self._values))
        if number == len(self._values):
            self._values.append(value)
        return number

    def __getitem__(self, number: int) -> T:
        return self._values[number]


class Budget(NamedTuple):
    """What still can be done to the system from outside, and what can still go wrong in between."""

    cancels: int = 0
    retries: int = 0
    repeats: int = 0
    losses: int = 0


class Outside(NamedTuple):
    """The world outside: what it is being asked, what it has taken and carried away.

    A `stray` charge is one that payments gave up, and that may still reach the provider.
    """

    charge: provider.Charge | None = None
    stray: provider.Charge | None = None
    refund: provider.Refund | None = None
    charged: int = 0
    barred: bool = False
    dispatch: carrier.Dispatch | None = None
    parcels: int = 0


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
class Service:
    """A service's handlers, and all that it can come to know."""

    handlers: Mapping[type[Message], Handler]
    minds: Numbers[GivenHandlers] = field(default_factory=Numbers)

    def hear(self, mind: int, message: Message) -> tuple[int, tuple[Message, ...]]:
        """Return what the service knows after a message, and what it sends."""
        before = self.minds[mind].streams
        after = GivenHandlers(self.handlers, {name: list(log) for name, log in before.items()})
        try:
            sent = after.when(message).sent
        except Refused:
            return mind, ()
        return self.number(after), sent

    def number(self, known: GivenHandlers) -> int:
        streams = {name: tuple(log) for name, log in known.streams.items() if log}
        return self.minds.of(known, frozenset(streams.items()))


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
        yield from self._provider(world)
        yield from self._carrier(world)
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

    def _provider(self, world: World) -> Iterator[World]:
        """Charge and say so, charge and not say so yet, decline; refund, and charge no more."""
        now = self.outsides[world.outside]
        if now.stray:
            charged = now.charged if now.barred else now.stray.amount
            yield self._outside(world, now._replace(stray=None, charged=charged))
        if now.charge and not now.barred:
            taken = now._replace(charged=now.charge.amount)
            yield self._outside(world, taken)
            told = provider.Charged(call=now.charge, accepted=True, charge_id="ch-1")
            yield self._call_back(world, taken._replace(charge=None), "payments", told)
        if now.charge and not now.charged:
            told = provider.Charged(call=now.charge, accepted=False, reason="no funds")
            yield self._call_back(world, now._replace(charge=None), "payments", told)
        if now.refund:
            given_back = provider.Refunded(call=now.refund, amount=now.charged)
            after = now._replace(refund=None, charged=0, barred=True)
            yield self._call_back(world, after, "payments", given_back)

    def _carrier(self, world: World) -> Iterator[World]:
        now = self.outsides[world.outside]
        if now.dispatch:
            idle = now._replace(dispatch=None)
            took = carrier.Dispatched(call=now.dispatch, accepted=True, tracking="trk-1")
            refused = carrier.Dispatched(call=now.dispatch, accepted=False, reason="refused")
            gone = idle._replace(parcels=now.parcels + 1)
            yield self._call_back(world, gone, "shipping", took)
            yield self._call_back(world, idle, "shipping", refused)

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
                outside = self.outsides.of(_called(self.outsides[outside], send))
            else:
                channels = _with(channels, service, self.messages.of(send))
        minds = (*world.minds[:place], mind, *world.minds[place + 1 :])
        return world._replace(minds=minds, outside=outside, to_process=channels)

    def _decision(self, service: str, mind: int, message: int) -> Known:
        known = self.services[service].hear(mind, self.messages[message])
        self.decisions[service, mind, message] = known
        return known

    def _call_back(self, world: World, after: Outside, service: str, told: Message) -> World:
        return self._tell(self._outside(world, after), service, self.messages.of(told))

    def _outside(self, world: World, after: Outside) -> World:
        return world._replace(outside=self.outsides.of(after))


def _called(outside: Outside, call: Call) -> Outside:
    """Make a call. A refund makes the charge void, which may be on its way all the same."""
    match call:
        case provider.Charge():
            return outside._replace(charge=call)
        case provider.Refund():
            return outside._replace(refund=call, charge=None, stray=outside.charge)
        case carrier.Dispatch():
            return outside._replace(dispatch=call)
        case _:
            raise AssertionError(call)


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
