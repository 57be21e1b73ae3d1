"""The parties to an order: services with all that they can come to know, the world outside.

The services are their own handlers. The payment provider and the carrier are models that may do
whatever is possible: charge and never say so, decline, answer late, refuse. Each thing that can be
known or be under way has a number, so that joint states are tuples of small integers, and all of
them can be visited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from services.inventory.requests import DeclareSku, ReceiveStock
from services.ordering.order import OrderLine
from services.ordering.requests import PlaceOrder
from services.payments import provider
from services.shipping import carrier
from stagepost.errors import Refused
from stagepost.handler import Handler
from stagepost.messages import Call, Message
from stagepost.testing import GivenHandlers

T = TypeVar("T")
W = TypeVar("W")

ORDER_ID = "10248"
AMOUNT = 2598
ORDER = PlaceOrder(
    order_id=ORDER_ID,
    customer_id="VINET",
    lines=(OrderLine(sku="red-chair", quantity=2, unit_price=Decimal(1299)),),
    currency="EUR",
    payment_token="tok_ok",
    ship_to="1 Station Road, Reims",
)
ENOUGH = (DeclareSku(sku="red-chair"), ReceiveStock(sku="red-chair", quantity=2))
TOO_LITTLE = (DeclareSku(sku="red-chair"), ReceiveStock(sku="red-chair", quantity=1))

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

    @property
    def is_idle(self) -> bool:
        """Nothing is being asked of it."""
        return not (self.charge or self.stray or self.refund or self.dispatch)


Step: TypeAlias = tuple[Outside, Message | None]
"""What the world outside has then, and what it tells."""


def provider_steps(now: Outside) -> Iterator[Step]:
    """Charge and say so, charge and not say so yet, decline; refund, and charge no more."""
    if now.stray:
        charged = now.charged if now.barred else now.stray.amount
        yield now._replace(stray=None, charged=charged), None
    if now.charge and not now.barred:
        taken = now._replace(charged=now.charge.amount)
        yield taken, None
        told = provider.Charged(call=now.charge, accepted=True, charge_id="ch-1")
        yield taken._replace(charge=None), told
    if now.charge and not now.charged:
        told = provider.Charged(call=now.charge, accepted=False, reason="no funds")
        yield now._replace(charge=None), told
    if now.refund:
        given_back = provider.Refunded(call=now.refund, amount=now.charged)
        yield now._replace(refund=None, charged=0, barred=True), given_back


def carrier_steps(now: Outside) -> Iterator[Step]:
    """Take the parcel, or refuse it."""
    if now.dispatch:
        idle = now._replace(dispatch=None)
        took = carrier.Dispatched(call=now.dispatch, accepted=True, tracking="trk-1")
        yield idle._replace(parcels=now.parcels + 1), took
        yield idle, carrier.Dispatched(call=now.dispatch, accepted=False, reason="refused")


def called(outside: Outside, call: Call) -> Outside:
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


def visit(
    starts: Iterable[W], steps: Callable[[W], Iterator[W]]
) -> tuple[list[W], list[list[int]]]:
    """Visit every joint state there is, breadth first; return them, and which ones led to each."""
    worlds = [*starts]
    numbers = {world: number for number, world in enumerate(worlds)}
    before: list[list[int]] = [[] for _ in worlds]
    for number, world in enumerate(worlds):  # grows as we go
        for following in steps(world):
            known = numbers.setdefault(following, len(worlds))
            if known == len(worlds):
                worlds.append(following)
                before.append([])
            before[known].append(number)
    return worlds, before
