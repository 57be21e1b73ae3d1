"""Orders from the first request to the end, over HTTP, on the whole stack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from stagepost.engine.stack import Stack
from tests.journeys.customer import Customer


@pytest.fixture
async def customer(stack: Stack) -> AsyncIterator[Customer]:
    async with aiohttp.ClientSession(headers=stack.headers) as http:
        ada = Customer(http, stack)
        await ada.receive("chair", 1000)
        yield ada


async def test_an_order_is_paid_fetched_shipped_and_confirmed(customer: Customer) -> None:
    await customer.receive("stool", 5)
    order_id = await customer.order("stool", 3)

    order = await customer.until_ended(order_id)

    assert (order["status"], order["amount"]) == ("confirmed", 3752)
    assert await customer.paid(order_id) == 3752
    assert await customer.stock("stool") == {"on_hand": 2, "reserved": 0, "gone": 3}
    process = await customer.see("fulfillment", f"/processes/{order_id}")
    assert (process["state"], process["remaining"]) == ("Confirmed", [])
    heard = {entry["id"] for entry in process["journal"]}
    caused = [e["causation"] for e in process["journal"] if e["direction"] == "out"]
    assert set(caused) <= heard


async def test_a_declined_card_gives_the_stock_back(customer: Customer) -> None:
    await customer.receive("bench", 5)
    order_id = await customer.order("bench", 2, payment_token="tok_declined")

    order = await customer.until_ended(order_id)

    assert (order["status"], order["reason"]) == ("rejected", "declined by the bank")
    assert await customer.stock("bench") == {"on_hand": 5, "reserved": 0, "gone": 0}
    assert await customer.paid(order_id) == 0


async def test_what_is_not_in_stock_gives_the_money_back(customer: Customer) -> None:
    order_id = await customer.order("chair", 100_000)

    order = await customer.until_ended(order_id)

    assert (order["status"], order["reason"]) == ("rejected", "stock: out of stock")
    assert await customer.paid(order_id) == 0


async def test_an_unknown_sku_rejects(customer: Customer) -> None:
    order = await customer.until_ended(await customer.order("unicorn"))
    assert (order["status"], order["reason"]) == ("rejected", "stock: unknown SKU")


async def test_a_refused_parcel_comes_back_with_the_money(customer: Customer) -> None:
    await customer.receive("lamp", 4)
    order_id = await customer.order("lamp", 4, ship_to="REFUSED, Nowhere")

    order = await customer.until_ended(order_id)

    assert order["status"] == "rejected"
    assert await customer.stock("lamp") == {"on_hand": 4, "reserved": 0, "gone": 0}
    assert await customer.paid(order_id) == 0


@pytest.mark.parametrize("token", ["tok_slow", "tok_down"])
async def test_a_provider_that_does_not_answer_in_time_gets_nothing_of_it(
    customer: Customer, token: str
) -> None:
    order_id = await customer.order(payment_token=token)

    order = await customer.until_ended(order_id)

    assert (order["status"], order["reason"]) == ("rejected", "timed out waiting for payment")
    assert await customer.paid(order_id) == 0


async def test_a_charge_whose_answer_is_lost_is_taken_once_or_given_back(
    customer: Customer,
) -> None:
    order_id = await customer.order(payment_token="tok_lost_answer")

    order = await customer.until_ended(order_id)

    due = order["amount"] if order["status"] == "confirmed" else 0
    assert await customer.paid(order_id) == due
    ledger = await customer.see("outside", "/provider/ledger?limit=500")
    charges = [e for e in ledger["items"] if e["order_id"] == order_id and e["kind"] == "charge"]
    assert len(charges) == 1


async def test_a_cancellation_before_the_parcel_left_undoes_all(customer: Customer) -> None:
    order_id = await customer.order(payment_token="tok_slow")
    await customer.until_in(order_id, "AwaitingPayment")

    assert await customer.cancel(order_id) == 202

    order = await customer.until_ended(order_id)
    assert (order["status"], order["reason"]) == ("rejected", "cancelled by the customer")
    assert order["cancellation"] == "done"
    assert await customer.paid(order_id) == 0


async def test_a_cancellation_with_the_carrier_has_no_effect_once_it_shipped(
    customer: Customer,
) -> None:
    order_id = await customer.order(ship_to="SLOW lane 1")
    await customer.until_in(order_id, "Shipping")

    assert await customer.cancel(order_id) == 202

    order = await customer.until_ended(order_id)
    assert (order["status"], order["cancellation"]) == ("confirmed", "too_late")
    assert await customer.paid(order_id) == order["amount"]
    assert await customer.cancel(order_id) == 409


async def test_an_operator_gives_a_stuck_order_up(customer: Customer) -> None:
    order_id = await customer.order(payment_token="tok_slow")
    await customer.until_in(order_id, "AwaitingPayment")

    url = f"{customer.stack.url('fulfillment')}/processes/{order_id}/cancel"
    async with customer.http.post(url) as answer:
        assert answer.status == 202

    order = await customer.until_ended(order_id)
    assert (order["status"], order["reason"]) == ("rejected", "cancelled by the operator")
