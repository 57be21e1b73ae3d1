"""The project's own book: repeatable, mixed, and with everything in it that can go wrong."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.demo.book import Book, Cancel, Line, Order, demand, generate


@pytest.fixture(scope="module")
def book() -> Book:
    return generate(300, seed=7)


def test_the_same_seed_gives_the_same_book(book: Book) -> None:
    assert generate(300, seed=7) == book


def test_another_seed_gives_another_book(book: Book) -> None:
    assert generate(300, seed=8).orders != book.orders


def test_orders_have_ids_of_their_own(book: Book) -> None:
    assert len({order.order_id for order in book.orders}) == 300


@pytest.mark.parametrize("seed", range(20))
def test_every_card_address_and_change_of_mind_occurs_in_thirty_orders(seed: int) -> None:
    orders = generate(30, seed).orders
    tokens = {order.payment_token for order in orders}
    assert tokens == {"tok_ok", "tok_declined", "tok_slow", "tok_down", "tok_lost_answer"}
    assert {order.cancel for order in orders} == set(Cancel)
    assert any("REFUSED" in order.ship_to for order in orders)


def test_orders_are_of_mixed_sizes(book: Book) -> None:
    assert {1, 2, 3, 5, 8} == {len(order.lines) for order in book.orders}


def test_some_stock_runs_out_and_the_rest_does_not(book: Book) -> None:
    asked = demand(book.orders)
    short = {sku for sku, units in book.stock.items() if units < asked[sku]}
    assert short == {"last-vase", "rare-mirror"}


def test_a_book_of_few_orders_has_just_these() -> None:
    assert len(generate(3, seed=1).orders) == 3


def test_an_order_costs_the_sum_of_its_rounded_lines() -> None:
    half = Line("a", 1, Decimal("0.5"))
    three_halves = Line("b", 3, Decimal("0.5"))
    order = Order("1", "c", (half, three_halves), "EUR", "tok_ok", "here")
    assert (half.amount, three_halves.amount, order.amount) == (0, 2, 2)
