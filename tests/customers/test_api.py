"""Customers over HTTP: registered once, an address for each, changed by who has seen them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from stagepost.engine.transports.memory import MemoryBroker
from tests.conftest import NewDatabase
from tests.customers.shop import Running, running


@pytest.fixture
async def customers(new_database: NewDatabase) -> AsyncIterator[Running]:
    database = await new_database("customers")
    async with running("customers", database.service, MemoryBroker()) as service:
        yield service


async def test_who_registers_can_be_read_under_their_address(customers: Running) -> None:
    answer = await customers.register()
    assert (answer.status_code, answer.json()) == (201, {"customer_id": "ada"})
    assert answer.headers["Location"] == "/customers/ada"
    assert await customers.see("/customers/ada") == {
        "customer_id": "ada",
        "name": "Ada Lovelace",
        "email": "ada@example.org",
    }


async def test_the_same_customer_twice_is_registered_once(customers: Running) -> None:
    assert [(await customers.register()).status_code for _ in range(2)] == [201, 201]
    assert (await customers.register(name="Eve")).status_code == 409


async def test_a_repetition_gets_the_first_answer_whatever_the_customer_has_become(
    customers: Running,
) -> None:
    await customers.register()
    assert await change(customers, "*", name="Ada King", email="king@example.org") == 200

    again = await customers.register()
    assert (again.status_code, again.json()) == (201, {"customer_id": "ada"})
    other = await customers.register(name="Ada King", email="king@example.org")
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (409, "/customer_id")
    assert (await customers.see("/customers/ada"))["name"] == "Ada King"


async def test_one_key_registers_one_customer_without_an_id_of_its_own(customers: Running) -> None:
    body = {"name": "Ada Lovelace", "email": "ada@example.org"}
    key = {"Idempotency-Key": "once"}
    first, second = [
        await customers.client.post("/customers", json=body, headers=key) for _ in range(2)
    ]
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    other = await customers.client.post("/customers", json=body | {"name": "Eve"}, headers=key)
    assert other.status_code == 422


async def test_of_many_at_once_one_has_the_address_at_whatever_instance(
    new_database: NewDatabase,
) -> None:
    database, broker = await new_database("customers"), MemoryBroker()
    async with (
        running("customers", database.service, broker) as one,
        running("customers", database.service, broker, holder="2") as other,
    ):
        answers = await asyncio.gather(
            *(who.register(f"c{n}-{who is one}") for n in range(10) for who in (one, other))
        )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201, *[409] * 19]
    refusal = next(answer for answer in answers if answer.status_code == 409)
    assert refusal.json()["errors"][0]["pointer"] == "/email"
    assert "example.org" not in refusal.text


async def test_a_customer_is_sent_again_only_when_they_have_changed(customers: Running) -> None:
    await customers.register()
    seen = await customers.client.get("/customers/ada")
    again = await customers.client.get(
        "/customers/ada", headers={"If-None-Match": seen.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


async def change(customers: Running, if_match: str | None, **what: str) -> int:
    headers = {} if if_match is None else {"If-Match": if_match}
    answer = await customers.client.patch("/customers/ada", json=what, headers=headers)
    return answer.status_code


async def test_a_change_must_say_what_was_seen(customers: Running) -> None:
    await customers.register()
    etag = (await customers.client.get("/customers/ada")).headers["ETag"]
    assert await change(customers, None, name="Eve") == 428
    assert await change(customers, '"7"', name="Eve") == 412
    assert await change(customers, f"W/{etag}", name="Eve") == 412
    assert (await customers.see("/customers/ada"))["name"] == "Ada Lovelace"
    assert await change(customers, f'"7", {etag}', name="Ada King") == 200
    assert await change(customers, etag, name="Eve") == 412
    assert await change(customers, "*", email="king@example.org") == 200
    assert await customers.see("/customers/ada") == {
        "customer_id": "ada",
        "name": "Ada King",
        "email": "king@example.org",
    }


async def test_a_change_answers_with_the_tag_that_the_next_one_needs(customers: Running) -> None:
    await customers.register()
    answer = await customers.client.patch(
        "/customers/ada", json={"name": "Ada King"}, headers={"If-Match": "*"}
    )
    assert await change(customers, answer.headers["ETag"], name="Countess of Lovelace") == 200


async def test_of_two_who_saw_the_same_one_changes_it(customers: Running) -> None:
    await customers.register()
    etag = (await customers.client.get("/customers/ada")).headers["ETag"]
    statuses = await asyncio.gather(*(change(customers, etag, name=f"Ada {n}") for n in range(8)))
    assert sorted(statuses) == [200, *[412] * 7]


async def test_an_unknown_customer_is_not_found(customers: Running) -> None:
    assert await change(customers, "*", name="Eve") == 404
    for path in ("/customers/ada", "/customers/ada/onboarding"):
        assert (await customers.client.get(path)).status_code == 404


@pytest.mark.parametrize(
    "more", [{"email": "ada"}, {"name": ""}, {"name": "a\nb"}, {"age": 3}, {"customer_id": "../a"}]
)
async def test_bad_input_is_refused_and_not_repeated(
    customers: Running, more: dict[str, object]
) -> None:
    answer = await customers.register(**({"name": "Very Personal"} | more))
    assert answer.status_code == 400
    assert "Personal" not in answer.text
    assert "ada@" not in answer.text
