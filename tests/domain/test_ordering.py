"""Ordering, told as given, when, then."""

from decimal import Decimal

import pytest

from contracts import ordering
from contracts.values import MAX_AMOUNT, MAX_QUANTITY, Line
from services.ordering.handlers import HANDLERS
from services.ordering.order import MAX_UNIT_PRICE, Cancellation, Order, OrderLine, Status
from services.ordering.requests import (
    CancellationAccepted,
    OrderAccepted,
    PlaceOrder,
    RequestCancellation,
)
from stagepost.errors import BadMessage, Conflict, NotFound, Unprocessable
from stagepost.messages import Message
from stagepost.testing import given


def line(sku: str, quantity: int, unit_price: str) -> OrderLine:
    return OrderLine(sku=sku, quantity=quantity, unit_price=Decimal(unit_price))


place = PlaceOrder(
    order_id="10248",
    customer_id="VINET",
    lines=(line("red-chair", 2, "1299"), line("blue-chair", 1, "1260.5")),
    currency="EUR",
    payment_token="tok_ok",
    ship_to="1 Station Road, Reims",
)
cancel = RequestCancellation(order_id="10248")

FULFILLMENT = {"caller": "fulfillment", "reference": "10248", "order_id": "10248"}
confirm = ordering.ConfirmOrder(**FULFILLMENT)
reject = ordering.RejectOrder(**FULFILLMENT, reason="out of stock")

placed = ordering.OrderPlaced(
    order_id="10248",
    customer_id="VINET",
    lines=(Line(sku="red-chair", quantity=2), Line(sku="blue-chair", quantity=1)),
    amount=3858,
    currency="EUR",
    payment_token="tok_ok",
    ship_to="1 Station Road, Reims",
)
confirmed = ordering.OrderConfirmed(**FULFILLMENT, customer_id="VINET", amount=3858, currency="EUR")
rejected = ordering.OrderRejected(**FULFILLMENT, customer_id="VINET", reason="out of stock")
cancellation_requested = ordering.OrderCancellationRequested(order_id="10248")


def order_after(*history: Message) -> Order:
    order = given(HANDLERS, *history).one(Order, Order.stream("10248"))
    assert order is not None
    return order


def test_an_order_is_placed_and_told() -> None:
    when = given(HANDLERS).when(place)

    when.then(placed)
    assert when.answer == OrderAccepted(order_id="10248")
    assert order_after(place).status is Status.PLACED


@pytest.mark.parametrize(
    ("quantity", "unit_price", "amount"),
    [
        (1, "1260.5", 1260),  # half of a cent goes to the even one
        (1, "1261.5", 1262),
        (3, "0.5", 2),
        (7, "833.333333", 5833),
        (1, "0", 0),
        (MAX_QUANTITY, str(MAX_UNIT_PRICE), MAX_QUANTITY * MAX_UNIT_PRICE),
        (MAX_QUANTITY, "999999999999.999999", 999999999999999999),
    ],
)
def test_a_line_costs_whole_cents_rounded_half_even(
    quantity: int, unit_price: str, amount: int
) -> None:
    assert line("red-chair", quantity, unit_price).amount == amount


def test_each_line_is_rounded_before_they_are_summed() -> None:
    halves = place.model_copy(update={"lines": (line("a", 1, "1.5"), line("b", 1, "3.5"))})

    (told,) = given(HANDLERS).when(halves).sent

    assert isinstance(told, ordering.OrderPlaced)
    assert told.amount == 2 + 4


def test_an_order_beyond_what_can_be_paid_is_not_taken() -> None:
    absurd = place.model_copy(update={"lines": (line("a", 1000, str(MAX_UNIT_PRICE)),) * 2})

    with pytest.raises(Unprocessable, match=f"{MAX_AMOUNT} is the most") as refusal:
        given(HANDLERS).when(absurd)
    assert refusal.value.pointer == "/lines"


def test_the_most_that_can_be_paid_is_taken() -> None:
    most = place.model_copy(update={"lines": (line("a", 1000, str(MAX_UNIT_PRICE)),)})

    assert given(HANDLERS).when(most).answer == OrderAccepted(order_id="10248")


def test_the_same_order_once_more_is_accepted_and_not_placed_again() -> None:
    for history in ((place,), (place, cancel), (place, confirm), (place, reject)):
        when = given(HANDLERS, *history).when(place)

        when.then_nothing()
        assert when.answer == OrderAccepted(order_id="10248")


