"""A command by hand fits its contract, or it is said where it does not, and nothing is sent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from contracts import inventory, payments
from stagepost.engine.by_hand import read_command, send_by_hand
from stagepost.engine.flow import Flow
from stagepost.errors import BadSettings

SERVICES = Flow().services
PAYMENT: dict[str, Any] = {
    "reference": "by-hand",
    "order_id": "by-hand",
    "amount": 2598,
    "currency": "EUR",
    "payment_token": "tok_ok",
}
LINES = [{"sku": "red-chair", "quantity": 1}]


def read(given: object, service: str = "payments", name: str = "RetrievePayment") -> Any:
    text = given if isinstance(given, str) else json.dumps(given)
    return read_command(SERVICES[service], name, text)


def refused(given: object, service: str = "payments", name: str = "RetrievePayment") -> str:
    with pytest.raises(BadSettings) as error:
        read(given, service, name)
    return str(error.value)


def test_the_operator_is_its_caller() -> None:
    command = payments.RetrievePayment(caller="operator", **PAYMENT)
    assert read(PAYMENT) == command
    assert read(PAYMENT | {"caller": "operator"}) == command
    assert read(PAYMENT, name="payments.RetrievePayment") == command


def test_what_has_lines_is_read_as_json_has_them() -> None:
    given = {"reference": "r", "order_id": "r", "lines": LINES}
    assert isinstance(read(given, "inventory", "ReserveStock"), inventory.ReserveStock)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amount": -1}, ["  /amount: Input should be greater than or equal to 0"]),
        ({"amount": "much"}, ["  /amount: Input should be a valid integer, unable to parse"]),
        ({"currency": "euro"}, ["  /currency: String should match pattern"]),
        ({"reference": "a\x00b"}, ["  /reference: String should match pattern"]),
        ({"discount": 1}, ["  /discount: there is no such field"]),
        ({"a/b~c": 1}, ["  /a~1b~0c: there is no such field"]),
        ({"amonut": 1}, ["  /amonut: there is no such field; did you mean amount?"]),
        ({"caller": "fulfillment"}, ["at /caller: who sends by hand is 'operator', and not 'fulf"]),
        ({"caller": 7}, ["at /caller: who sends by hand is 'operator', and not 7"]),
        (
            {"amount": None, "currency": 7},
            ["  /amount: Input should be a valid integer", "  /currency: Input should be a valid"],
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(changes: dict[str, Any], said: list[str]) -> None:
    text = refused(PAYMENT | changes)
    assert text.startswith("payments.RetrievePayment does not fit")
    for one in said:
        assert one in text


def test_what_is_missing_is_told_with_its_place() -> None:
    assert refused({}).splitlines() == [
        "payments.RetrievePayment does not fit:",
        *(f"  /{name}: Field required" for name in PAYMENT),
    ]


def test_in_a_list_the_item_is_named_and_not_the_list() -> None:
    given = {"reference": "r", "order_id": "r", "lines": [*LINES, {"sku": "x", "qty": 1}]}
    assert refused(given, "inventory", "ReserveStock").splitlines() == [
        "inventory.ReserveStock does not fit:",
        "  /lines/1/quantity: Field required",
        "  /lines/1/qty: there is no such field",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "must be given as JSON: "), ("[]", "as a JSON object"), ('"a"', "as a JSON object")],
)
def test_what_is_no_object_is_refused(text: str, said: str) -> None:
    assert said in refused(text)


@pytest.mark.parametrize(
    ("service", "name", "said"),
    [
        ("payments", "RetrievPayment", "did you mean RetrievePayment"),
        ("payments", "PaymentReceived", "payments alone tells PaymentReceived, nobody tells it"),
        ("payments", "PaymentReceived", "it takes RefundPayment, RetrievePayment"),
        ("payments", "ShipGoods", "there is no command to payments 'ShipGoods'"),
        ("loyalty", "PointsAwarded", "nobody commands it"),
        ("loyalty", "Award", "there is no command to loyalty 'Award'; there is none"),
    ],
)
def test_what_is_no_command_of_the_service_is_refused_with_what_is(
    service: str, name: str, said: str
) -> None:
    assert said in refused({}, service, name)


@pytest.mark.parametrize("default", ["http", "kafka"])
async def test_where_nats_reaches_nobody_the_ways_out_are_told(
    tmp_path: Path, default: str
) -> None:
    stack = {
        "pid": os.getpid(),
        "flow": {"style": "orchestrated", "transports": {"default": default}, "external": {}},
        "services": {name: {"url": f"http://{name}"} for name in SERVICES},
    }
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    with pytest.raises(BadSettings) as error:
        await send_by_hand(tmp_path, "payments", "RetrievePayment", json.dumps(PAYMENT))
    assert "nothing reaches payments so in this stack" in str(error.value)
    assert (
        "make up TRANSPORT=nats), or ask payments over HTTP, as http://payments/docs says"
        in str(error.value)
    )
