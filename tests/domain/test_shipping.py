"""Shipping, told as given, when, then."""

import pytest

from contracts import shipping
from contracts.values import Line
from services.shipping import carrier
from services.shipping.handlers import HANDLERS
from stagepost.errors import BadMessage
from stagepost.testing import given

ASKED = {"caller": "fulfillment", "reference": "10248", "order_id": "10248"}
CHAIRS = (Line(sku="red-chair", quantity=2),)

ship = shipping.ShipGoods(**ASKED, lines=CHAIRS, ship_to="1 Station Road, Reims")
dispatch = carrier.Dispatch(
    order_id="10248", reference="fulfillment/10248", lines=CHAIRS, ship_to="1 Station Road, Reims"
)
left = carrier.Dispatched(call=dispatch, accepted=True, tracking="trk-1")
turned_down = carrier.Dispatched(call=dispatch, accepted=False, reason="no such road")

shipped = shipping.GoodsShipped(**ASKED, tracking="trk-1")
refused = shipping.ShipmentRefused(**ASKED, reason="no such road")


def test_a_parcel_is_handed_to_the_carrier() -> None:
    given(HANDLERS).when(ship).then(dispatch)


def test_a_parcel_that_the_carrier_takes_is_shipped() -> None:
    given(HANDLERS, ship).when(left).then(shipped)


def test_a_parcel_that_the_carrier_refuses_stays_here() -> None:
    given(HANDLERS, ship).when(turned_down).then(refused)


def test_a_carrier_that_says_little_is_understood() -> None:
    taken = carrier.Dispatched(call=dispatch, accepted=True)
    not_taken = carrier.Dispatched(call=dispatch, accepted=False)

    given(HANDLERS, ship).when(taken).then(
        shipping.GoodsShipped(**ASKED, tracking="not given by the carrier")
    )
    given(HANDLERS, ship).when(not_taken).then(
        shipping.ShipmentRefused(**ASKED, reason="refused by the carrier")
    )


def test_asking_again_while_the_carrier_thinks_ships_no_second_parcel() -> None:
    given(HANDLERS, ship).when(ship).then_nothing()


def test_asking_again_is_answered_with_what_came_of_it() -> None:
    given(HANDLERS, ship, left).when(ship).then_only_says(shipped)
    given(HANDLERS, ship, turned_down).when(ship).then_only_says(refused)


def test_a_parcel_that_the_carrier_answers_twice_leaves_once() -> None:
    given(HANDLERS, ship, left).when(left).then_nothing()
    given(HANDLERS, ship, left).when(turned_down).then_nothing()


def test_the_carrier_is_asked_once_for_a_reference_whatever_caused_it() -> None:
    assert carrier.Dispatch.ONCE
    assert dispatch.lane == "fulfillment/10248"


def test_a_parcel_keeps_what_was_decided() -> None:
    assert given(HANDLERS).when(ship).topics == ["shipping.Parcel.Requested"]
    assert given(HANDLERS, ship).when(left).topics == ["shipping.Parcel.Shipped"]
    assert given(HANDLERS, ship).when(turned_down).topics == ["shipping.Parcel.Refused"]


def test_an_answer_for_a_parcel_that_nobody_asked_for_is_a_bad_message() -> None:
    with pytest.raises(BadMessage, match=r"shipping\.Dispatch was answered for"):
        given(HANDLERS).when(left)
