"""What the services show, folded from what happened."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from contracts import inventory, ordering, payments, shipping
from contracts.values import Line
from services.inventory import app as inventory_app
from services.inventory.requests import DeclareSku, ReceiveStock
from services.ordering.app import service as ordering_service
from services.ordering.order import OrderLine
from services.ordering.requests import PlaceOrder, RequestCancellation
from services.payments import provider
from services.payments.app import service as payments_service
from services.shipping import app as shipping_app
from services.shipping import carrier
from stagepost.aggregate import DomainEvent
from stagepost.engine.service import Service
from stagepost.messages import Message, example
from stagepost.testing import given
from stagepost.view import Recorded, Row, View

SERVICES = (ordering_service, payments_service, inventory_app.service, shipping_app.service)
VIEWS = [(service, view) for service in SERVICES for view in service.views]

ASKED = {"caller": "fulfillment", "reference": "10248", "order_id": "10248"}
START = datetime(2026, 1, 1, tzinfo=UTC)


def shown(service: Service, *history: Message) -> dict[str, list[Row]]:
    """Fold what the history made happen into the rows of each view, event by event."""
    story = given(service.handlers)
    happened = [event for message in history for event in story.when(message).happened]
    return {view.name: fold(view, happened) for view in service.views}


def fold(view: View[Any], happened: Sequence[DomainEvent]) -> list[Row]:
    rows: dict[str, Row] = {}
    for position, event in zip(count(1), happened, strict=False):
        key = view.key_of(event)
        if key is not None:
            recorded = Recorded(position, START + timedelta(seconds=position), event)
            rows[key] = view.fold(rows.get(key), recorded)
            assert str(getattr(rows[key], view.key)) == key
    return list(rows.values())


def said(row: Row, *names: str) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in names)


place = PlaceOrder(
    order_id="10248",
    customer_id="VINET",
    lines=(OrderLine(sku="red-chair", quantity=2, unit_price="1299"),),
    currency="EUR",
    payment_token="tok_ok",
    ship_to="1 Station Road, Reims",
)
cancel = RequestCancellation(order_id="10248")
confirm = ordering.ConfirmOrder(**ASKED)
reject = ordering.RejectOrder(**ASKED, reason="out of stock")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ((place,), ("placed", None, "none", None)),
        ((place, cancel), ("placed", None, "requested", None)),
        ((place, confirm), ("confirmed", None, "none", START + timedelta(seconds=2))),
        ((place, cancel, confirm), ("confirmed", None, "too_late", START + timedelta(seconds=3))),
        ((place, reject), ("rejected", "out of stock", "none", START + timedelta(seconds=2))),
        (
            (place, cancel, reject),
            ("rejected", "out of stock", "done", START + timedelta(seconds=3)),
        ),
    ],
)
def test_orders_show_how_they_stand(
    history: Sequence[Message], expected: tuple[object, ...]
) -> None:
    (row,) = shown(ordering_service, *history)["orders"]

    assert said(row, "status", "reason", "cancellation", "ended_at") == expected
    assert said(row, "order_id", "customer_id", "amount", "currency") == (
        "10248",
        "VINET",
        2598,
        "EUR",
    )
    assert said(row, "position", "placed_at") == (1, START + timedelta(seconds=1))


def test_orders_stand_where_they_were_placed_whatever_happens_later() -> None:
    second = place.model_copy(update={"order_id": "10249"})

    rows = shown(ordering_service, place, second, confirm)["orders"]

    assert [said(row, "order_id", "position") for row in rows] == [("10248", 1), ("10249", 2)]


retrieve = payments.RetrievePayment(**ASKED, amount=2598, currency="EUR", payment_token="tok_ok")
refund = payments.RefundPayment(**ASKED)
charge = provider.Charge(
    order_id="10248",
    reference="fulfillment/10248",
    amount=2598,
    currency="EUR",
    payment_token="tok_ok",
)
ask_back = provider.Refund(order_id="10248", reference="fulfillment/10248", owed=(0, 2598))
charged = provider.Charged(call=charge, accepted=True, charge_id="ch-1")
refused = provider.Charged(call=charge, accepted=False, reason="no funds")
given_back = provider.Refunded(call=ask_back, amount=2598)
nothing_given_back = provider.Refunded(call=ask_back, amount=0)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ((retrieve,), ("requested", 2598, 0, 0, "EUR", None)),
        ((retrieve, charged), ("received", 2598, 2598, 0, "EUR", None)),
        ((retrieve, refused), ("declined", 2598, 0, 0, "EUR", "no funds")),
        ((retrieve, charged, refund), ("refunding", 2598, 2598, 0, "EUR", None)),
        ((retrieve, charged, refund, given_back), ("refunded", 2598, 2598, 2598, "EUR", None)),
        # The charge's answer never came: what was given back had been taken all the same.
        ((retrieve, refund, given_back), ("refunded", 2598, 2598, 2598, "EUR", None)),
        ((retrieve, refund, nothing_given_back), ("refunded", 2598, 0, 0, "EUR", None)),
        ((refund,), ("barred", 0, 0, 0, None, None)),
    ],
)
def test_payments_show_what_was_taken_and_given_back(
    history: Sequence[Message], expected: tuple[object, ...]
) -> None:
    (row,) = shown(payments_service, *history)["payments"]

    assert said(row, "id", "order_id") == ("fulfillment/10248", "10248")
    assert said(row, "status", "amount", "received", "refunded", "currency", "reason") == expected


chairs = (DeclareSku(sku="chair"), ReceiveStock(sku="chair", quantity=5))
reserve = inventory.ReserveStock(**ASKED, lines=(Line(sku="chair", quantity=3),))
too_many = inventory.ReserveStock(**ASKED, lines=(Line(sku="chair", quantity=6),))
fetch = inventory.FetchGoods(**ASKED)
release = inventory.ReleaseStock(**ASKED)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (chairs[:1], (0, 0, 0, 0)),
        (chairs, (5, 5, 0, 0)),
        ((*chairs, ReceiveStock(sku="chair", quantity=-2)), (3, 3, 0, 0)),
        ((*chairs, reserve), (5, 2, 3, 0)),
        ((*chairs, too_many), (5, 5, 0, 0)),
        ((*chairs, reserve, fetch), (5, 2, 0, 3)),
        ((*chairs, reserve, release), (5, 5, 0, 0)),
        ((*chairs, reserve, fetch, release), (5, 5, 0, 0)),
    ],
)
def test_stock_shows_where_the_units_are(
    history: Sequence[Message], expected: tuple[int, ...]
) -> None:
    (row,) = shown(inventory_app.service, *history)["stock"]

    assert said(row, "received", "on_hand", "reserved", "gone") == expected


@pytest.mark.parametrize(
    ("history", "status", "reason", "units"),
    [
        ((*chairs, reserve), "reserved", None, 3),
        ((*chairs, too_many), "rejected", "out of stock", 6),
        ((*chairs, reserve, fetch), "fetched", None, 3),
        ((*chairs, reserve, fetch, release), "released", None, 3),
        ((*chairs, release), "barred", None, 0),
    ],
)
def test_reservations_show_what_is_held(
    history: Sequence[Message], status: str, reason: str | None, units: int
) -> None:
    (row,) = shown(inventory_app.service, *history)["reservations"]

    assert said(row, "id", "order_id") == ("fulfillment/10248", "10248")
    assert said(row, "status", "reason") == (status, reason)
    assert sum(line["quantity"] for line in row.model_dump()["lines"]) == units


ship = shipping.ShipGoods(
    **ASKED,
    lines=(Line(sku="chair", quantity=3), Line(sku="lamp", quantity=1)),
    ship_to="1 Station Road, Reims",
)
dispatch = carrier.Dispatch(
    order_id="10248", reference="fulfillment/10248", lines=ship.lines, ship_to=ship.ship_to
)
left = carrier.Dispatched(call=dispatch, accepted=True, tracking="trk-1")
turned_down = carrier.Dispatched(call=dispatch, accepted=False, reason="no such road")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ((ship,), ("requested", None, None)),
        ((ship, left), ("shipped", "trk-1", None)),
        ((ship, turned_down), ("refused", None, "no such road")),
    ],
)
def test_parcels_show_whether_they_left(
    history: Sequence[Message], expected: tuple[object, ...]
) -> None:
    (row,) = shown(shipping_app.service, *history)["parcels"]

    assert said(row, "id", "order_id", "units") == ("fulfillment/10248", "10248", 4)
    assert said(row, "status", "tracking", "reason") == expected


def test_what_was_only_heard_of_an_order_is_shown_nowhere() -> None:
    ours = ordering.of_order("10248")
    placed = example(ordering.OrderPlaced, order_id="10248")
    paid = payments.PaymentReceived(**ours, amount=2598, currency="EUR")
    fetched = inventory.GoodsFetched(**ours)

    assert shown(inventory_app.choreographed, paid)["reservations"] == []
    assert shown(shipping_app.choreographed, placed)["parcels"] == []
    (row,) = shown(shipping_app.choreographed, placed, fetched)["parcels"]
    assert said(row, "id", "order_id", "status") == ("ordering/10248", "10248", "requested")


@pytest.mark.parametrize(("service", "view"), VIEWS, ids=[view.name for _, view in VIEWS])
def test_a_view_has_a_row_field_for_each_column_of_its_table(
    service: Service, view: View[Any]
) -> None:
    assert list(view.row.model_fields) == columns(service.sql, view.name)


@pytest.mark.parametrize(("service", "view"), VIEWS, ids=[view.name for _, view in VIEWS])
def test_a_view_can_be_loaded_and_saved(service: Service, view: View[Any]) -> None:
    statements = (service.sql / "queries.sql").read_text()

    assert f"-- name: load_{view.name}\n" in statements
    assert f"-- name: save_{view.name}\n" in statements


def columns(sql: Path, table: str) -> list[str]:
    """Read the names of a table's columns from the service's migrations."""
    text = "\n".join(path.read_text() for path in sorted(sql.glob("[0-9]*.sql")))
    created = re.search(rf"CREATE TABLE {table} \((.*?)^\);", text, re.MULTILINE | re.DOTALL)
    assert created is not None
    return re.findall(
        r"^  ([a-z_]+) (?:uuid|text|bigint|jsonb|timestamptz)", created[1], re.MULTILINE
    )