@pytest.mark.parametrize(
    "other",
    [
        {"customer_id": "TOMSP"},
        {"lines": place.lines[:1]},
        {"lines": (line("red-chair", 2, "1299.5"), place.lines[1])},
        {"currency": "USD"},
        {"payment_token": "tok_slow"},
        {"ship_to": "2 Station Road, Reims"},
    ],
)
def test_another_order_under_the_same_id_is_a_conflict(other: dict[str, object]) -> None:
    with pytest.raises(Conflict, match="'10248' already, with other content") as refusal:
        given(HANDLERS, place).when(place.model_copy(update=other))
    assert refusal.value.pointer == "/order_id"


def test_a_price_written_with_more_zeros_is_the_same_price() -> None:
    lines = (line("red-chair", 2, "1299.00"), line("blue-chair", 1, "1260.500000"))

    given(HANDLERS, place).when(place.model_copy(update={"lines": lines})).then_nothing()


def test_a_wish_to_cancel_is_passed_on_once() -> None:
    first = given(HANDLERS, place).when(cancel)
    again = given(HANDLERS, place, cancel).when(cancel)

    first.then(cancellation_requested)
    again.then_nothing()
    assert first.answer == again.answer == CancellationAccepted(order_id="10248")


def test_an_order_that_does_not_exist_cannot_be_cancelled() -> None:
    with pytest.raises(NotFound, match="'10248'"):
        given(HANDLERS).when(cancel)


@pytest.mark.parametrize(("end", "status"), [(confirm, "confirmed"), (reject, "rejected")])
def test_an_order_that_has_ended_cannot_be_cancelled(end: Message, status: str) -> None:
    with pytest.raises(Conflict, match=f"it is {status}"):
        given(HANDLERS, place, end).when(cancel)


def test_an_order_is_confirmed() -> None:
    given(HANDLERS, place).when(confirm).then(confirmed)
    assert order_after(place, confirm).status is Status.CONFIRMED


def test_an_order_is_rejected_with_its_reason() -> None:
    given(HANDLERS, place).when(reject).then(rejected)
    order = order_after(place, reject)
    assert (order.status, order.reason) == (Status.REJECTED, "out of stock")


def test_ending_an_order_again_only_repeats_the_answer() -> None:
    given(HANDLERS, place, confirm).when(confirm).then_only_says(confirmed)
    given(HANDLERS, place, reject).when(reject).then_only_says(rejected)


def test_an_order_ends_once_whatever_is_asked_later() -> None:
    given(HANDLERS, place, reject).when(confirm).then_only_says(rejected)
    given(HANDLERS, place, confirm).when(reject).then_only_says(confirmed)


def test_an_order_says_what_became_of_the_wish_to_cancel_it() -> None:
    too_late = confirm.model_copy(update={"cancellation_too_late": True})

    assert order_after(place, confirm).cancellation is Cancellation.NONE
    assert order_after(place, reject).cancellation is Cancellation.NONE
    assert order_after(place, cancel).cancellation is Cancellation.REQUESTED
    assert order_after(place, cancel, reject).cancellation is Cancellation.DONE
    assert order_after(place, cancel, too_late).cancellation is Cancellation.TOO_LATE
    assert order_after(place, too_late).cancellation is Cancellation.TOO_LATE


def test_a_wish_to_cancel_that_crosses_the_confirmation_is_too_late() -> None:
    assert order_after(place, cancel, confirm).cancellation is Cancellation.TOO_LATE


@pytest.mark.parametrize("end", [confirm, reject])
def test_the_end_of_an_order_that_was_never_placed_is_a_bad_message(end: Message) -> None:
    with pytest.raises(BadMessage, match="names order '10248', which was never placed"):
        given(HANDLERS).when(end)


def test_an_order_keeps_what_was_decided() -> None:
    assert given(HANDLERS).when(place).topics == ["ordering.Order.Placed"]
    assert given(HANDLERS, place).when(cancel).topics == ["ordering.Order.CancellationRequested"]
    assert given(HANDLERS, place).when(confirm).topics == ["ordering.Order.Confirmed"]
    assert given(HANDLERS, place).when(reject).topics == ["ordering.Order.Rejected"]
