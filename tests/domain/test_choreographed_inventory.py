"""Inventory where nobody commands it, told as given, when, then."""

from contracts import inventory, ordering, payments, shipping
from contracts.values import Line
from services.inventory.choreography import HANDLERS
from services.inventory.requests import DeclareSku, ReceiveStock
from services.inventory.stock import StockItem
from stagepost.messages import Message, example
from stagepost.testing import given

OURS = {"caller": "ordering", "reference": "10248", "order_id": "10248"}
SHELF = (DeclareSku(sku="chair"), ReceiveStock(sku="chair", quantity=5))


def order(sku: str, quantity: int) -> ordering.OrderPlaced:
    lines = (Line(sku=sku, quantity=quantity),)
    return example(ordering.OrderPlaced, order_id="10248", lines=lines)


placed = order("chair", 3)
paid = payments.PaymentReceived(**OURS, amount=2598, currency="EUR")
cancelled = ordering.OrderCancellationRequested(order_id="10248")
no_parcel = shipping.ShipmentRefused(**OURS, reason="no such road")

fetched = inventory.GoodsFetched(**OURS)
released = inventory.StockReleased(**OURS)


def rejected(reason: str) -> inventory.StockRejected:
    return inventory.StockRejected(**OURS, reason=reason)


def level(*history: Message) -> tuple[int, int, int]:
    """On hand, reserved, gone."""
    item = given(HANDLERS, *history).one(StockItem, StockItem.stream("chair"))
    assert item is not None
    return item.on_hand, item.reserved, item.gone


def test_what_is_ordered_stays_on_the_shelf_until_it_is_paid() -> None:
    given(HANDLERS, *SHELF).when(placed).then()
    assert level(*SHELF, placed) == (5, 0, 0)


def test_what_is_paid_is_fetched() -> None:
    given(HANDLERS, *SHELF, placed).when(paid).then(fetched)
    assert level(*SHELF, placed, paid) == (2, 0, 3)


def test_what_is_paid_before_it_is_known_what_is_fetched_then() -> None:
    given(HANDLERS, *SHELF).when(paid).then()
    given(HANDLERS, *SHELF, paid).when(placed).then(fetched)
    assert level(*SHELF, paid, placed) == (2, 0, 3)


def test_what_is_not_there_is_rejected_and_nothing_held() -> None:
    given(HANDLERS, *SHELF, order("chair", 6)).when(paid).then(rejected("out of stock"))
    given(HANDLERS, *SHELF, paid).when(order("lamp", 1)).then(rejected("unknown SKU"))
    assert level(*SHELF, order("chair", 6), paid) == (5, 0, 0)


def test_what_was_decided_is_decided_once() -> None:
    given(HANDLERS, *SHELF, placed, paid).when(paid).then_nothing()
    given(HANDLERS, *SHELF, placed, paid).when(placed).then_nothing()
    given(HANDLERS, *SHELF, paid).when(paid).then_nothing()
    given(HANDLERS, *SHELF, order("chair", 6), paid).when(paid).then_nothing()


def test_an_order_that_was_cancelled_before_it_was_paid_is_rejected_when_it_is() -> None:
    given(HANDLERS, *SHELF, placed).when(cancelled).then()
    story = given(HANDLERS, *SHELF, placed, cancelled)
    story.when(paid).then(rejected("cancelled by the customer"))
    assert level(*SHELF, placed, cancelled, paid) == (5, 0, 0)


def test_a_cancellation_after_the_order_was_paid_is_for_shipping_to_heed() -> None:
    given(HANDLERS, *SHELF, placed, paid).when(cancelled).then_nothing()
    assert level(*SHELF, placed, paid, cancelled) == (2, 0, 3)


def test_a_cancellation_that_comes_twice_counts_once() -> None:
    given(HANDLERS, *SHELF, placed, cancelled).when(cancelled).then_nothing()
    given(HANDLERS, *SHELF, placed, cancelled, paid).when(cancelled).then_nothing()
    given(HANDLERS, *SHELF, placed, cancelled, paid).when(paid).then_nothing()


def test_goods_that_do_not_leave_come_back() -> None:
    given(HANDLERS, *SHELF, placed, paid).when(no_parcel).then(released)
    assert level(*SHELF, placed, paid, no_parcel) == (5, 0, 0)


def test_goods_come_back_once() -> None:
    given(HANDLERS, *SHELF, placed, paid, no_parcel).when(no_parcel).then_nothing()


def test_for_a_parcel_that_was_refused_nothing_is_fetched_any_more() -> None:
    """It was fetched before: our database was set back, and does not know it."""
    given(HANDLERS, *SHELF, placed).when(no_parcel).then()
    given(HANDLERS, *SHELF, placed, no_parcel).when(no_parcel).then_nothing()
    for again in ((placed, no_parcel, paid), (no_parcel, placed, paid), (no_parcel, paid, placed)):
        assert level(*SHELF, *again) == (5, 0, 0)
    assert level(*SHELF, paid, no_parcel, placed) == (5, 0, 0)


def test_what_was_heard_is_kept() -> None:
    heard = "inventory.HeardOrder"
    assert given(HANDLERS).when(placed).topics == [f"{heard}.Begun", f"{heard}.Placed"]
    assert given(HANDLERS).when(paid).topics == [f"{heard}.Begun", f"{heard}.Paid"]
    assert given(HANDLERS, placed).when(cancelled).topics == [f"{heard}.Cancelled"]
    assert given(HANDLERS, *SHELF, placed).when(paid).topics == [
        f"{heard}.Paid",
        "inventory.Reservation.Made",
        "inventory.Reservation.Fetched",
        "inventory.StockItem.Reserved",
        "inventory.StockItem.Fetched",
    ]


def test_nobody_commands() -> None:
    commands = {inventory.ReserveStock, inventory.FetchGoods, inventory.ReleaseStock}
    assert not commands & set(HANDLERS)
