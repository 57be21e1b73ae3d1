"""The orders of the bench: two lines each, and the demonstration's mix of what goes wrong."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from services.demo.book import Book, Order, generate

BY_THE_CLOCK = ("tok_slow", "tok_down")
SLOW = "Slow Lane"
EARLY = 0.6
"""Orders that wait by the clock stand in this first part of the book."""


def two_lines(count: int, seed: int, prefix: str = "bench") -> Book:
    """Make a book of so many orders.

    One in twelve waits for seconds by the clock, whatever the machine: a slow card, a provider
    that is down until the time is over, a slow carrier. They stand in the first part of the book,
    so that the end of the last order is the end of work, not of waiting.
    """
    book = generate(count, seed, lines=(2,))
    orders = [replace(o, order_id=o.order_id.replace("demo", prefix)) for o in book.orders]
    waiting = [order for order in orders if waits(order)]
    others = [order for order in orders if not waits(order)]
    early = max(0, int(count * EARLY) - len(waiting))
    first = [*waiting, *others[:early]]
    Random(seed).shuffle(first)  # no secret
    return replace(book, orders=(*first, *others[early:]))


def waits(order: Order) -> bool:
    """Tell whether an order waits by the clock for what the world outside does."""
    return order.payment_token in BY_THE_CLOCK or SLOW in order.ship_to
