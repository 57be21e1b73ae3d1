"""An order book as values, and the seeded generator of the project's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from random import Random


class Cancel(StrEnum):
    """When the customer changes their mind."""

    NEVER = "never"
    AT_ONCE = "at once"
    WITH_THE_CARRIER = "with the carrier"
    AFTER_THE_END = "after the end"


@dataclass(frozen=True, slots=True)
class Line:
    """So many of one thing, at a price per unit in minor units, which may have decimals."""

    sku: str
    quantity: int
    unit_price: Decimal

    @property
    def amount(self) -> int:
        """What the line costs, rounded half-even to a whole minor unit."""
        return int((self.unit_price * self.quantity).quantize(Decimal(1), ROUND_HALF_EVEN))


@dataclass(frozen=True, slots=True)
class Order:
    """What a customer orders, and whether they will change their mind."""

    order_id: str
    customer_id: str
    lines: tuple[Line, ...]
    currency: str
    payment_token: str
    ship_to: str
    cancel: Cancel = Cancel.NEVER

    @property
    def amount(self) -> int:
        return sum(line.amount for line in self.lines)


@dataclass(frozen=True, slots=True)
class Book:
    """Orders in the order in which they come, and how much of each SKU there is."""

    name: str
    orders: tuple[Order, ...]
    stock: Mapping[str, int]

    @property
    def customers(self) -> tuple[str, ...]:
        """Who orders, each once."""
        return tuple(sorted({order.customer_id for order in self.orders}))

    def again(self, run: int) -> Book:
        """Return the book as orders of their own, once more."""
        orders = (replace(each, order_id=f"{each.order_id}-{run}") for each in self.orders)
        return replace(self, orders=tuple(orders))

    def with_enough_stock(self) -> Book:
        """Return the book with exactly as much of each SKU as all its orders together ask for."""
        return replace(self, stock=dict(demand(self.orders)))


def demand(orders: tuple[Order, ...]) -> Counter[str]:
    """Count the units of each SKU that these orders ask for."""
    units: Counter[str] = Counter()
    for order in orders:
        for line in order.lines:
            units[line.sku] += line.quantity
    return units


@dataclass(frozen=True, slots=True)
class _Fate:
    """What makes an order special; `weight` is how many of a hundred are."""

    weight: int
    payment_token: str = "tok_ok"  # noqa: S105  # a test card, no secret
    street: str = "Station Road"
    cancel: Cancel = Cancel.NEVER


_FATES = (
    _Fate(71),
    _Fate(6, payment_token="tok_declined"),  # noqa: S106
    _Fate(3, payment_token="tok_slow"),  # noqa: S106
    _Fate(2, payment_token="tok_down"),  # noqa: S106
    _Fate(3, payment_token="tok_lost_answer"),  # noqa: S106
    _Fate(4, street="REFUSED Lane"),
    _Fate(5, cancel=Cancel.AT_ONCE),
    _Fate(3, street="Slow Lane", cancel=Cancel.WITH_THE_CARRIER),
    _Fate(3, cancel=Cancel.AFTER_THE_END),
)

_PRICES = {  # in cents
    "red-chair": 1299,
    "oak-table": 24900,
    "desk-lamp": 3450,
    "bookshelf": 8999,
    "wool-rug": 15900,
    "coat-rack": 4995,
    "tea-set": 2750,
    "wall-clock": 3990,
    "door-mat": 1495,
    "plant-pot": 899,
    "last-vase": 6400,
    "rare-mirror": 31000,
}

LINES = (1, 1, 1, 2, 2, 3, 5, 8)
"""How many lines orders have, by how often."""

_SCARCE = ("last-vase", "rare-mirror")
_SCARCE_SHARE = 3  # there is one third of what is asked for


def generate(count: int, seed: int, lines: Sequence[int] = LINES) -> Book:
    """Make the project's own book: the same seed gives the same book.

    `lines` is what an order's number of lines is drawn from.
    """
    rng = Random(seed)  # noqa: S311  # a generator that can be repeated, no secret
    fates = [*_FATES, *rng.choices(_FATES, [fate.weight for fate in _FATES], k=count)][:count]
    rng.shuffle(fates)
    orders = tuple(
        _order(rng, number, fate, rng.choice(lines)) for number, fate in enumerate(fates, start=1)
    )
    return Book(f"{count} orders of seed {seed}", orders, _some_run_out(demand(orders)))


def _order(rng: Random, number: int, fate: _Fate, lines: int) -> Order:
    skus = rng.sample(list(_PRICES), k=lines)
    return Order(
        order_id=f"demo-{number:05}",
        customer_id=f"customer-{rng.randrange(1, 90):02}",
        lines=tuple(Line(sku, rng.choice((1, 1, 2, 3, 12)), Decimal(_PRICES[sku])) for sku in skus),
        currency="EUR",
        payment_token=fate.payment_token,
        ship_to=f"{rng.randrange(1, 200)} {fate.street}, Reims",
        cancel=fate.cancel,
    )


def _some_run_out(asked: Counter[str]) -> dict[str, int]:
    return {
        sku: asked[sku] // _SCARCE_SHARE if sku in _SCARCE else asked[sku] for sku in sorted(asked)
    }
