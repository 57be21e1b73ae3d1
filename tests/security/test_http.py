"""Who may do what over HTTP, on a shop that runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import httpx
import jwt
import pytest

from stagepost.engine.backfill import wanted_of
from stagepost.engine.discovery import find_services
from stagepost.engine.roles import Role
from stagepost.engine.tokens import ALGORITHM, Issuer, bearer
from stagepost.engine.transports.http_envelope import write_binary
from tests.security.site import Site, a_name, charge_for, order_of

SERVICES = sorted(find_services())
PEOPLE = [Role.CUSTOMER, Role.STAFF]
every_service = pytest.mark.parametrize("service", SERVICES)


def is_problem(answer: httpx.Response, status: int) -> bool:
    return answer.status_code == status and "problem+json" in answer.headers["content-type"]


# Tokens


@every_service
async def test_nothing_that_is_guarded_answers_without_a_token_of_ours(
    site: Site, service: str
) -> None:
    expired = {"sub": "ops", "role": "operator", "iat": 1, "exp": 2}
    stranger = Issuer("a secret that is not the one of this shop").token(Role.OPERATOR, "eve", 1)
    shown = [
        {},
        bearer(stranger),
        bearer(jwt.encode(expired, site.issuer._key, ALGORITHM)),
        bearer(jwt.encode(expired | {"exp": 2**32}, site.issuer.public_key, "HS256")),
    ]
    async with site.asked_with({}, service) as client:
        document = (await client.get("/schema/openapi.json")).json()
    tried = 0
    for headers in shown:
        async with site.asked_with(headers, service) as client:
            for path, methods in document["paths"].items():
                for method, operation in methods.items():
                    if "security" not in operation:
                        continue
                    answer = await client.request(method, path.replace("{", "").replace("}", ""))
                    assert is_problem(answer, 401), (method, path, headers)
                    tried += 1
    assert tried >= 4 * 5


async def test_a_token_that_was_altered_is_none(site: Site) -> None:
    head, _, signature = site.issuer.token(Role.CUSTOMER, "ada", days=1).split(".")
    _, other, _ = Issuer("a secret that is not the one of this shop").token(
        Role.OPERATOR, "ada", days=1
    ).split(".")  # fmt: skip
    async with site.asked_with(bearer(f"{head}.{other}.{signature}")) as client:
        assert is_problem(await client.get("/journal"), 401)


# Customers


async def test_a_customer_sees_and_cancels_only_their_own_orders(site: Site) -> None:
    ada, bob, order = a_name("ada"), a_name("bob"), a_name("order")
    async with (
        site.asked_by(Role.CUSTOMER, ada) as as_ada,
        site.asked_by(Role.CUSTOMER, bob) as as_bob,
        site.asked_by(Role.STAFF, "desk") as as_staff,
    ):
        assert is_problem(await as_bob.post("/orders", json=order_of(ada, order)), 403)
        assert (await as_ada.post("/orders", json=order_of(ada, order))).status_code == 202
        assert (await as_ada.get(f"/orders/{order}")).json()["customer_id"] == ada
        assert (await as_staff.get(f"/orders/{order}")).status_code == 200

        missing = await as_bob.get(f"/orders/{a_name('order')}")
        foreign = await as_bob.get(f"/orders/{order}")
        assert is_problem(missing, 404)
        assert is_problem(foreign, 404)
        assert foreign.headers.keys() == missing.headers.keys()
        etag = (await as_ada.get(f"/orders/{order}")).headers["etag"]
        known = await as_bob.get(f"/orders/{order}", headers={"If-None-Match": etag})
        assert is_problem(known, 404)
        assert is_problem(await as_bob.post(f"/orders/{order}/cancellation"), 404)

        async with asyncio.timeout(30):  # the list follows within moments
            while not (await as_ada.get("/orders")).json()["items"]:
                await asyncio.sleep(0.05)
        assert {row["customer_id"] for row in (await as_ada.get("/orders")).json()["items"]} == {
            ada
        }
        assert (await as_bob.get("/orders")).json()["items"] == []
        of_status = await as_ada.get("/orders", params={"status": "placed", "after": 0})
        assert {row["customer_id"] for row in of_status.json()["items"]} <= {ada}


async def test_a_customer_sees_and_changes_only_themselves(site: Site) -> None:
    ada, bob = a_name("ada"), a_name("bob")
    body = {"name": "Ada Lovelace", "email": f"{ada}@example.org"}
    async with (
        site.asked_by(Role.CUSTOMER, ada, "customers") as as_ada,
        site.asked_by(Role.CUSTOMER, bob, "customers") as as_bob,
        site.asked_by(Role.SERVICE, "notifications", "customers") as as_service,
    ):
        assert is_problem(await as_bob.post("/customers", json=body | {"customer_id": ada}), 403)
        registered = await as_ada.post("/customers", json=body)
        assert registered.json()["customer_id"] == ada
        assert (await as_ada.get(f"/customers/{ada}")).json()["name"] == "Ada Lovelace"
        assert (await as_service.get(f"/customers/{ada}")).status_code == 200
        for other in {*SERVICES, "somebody"} - {"notifications"}:
            async with site.asked_by(Role.SERVICE, other, "customers") as as_other:
                assert is_problem(await as_other.get(f"/customers/{ada}"), 403), other
        for path in (f"/customers/{ada}", f"/customers/{ada}/onboarding"):
            assert is_problem(await as_bob.get(path), 404), path
        change = {"json": {"name": "Bob"}, "headers": {"If-Match": '"1"'}}
        assert is_problem(await as_bob.patch(f"/customers/{ada}", **change), 404)
        assert is_problem(await as_service.patch(f"/customers/{ada}", **change), 403)
        assert (await as_ada.get(f"/customers/{ada}")).json()["name"] == "Ada Lovelace"


async def test_what_a_customer_was_answered_is_told_to_nobody_else(site: Site) -> None:
    """The body does not say who registers: with another's key it would be answered as theirs."""
    ada, bob = a_name("ada"), a_name("bob")
    key = {"Idempotency-Key": a_name("key")}
    body = {"name": "Ada Lovelace", "email": f"{ada}@example.org"}
    async with (
        site.asked_by(Role.CUSTOMER, ada, "customers") as as_ada,
        site.asked_by(Role.CUSTOMER, bob, "customers") as as_bob,
    ):
        for _ in range(2):
            answer = await as_ada.post("/customers", json=body, headers=key)
            assert answer.json() == {"customer_id": ada}
        refused = await as_bob.post("/customers", json=body, headers=key)
        assert is_problem(refused, 409)  # the address is Ada's
        assert ada not in refused.text
        own = body | {"email": f"{bob}@example.org"}
        answer = await as_bob.post("/customers", json=own, headers=key)
        assert (answer.status_code, answer.json()) == (201, {"customer_id": bob})


