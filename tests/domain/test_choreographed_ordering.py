"""Ordering where nobody commands it, told as given, when, then."""

from decimal import Decimal

import pytest

from contracts import inventory, ordering, payments, shipping
from services.ordering.choreography import HANDLERS
from services.ordering.order import Cancellation, Order, OrderLine
from services.ordering.requests import PlaceOrder, RequestCancellation
from stagepost.errors import BadMessage, Conflict
from stagepost.messages import Message
from stagepost.testing import given

OURS = {"caller": "ordering", "reference": "10248", "order_id": "10248"}

place = PlaceOrder(
    order_id="10248",
    customer_id="VINET",
    lines=(OrderLine(sku="red-chair", quantity=2, unit_price=Decimal(1299)),),
    currency="EUR",
    payment_token="tok_ok",
    ship_to="1 Station Road, Reims",
)
cancel = RequestCancellation(order_id="10248")

declined = payments.PaymentDeclined(**OURS, reason="no funds")
no_goods = inventory.StockRejected(**OURS, reason="out of stock")
no_parcel = shipping.ShipmentRefused(**OURS, reason="no such road")
shipped = shipping.GoodsShipped(**OURS, tracking="trk-1")
REFUSED = (declined, no_goods, no_parcel)

confirmed = ordering.OrderConfirmed(**OURS, customer_id="VINET", amount=2598, currency="EUR")


def rejected(reason: str) -> ordering.OrderRejected:
    return ordering.OrderRejected(**OURS, customer_id="VINET", reason=reason)


def cancellation(*history: Message) -> Cancellation:
    order = given(HANDLERS, *history).one(Order, Order.stream("10248"))
    assert order is not None
    return order.cancellation


def test_an_order_whose_parcel_left_is_confirmed() -> None:
    given(HANDLERS, place).when(shipped).then(confirmed)
    assert cancellation(place, shipped) is Cancellation.NONE


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (declined, "no funds"),
        (no_goods, "stock: out of stock"),
        (no_parcel, "shipment: no such road"),
    ],
)
def test_an_order_that_somebody_refuses_is_rejected_in_the_words_of_fulfillment(
    event: Message, reason: str
) -> None:
    given(HANDLERS, place).when(event).then(rejected(reason))
    assert cancellation(place, event) is Cancellation.NONE


@pytest.mark.parametrize("event", REFUSED)
def test_an_order_that_is_refused_after_its_customer_cancelled_is_cancelled(
    event: Message,
) -> None:
    given(HANDLERS, place, cancel).when(event).then(rejected("cancelled by the customer"))
    assert cancellation(place, cancel, event) is Cancellation.DONE


def test_a_cancellation_before_the_parcel_was_known_to_have_left_came_too_late() -> None:
    given(HANDLERS, place, cancel).when(shipped).then(confirmed)
    assert cancellation(place, cancel, shipped) is Cancellation.TOO_LATE


@pytest.mark.parametrize("end", [*REFUSED, shipped])
def test_an_order_that_has_ended_stays_so(end: Message) -> None:
    for event in (*REFUSED, shipped):
        given(HANDLERS, place, end).when(event).then_nothing()
    with pytest.raises(Conflict, match="has ended"):
        given(HANDLERS, place, end).when(cancel)


def test_a_long_reason_is_cut_to_what_a_reason_can_have() -> None:
    much = inventory.StockRejected(**OURS, reason="x" * 200)
    given(HANDLERS, place).when(much).then(rejected(f"stock: {'x' * 193}"))


@pytest.mark.parametrize("event", [*REFUSED, shipped])
def test_what_is_told_of_an_order_that_was_never_placed_is_a_bad_message(event: Message) -> None:
    with pytest.raises(BadMessage, match="names order '10248', which was never placed"):
        given(HANDLERS).when(event)


def test_nobody_commands() -> None:
    assert ordering.ConfirmOrder not in HANDLERS
    assert ordering.RejectOrder not in HANDLERS
