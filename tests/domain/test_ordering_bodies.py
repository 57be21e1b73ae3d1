"""What ordering reads from the bodies and headers of requests."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from services.ordering.bodies import NewLine, NewOrder

BODY = """{
    "customer_id": "VINET",
    "lines": [{"sku": "red-chair", "quantity": 2, "unit_price": "1260.5"}],
    "currency": "EUR", "payment_token": "tok_ok", "ship_to": "1 Station Road, Reims"
}"""


def line(unit_price: str) -> NewLine:
    return NewLine.model_validate_json(
        f'{{"sku": "red-chair", "quantity": 1, "unit_price": {unit_price}}}', strict=True
    )


@pytest.mark.parametrize(
    ("written", "price"),
    [
        ("1299", "1299"),
        ("1300", "1300"),
        ("0", "0"),
        ("1260.5", "1260.5"),
        ("1e-7", "0"),
        ("1.0000005", "1"),
        ("1e12", "1000000000000"),
        ('"1299"', "1299"),
        ('"1260.500"', "1260.5"),
        ('"0.000001"', "0.000001"),
        ('"999999999999.999999"', "999999999999.999999"),
    ],
)
def test_a_price_is_read_with_the_decimals_it_needs(written: str, price: str) -> None:
    assert str(line(written).unit_price) == price


@pytest.mark.parametrize(
    "written",
    [
        *("-1", "1000000000000.1", "1e13", "1e400", "NaN", "Infinity", "true", "null", "[]", "{}"),
        *('""', '"-1"', '"1e3"', '"1."', '".5"', '"0.0000001"', '"1299 "', '"1299\\n"', '"NaN"'),
        *('"1000000000000"', '"\\u0661"'),
    ],
)
def test_what_is_no_price_is_refused_at_the_field(written: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        line(written)
    (fault,) = refusal.value.errors()
    assert fault["loc"] == ("unit_price",)
    assert fault["msg"].startswith("Input should be a number from 0 to 1000000000000, or ")


def test_a_price_means_the_same_however_it_is_written() -> None:
    assert line("1260.5").model_dump_json() == line('"1260.50"').model_dump_json()


def test_an_order_without_an_id_is_given_one() -> None:
    request = NewOrder.model_validate_json(BODY, strict=True).as_request("new-id")

    assert request.order_id == "new-id"
    assert request.lines[0].unit_price == Decimal("1260.5")


def test_an_order_keeps_the_id_that_its_client_gave() -> None:
    own = BODY.replace("{", '{"order_id": "10248",', 1)

    assert NewOrder.model_validate_json(own, strict=True).as_request("new-id").order_id == "10248"
