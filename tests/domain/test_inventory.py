"""Inventory, told as given, when, then."""

import pytest

from contracts import inventory
from contracts.values import MAX_AMOUNT, MAX_QUANTITY, Line
from services.inventory.handlers import (
    HANDLERS,
    NOTHING_RESERVED,
    OUT_OF_STOCK,
    RELEASED_BEFORE,
    UNKNOWN_SKU,
)
from services.inventory.requests import Declaration, DeclareSku, ReceiveStock, StockLevel
from services.inventory.stock import StockItem
from stagepost.errors import NotFound, Unprocessable
from stagepost.messages import Message
from stagepost.testing import given

ASKED = {"caller": "fulfillment", "reference": "10248", "order_id": "10248"}
OTHER = {"caller": "fulfillment", "reference": "10249", "order_id": "10249"}

CHAIRS = (DeclareSku(sku="chair"), ReceiveStock(sku="chair", quantity=5))
LAMPS = (DeclareSku(sku="lamp"), ReceiveStock(sku="lamp", quantity=1))
SHELF = (*CHAIRS, *LAMPS)


def reserve(**units: int) -> inventory.ReserveStock:
    lines = tuple(Line(sku=sku, quantity=quantity) for sku, quantity in units.items())
    return inventory.ReserveStock(**ASKED, lines=lines)


fetch = inventory.FetchGoods(**ASKED)
release = inventory.ReleaseStock(**ASKED)

reserved = inventory.StockReserved(**ASKED)
fetched = inventory.GoodsFetched(**ASKED)
missing = inventory.GoodsMissing(**ASKED, reason=NOTHING_RESERVED)
released = inventory.StockReleased(**ASKED)


def rejected(reason: str) -> inventory.StockRejected:
    return inventory.StockRejected(**ASKED, reason=reason)


def level(sku: str, *history: Message) -> tuple[int, int, int, int]:
    """Received, on hand, reserved, gone."""
    item = given(HANDLERS, *history).one(StockItem, StockItem.stream(sku))
    assert item is not None
    return item.received, item.on_hand, item.reserved, item.gone


def stock(sku: str, on_hand: int) -> StockLevel:
    return StockLevel(sku=sku, received=on_hand, on_hand=on_hand, reserved=0, gone=0)


def test_a_sku_is_declared_once() -> None:
    first = given(HANDLERS).when(DeclareSku(sku="chair"))
    again = given(HANDLERS, *CHAIRS).when(DeclareSku(sku="chair"))

    assert first.answer == Declaration(is_new=True, stock=stock("chair", 0))
    assert first.topics == ["inventory.StockItem.Declared"]
    assert again.answer == Declaration(is_new=False, stock=stock("chair", 5))
    assert again.topics == []


def test_what_comes_in_is_on_hand() -> None:
    when = given(HANDLERS, *CHAIRS).when(ReceiveStock(sku="chair", quantity=2, note="found two"))

    assert when.answer == stock("chair", 7)
    assert when.topics == ["inventory.StockItem.Received"]


def test_a_count_is_corrected_down_to_nothing_but_no_further() -> None:
    service = given(HANDLERS, *CHAIRS)

    with pytest.raises(Unprocessable, match="only 5 units of 'chair' are on hand") as refusal:
        service.when(ReceiveStock(sku="chair", quantity=-6))
    assert refusal.value.pointer == "/quantity"
    assert service.when(ReceiveStock(sku="chair", quantity=-5)).answer == stock("chair", 0)


def test_a_correction_takes_nothing_that_is_reserved() -> None:
    with pytest.raises(Unprocessable, match="only 1 units"):
        given(HANDLERS, *CHAIRS, reserve(chair=4)).when(ReceiveStock(sku="chair", quantity=-2))


def test_more_than_can_be_counted_does_not_come_in() -> None:
    with pytest.raises(Unprocessable) as refusal:
        given(HANDLERS, *CHAIRS).when(ReceiveStock(sku="chair", quantity=MAX_AMOUNT - 4))
    assert refusal.value.pointer == "/quantity"


def test_a_sku_that_is_not_declared_receives_nothing() -> None:
    with pytest.raises(NotFound, match="'chair'"):
        given(HANDLERS).when(ReceiveStock(sku="chair", quantity=1))


def test_goods_that_are_there_are_held() -> None:
    given(HANDLERS, *SHELF).when(reserve(chair=5, lamp=1)).then(reserved)
    assert level("chair", *SHELF, reserve(chair=3)) == (5, 2, 3, 0)


def test_one_thing_that_is_missing_holds_nothing_of_the_others() -> None:
    short = reserve(chair=2, lamp=2)

    given(HANDLERS, *SHELF).when(short).then(rejected(OUT_OF_STOCK))
    assert level("chair", *SHELF, short) == (5, 5, 0, 0)
    assert level("lamp", *SHELF, short) == (1, 1, 0, 0)


def test_an_unknown_sku_holds_nothing_of_the_others() -> None:
    strange = reserve(chair=2, sofa=1)

    given(HANDLERS, *SHELF).when(strange).then(rejected(UNKNOWN_SKU))
    assert level("chair", *SHELF, strange) == (5, 5, 0, 0)


