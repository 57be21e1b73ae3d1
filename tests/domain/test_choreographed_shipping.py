"""Shipping where nobody commands it, told as given, when, then."""

from contracts import inventory, ordering, shipping
from contracts.values import Line
from services.shipping import carrier
from services.shipping.choreography import HANDLERS
from stagepost.messages import example
from stagepost.testing import given

OURS = {"caller": "ordering", "reference": "10248", "order_id": "10248"}
CHAIRS = (Line(sku="red-chair", quantity=2),)
REIMS = "1 Station Road, Reims"

placed = example(ordering.OrderPlaced, order_id="10248", lines=CHAIRS, ship_to=REIMS)
fetched = inventory.GoodsFetched(**OURS)
cancelled = ordering.OrderCancellationRequested(order_id="10248")

dispatch = carrier.Dispatch(
    order_id="10248", reference="ordering/10248", lines=CHAIRS, ship_to=REIMS
)
left = carrier.Dispatched(call=dispatch, accepted=True, tracking="trk-1")
turned_down = carrier.Dispatched(call=dispatch, accepted=False, reason="no such road")

shipped = shipping.GoodsShipped(**OURS, tracking="trk-1")
refused = shipping.ShipmentRefused(**OURS, reason="no such road")
not_sent = shipping.ShipmentRefused(**OURS, reason="cancelled by the customer")


def test_what_is_ordered_stays_here_until_it_is_fetched() -> None:
    given(HANDLERS).when(placed).then()


def test_what_is_fetched_is_handed_to_the_carrier() -> None:
    given(HANDLERS, placed).when(fetched).then(dispatch)


def test_what_is_fetched_before_it_is_known_where_to_is_handed_over_then() -> None:
    given(HANDLERS).when(fetched).then()
    given(HANDLERS, fetched).when(placed).then(dispatch)


def test_what_the_carrier_decides_is_told_in_the_name_of_ordering() -> None:
    given(HANDLERS, placed, fetched).when(left).then(shipped)
    given(HANDLERS, placed, fetched).when(turned_down).then(refused)


def test_one_parcel_leaves() -> None:
    given(HANDLERS, placed, fetched).when(fetched).then_nothing()
    given(HANDLERS, placed, fetched).when(placed).then_nothing()
    given(HANDLERS, fetched).when(fetched).then_nothing()
    given(HANDLERS, placed, fetched, left).when(fetched).then_nothing()


def test_an_order_that_was_cancelled_before_its_goods_were_fetched_is_refused_when_they_are() -> (
    None
):
    given(HANDLERS, placed).when(cancelled).then()
    given(HANDLERS, placed, cancelled).when(fetched).then(not_sent)


def test_a_cancellation_after_the_goods_were_fetched_is_too_late() -> None:
    given(HANDLERS, placed, fetched).when(cancelled).then_nothing()
    given(HANDLERS, placed, fetched, left).when(cancelled).then_nothing()
    given(HANDLERS, placed, fetched, cancelled).when(left).then(shipped)


def test_a_cancellation_that_comes_twice_counts_once() -> None:
    given(HANDLERS, placed, cancelled).when(cancelled).then_nothing()
    given(HANDLERS, placed, cancelled, fetched).when(cancelled).then_nothing()
    given(HANDLERS, placed, cancelled, fetched).when(fetched).then_nothing()


def test_what_was_heard_is_kept() -> None:
    heard = "shipping.HeardOrder"
    assert given(HANDLERS).when(placed).topics == [f"{heard}.Begun", f"{heard}.Placed"]
    assert given(HANDLERS).when(fetched).topics == [f"{heard}.Begun", f"{heard}.Fetched"]
    assert given(HANDLERS, placed).when(cancelled).topics == [f"{heard}.Cancelled"]
    assert given(HANDLERS, placed).when(fetched).topics == [
        f"{heard}.Fetched",
        "shipping.Parcel.Requested",
    ]


def test_nobody_commands() -> None:
    assert shipping.ShipGoods not in HANDLERS