async def test_a_key_is_their_own_of_whoever_asks_by_whatever_token(site: Site) -> None:
    ada, key = a_name("ada"), {"Idempotency-Key": a_name("key")}
    order = {name: value for name, value in order_of(ada, "").items() if name != "order_id"}
    placed = []
    for role, name, days in (
        (Role.CUSTOMER, ada, 1),
        (Role.CUSTOMER, ada, 2),  # the same, with another token
        (Role.STAFF, ada, 1),
        (Role.STAFF, "desk", 1),
        (Role.OPERATOR, "desk", 1),
    ):
        shown = bearer(site.issuer.token(role, name, days))
        async with site.asked_with(shown) as client:
            answer = await client.post("/orders", json=order, headers=key)
            assert answer.status_code == 202
            placed.append(answer.json()["order_id"])
    assert placed[0] == placed[1]
    assert len(set(placed)) == 4


async def test_a_customer_sees_only_their_own_points_and_mails(site: Site) -> None:
    ada, bob = a_name("ada"), a_name("bob")
    body = {"name": "Ada Lovelace", "email": f"{ada}@example.org"}
    async with site.asked_by(Role.CUSTOMER, ada, "customers") as client:
        assert (await client.post("/customers", json=body)).status_code == 201
    async with (
        site.asked_by(Role.CUSTOMER, ada, "loyalty") as points,
        site.asked_by(Role.CUSTOMER, bob, "loyalty") as others_points,
        site.asked_by(Role.CUSTOMER, ada, "notifications") as mails,
        site.asked_by(Role.CUSTOMER, bob, "notifications") as others_mails,
    ):
        async with asyncio.timeout(30):
            while not (await points.get(f"/accounts/{ada}")).is_success:
                await asyncio.sleep(0.05)
            while not (await mails.get("/notifications")).json()["items"]:
                await asyncio.sleep(0.05)
        assert is_problem(await others_points.get(f"/accounts/{ada}"), 404)
        assert (await others_mails.get("/notifications")).json()["items"] == []
        named = await others_mails.get("/notifications", params={"customer_id": ada})
        assert is_problem(named, 403)
        shown = (await mails.get("/notifications")).json()["items"]
        assert {row["customer_id"] for row in shown} == {ada}


# Operators, staff, services


@every_service
async def test_journals_and_dead_letters_are_for_operators(site: Site, service: str) -> None:
    paths = ("/journal", "/dead-letters", "/lease", "/metrics")
    async with site.asked_by(Role.OPERATOR, "ops", service) as client:
        assert {(await client.get(path)).status_code for path in paths} == {200}
    for role in (*PEOPLE, Role.SERVICE):
        async with site.asked_by(role, "fulfillment", service) as client:
            for path in paths:
                assert is_problem(await client.get(path), 403), (role, path)