def test_lines_of_one_sku_count_together() -> None:
    line = Line(sku="chair", quantity=3)
    twice = inventory.ReserveStock(**ASKED, lines=(line, line))

    given(HANDLERS, *CHAIRS).when(twice).then(rejected(OUT_OF_STOCK))
    more = ReceiveStock(sku="chair", quantity=1)
    given(HANDLERS, *CHAIRS, more).when(twice).then(reserved)
    assert level("chair", *CHAIRS, more, twice) == (6, 0, 6, 0)


def test_lines_of_one_sku_may_come_to_more_than_one_line_may_have() -> None:
    line = Line(sku="chair", quantity=MAX_QUANTITY)
    huge = inventory.ReserveStock(**ASKED, lines=(line, line))
    plenty = ReceiveStock(sku="chair", quantity=2 * MAX_QUANTITY)

    given(HANDLERS, *CHAIRS, plenty, huge).when(fetch).then(fetched)


def test_what_is_held_for_one_is_not_there_for_another() -> None:
    other = inventory.ReserveStock(**OTHER, lines=(Line(sku="chair", quantity=3),))

    given(HANDLERS, *CHAIRS, reserve(chair=3)).when(other).then(
        inventory.StockRejected(**OTHER, reason=OUT_OF_STOCK)
    )


def test_reserving_again_is_answered_with_what_was_decided() -> None:
    chairs, sofas = reserve(chair=3), reserve(sofa=1)

    given(HANDLERS, *CHAIRS, chairs).when(chairs).then_only_says(reserved)
    given(HANDLERS, *CHAIRS, chairs, fetch).when(chairs).then_only_says(reserved)
    given(HANDLERS, *CHAIRS, sofas, DeclareSku(sku="sofa")).when(sofas).then_only_says(
        rejected(UNKNOWN_SKU)
    )


def test_goods_that_are_held_can_be_fetched_and_are_gone() -> None:
    given(HANDLERS, *CHAIRS, reserve(chair=3)).when(fetch).then(fetched)
    assert level("chair", *CHAIRS, reserve(chair=3), fetch) == (5, 2, 0, 3)


def test_fetching_again_takes_nothing_more() -> None:
    given(HANDLERS, *CHAIRS, reserve(chair=3), fetch).when(fetch).then_only_says(fetched)


def test_goods_that_nobody_reserved_are_missing() -> None:
    given(HANDLERS, *CHAIRS).when(fetch).then_only_says(missing)
    given(HANDLERS, *CHAIRS, reserve(chair=6)).when(fetch).then_only_says(missing)
    given(HANDLERS, *CHAIRS, reserve(chair=3), release).when(fetch).then_only_says(missing)
    given(HANDLERS, *CHAIRS, release).when(fetch).then_only_says(missing)


def test_goods_that_are_held_are_put_back() -> None:
    given(HANDLERS, *CHAIRS, reserve(chair=3)).when(release).then(released)
    assert level("chair", *CHAIRS, reserve(chair=3), release) == (5, 5, 0, 0)


def test_goods_that_were_fetched_are_put_back() -> None:
    given(HANDLERS, *CHAIRS, reserve(chair=3), fetch).when(release).then(released)
    assert level("chair", *CHAIRS, reserve(chair=3), fetch, release) == (5, 5, 0, 0)


def test_releasing_again_puts_nothing_more_back() -> None:
    held = (*CHAIRS, reserve(chair=3))

    given(HANDLERS, *held, release).when(release).then_only_says(released)
    given(HANDLERS, *held, fetch, release).when(release).then_only_says(released)
    given(HANDLERS, *CHAIRS, reserve(chair=6)).when(release).then_only_says(released)


def test_nothing_is_held_once_it_was_released() -> None:
    chairs = reserve(chair=3)

    given(HANDLERS, *CHAIRS, chairs, release).when(chairs).then_only_says(rejected(RELEASED_BEFORE))


def test_a_release_before_the_reservation_bars_it() -> None:
    given(HANDLERS, *CHAIRS).when(release).then(released)
    given(HANDLERS, *CHAIRS, release).when(reserve(chair=3)).then_only_says(
        rejected(RELEASED_BEFORE)
    )
    given(HANDLERS, *CHAIRS, release).when(release).then_only_says(released)


def test_stock_and_reservation_keep_what_was_decided() -> None:
    held = given(HANDLERS, *CHAIRS, reserve(chair=3))
    both = ["inventory.Reservation.{}", "inventory.StockItem.{}"]

    assert given(HANDLERS, *CHAIRS).when(reserve(chair=3)).topics == [
        "inventory.Reservation.Made",
        "inventory.StockItem.Reserved",
    ]
    assert given(HANDLERS).when(reserve(chair=3)).topics == ["inventory.Reservation.Rejected"]
    assert given(HANDLERS).when(release).topics == ["inventory.Reservation.Barred"]
    assert held.when(fetch).topics == [topic.format("Fetched") for topic in both]
    assert held.when(release).topics == [
        "inventory.Reservation.Released",
        "inventory.StockItem.Returned",
    ]
    assert given(HANDLERS, *CHAIRS, reserve(chair=3)).when(release).topics == [
        topic.format("Released") for topic in both
    ]
