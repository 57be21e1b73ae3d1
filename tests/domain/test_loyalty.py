"""Loyalty, told as given, when, then."""

from __future__ import annotations

import pytest

from contracts import customers, loyalty, ordering
from services.loyalty.account import Account
from services.loyalty.handlers import HANDLERS
from services.loyalty.points import points_for
from stagepost.testing import GivenHandlers, given

registered = customers.CustomerRegistered(customer_id="ada")


def confirmed(order_id: str = "1", amount: int = 2599) -> ordering.OrderConfirmed:
    return ordering.OrderConfirmed(
        caller="fulfillment",
        reference=order_id,
        order_id=order_id,
        customer_id="ada",
        amount=amount,
        currency="EUR",
    )


def awarded(points: int, balance: int) -> loyalty.PointsAwarded:
    return loyalty.PointsAwarded(customer_id="ada", points=points, balance=balance)


def account_in(service: GivenHandlers) -> Account:
    account = service.one(Account, Account.stream("ada"))
    assert account is not None
    return account


def test_who_registers_is_enrolled_and_has_no_points() -> None:
    service = given(HANDLERS)
    service.when(registered).then()
    account = account_in(service)
    assert (account.is_enrolled, account.balance) == (True, 0)


def test_an_order_that_ends_well_earns_points() -> None:
    given(HANDLERS, registered).when(confirmed()).then(awarded(25, 25))


def test_points_add_up() -> None:
    given(HANDLERS, registered, confirmed("1")).when(confirmed("2", 1000)).then(awarded(10, 35))


def test_an_order_counts_once_however_often_it_is_told_of() -> None:
    given(HANDLERS, registered, confirmed()).when(confirmed()).then_nothing()


def test_what_was_bought_before_we_heard_of_the_customer_is_awarded_then() -> None:
    service = given(HANDLERS, confirmed("1"), confirmed("2", 1000))
    assert (account_in(service).balance, account_in(service).waiting) == (0, 35)
    service.when(registered).then(awarded(35, 35))
    assert (account_in(service).balance, account_in(service).waiting) == (35, 0)


def test_a_customer_who_is_not_registered_is_told_of_no_points() -> None:
    given(HANDLERS).when(confirmed()).then()


def test_enrolling_twice_awards_nothing_twice() -> None:
    given(HANDLERS, confirmed(), registered).when(registered).then_nothing()


def test_an_order_that_is_worth_nothing_is_counted_and_told_to_nobody() -> None:
    then = given(HANDLERS, registered).when(confirmed(amount=99))
    then.then()
    assert then.topics == ["loyalty.Purchase.Counted"]


@pytest.mark.parametrize(
    ("amount", "points"), [(0, 0), (99, 0), (100, 1), (199, 1), (10**15, 10**13)]
)
def test_a_point_is_a_whole_hundred_of_minor_units(amount: int, points: int) -> None:
    assert points_for(amount) == points