async def test_process_actions_are_for_operators(site: Site) -> None:
    if "fulfillment" not in site.urls:
        pytest.skip("nobody owns an outcome here")
    calls = [("GET", ""), ("GET", "/x"), ("POST", "/x/retry"), ("POST", "/x/cancel")]
    for role in (*PEOPLE, Role.SERVICE):
        async with site.asked_by(role, "ordering", "fulfillment") as client:
            for method, path in calls:
                answer = await client.request(method, f"/processes{path}")
                assert is_problem(answer, 403), (role, method, path)
    async with site.asked_by(Role.OPERATOR, "ops", "fulfillment") as client:
        assert is_problem(await client.post("/processes/no-such-order/retry"), 404)


@every_service
async def test_services_read_of_a_feed_what_they_have_declared(site: Site, service: str) -> None:
    services = find_services()
    for reader in {*SERVICES, "somebody"}:
        declared = wanted_of(services[reader], services[service]) if reader in services else set()
        async with site.asked_by(Role.SERVICE, reader, service) as client:
            assert is_problem(await client.get("/feed?limit=1"), 403), reader
            for message in services[service].sends:
                answer = await client.get("/feed", params={"limit": 1, "types": message.TYPE})
                assert answer.status_code == (200 if message.TYPE in declared else 403), reader


@every_service
async def test_operators_read_a_feed_and_people_do_not(site: Site, service: str) -> None:
    for role, status in ((Role.OPERATOR, 200), *((person, 403) for person in PEOPLE)):
        async with site.asked_by(role, "somebody", service) as client:
            assert (await client.get("/feed?limit=1")).status_code == status, role


async def test_a_service_brings_its_own_commands_only(site: Site) -> None:
    order = a_name("forged")
    envelope = charge_for(order)
    for name in {*SERVICES, "somebody"} - {"fulfillment"}:  # nobody else declares that it charges
        own = replace(envelope, id=uuid4(), source=name)
        async with site.asked_by(Role.SERVICE, name, "payments") as client:
            answer = await client.post("/commands", content=own.body, headers=write_binary(own))
            assert is_problem(answer, 403), name
    forgers = [(role, "fulfillment") for role in (*PEOPLE, Role.OPERATOR)]
    for role, name in [*forgers, (Role.SERVICE, "shipping"), (Role.SERVICE, "payments")]:
        async with site.asked_by(role, name, "payments") as client:
            answer = await client.post(
                "/commands", content=envelope.body, headers=write_binary(envelope)
            )
            assert is_problem(answer, 403), (role, name)
    async with site.asked_by(Role.OPERATOR, "ops", "payments") as client:
        journal = await client.get("/journal", params={"order_id": order})
        assert journal.json()["items"] == []


async def test_stock_payments_and_parcels_are_not_for_customers(site: Site) -> None:
    calls = [
        ("inventory", "GET", "/stock"),
        ("inventory", "PUT", "/stock/gold"),
        ("inventory", "POST", "/stock/gold/receipts"),
        ("payments", "GET", "/payments/x"),
        ("shipping", "GET", "/shipments/x"),
    ]
    for service, method, path in calls:
        async with site.asked_by(Role.CUSTOMER, "ada", service) as client:
            assert is_problem(await client.request(method, path), 403), path
        async with site.asked_by(Role.STAFF, "desk", service) as client:
            assert (await client.request(method, path)).status_code != 403, path


# Limits, headers, what leaves


async def test_who_asks_too_much_is_told_to_wait(site: Site) -> None:
    async with site.asked_by(Role.CUSTOMER, a_name("eager")) as client:
        answers = await asyncio.gather(*(client.get("/orders/none") for _ in range(250)))
        refused = [answer for answer in answers if answer.status_code != 404]
        assert refused
        assert all(is_problem(answer, 429) for answer in refused)
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        await asyncio.sleep(1)
        assert (await client.get("/orders/none")).status_code == 404


async def test_a_body_has_a_limit(site: Site) -> None:
    async with site.asked_by(Role.OPERATOR, "ops") as client:
        headers = {"Content-Type": "application/json"}
        answer = await client.post("/orders", content=b" " * (2**20 + 1), headers=headers)
        assert is_problem(answer, 413)


@every_service
async def test_no_answer_tells_what_the_service_is_made_of(site: Site, service: str) -> None:
    strange = ["/%00", "/health/ready?x=1", "/journal?limit=x", "/journal?order_id=%00", "/../x"]
    async with site.asked_by(Role.OPERATOR, "ops", service) as client:
        for path in strange:
            answer = await client.get(path)
            assert 400 <= answer.status_code < 500, path
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("default-src 'self';")
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "server" not in answer.headers
            for leak in ("Traceback", 'File "', "litestar", "asyncpg", "site-packages"):
                assert leak not in answer.text
