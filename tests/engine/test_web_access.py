"""Who may call what: the gate of an app, and what the routes of all services say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from stagepost.engine.clock import ManualClock
from stagepost.engine.discovery import find_services
from stagepost.engine.flow import Flow
from stagepost.engine.ids import SeededIds
from stagepost.engine.roles import Role
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.tokens import Issuer, Verifier, bearer
from stagepost.engine.web import access, make_app
from stagepost.engine.web.access import Access, allowed_by, customers_and, named_by
from tests.callers import an_operator
from tests.engine.shop import SHOP, World, problem_of

ISSUER = Issuer("a secret of these tests, and of nobody else")
LIMIT = 5


def shown(role: Role, name: str = "somebody") -> dict[str, str]:
    return bearer(ISSUER.token(role, name, days=1))


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with World().served(Access(Verifier(ISSUER.public_key), LIMIT)) as client:
        yield client


# The gate


@pytest.mark.parametrize(
    "header", [None, "", "Basic YWRhOnNlY3JldA==", "Bearer", "Bearer no-token"]
)
async def test_who_shows_no_token_of_ours_is_turned_away(
    client: httpx.AsyncClient, header: str | None
) -> None:
    answer = await client.get("/journal", headers=(header and {"Authorization": header}) or {})
    assert problem_of(answer)["status"] == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OPERATOR])
async def test_a_route_that_says_nothing_is_for_operators(
    client: httpx.AsyncClient, role: Role
) -> None:
    assert (await client.get("/journal", headers=shown(Role.OPERATOR))).status_code == 200
    refused = problem_of(await client.get("/journal", headers=shown(role)))
    assert (refused["status"], refused["detail"]) == (
        403,
        f"the token's role is {role}; this takes operator",
    )


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs", "/docs/problems", "/docs/assets/docs.js", "/schema/openapi.json"),
        *("/contracts", "/schema/asyncapi.json"),
        *("/health/live", "/health/ready"),
    ],
)
async def test_pages_documents_and_health_are_open(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200
    assert (await client.get(path, headers={"Authorization": "Bearer no-token"})).is_success


async def test_who_may_not_ask_is_told_so_whatever_they_send(client: httpx.AsyncClient) -> None:
    answer = await client.post("/baskets", content=b"no JSON", headers=shown(Role.CUSTOMER))
    assert problem_of(answer)["status"] == 403


async def test_of_services_those_may_ask_that_a_route_names() -> None:
    @get("/letters", opt=customers_and("post", "archive"))
    async def read_letters() -> None:
        """Return nothing: who may ask is the question."""

    world = World(replace(SHOP, routes=[read_letters]))
    async with world.served(Access(Verifier(ISSUER.public_key), 100)) as client:
        for name, status in (("post", 200), ("archive", 200), ("mallory", 403)):
            answer = await client.get("/letters", headers=shown(Role.SERVICE, name))
            assert answer.status_code == status, name
        for role in (Role.CUSTOMER, Role.STAFF, Role.OPERATOR):
            assert (await client.get("/letters", headers=shown(role, "mallory"))).is_success
        refused = problem_of(await client.get("/letters", headers=shown(Role.SERVICE, "mallory")))
        assert refused["detail"] == (
            "who asks is the service mallory; of services this takes archive, post"
        )


async def test_a_customer_who_asks_too_much_waits(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(access, "monotonic", lambda: now)
    monkeypatch.setitem(access.OPERATORS, access.ALLOWED, frozenset(Role))

    ada, bob, ops = (
        shown(Role.CUSTOMER, "ada"),
        shown(Role.CUSTOMER, "bob"),
        shown(Role.OPERATOR, "ops"),
    )

    async def asks(who: dict[str, str], times: int) -> list[int]:
        return [(await client.get("/journal", headers=who)).status_code for _ in range(times)]

    assert await asks(ada, LIMIT + 2) == [200] * LIMIT + [429] * 2
    assert await asks(bob, 1) == [200]
    assert await asks(ops, LIMIT + 2) == [200] * (LIMIT + 2)
    answer = await client.get("/journal", headers=ada)
    assert (problem_of(answer)["status"], answer.headers["retry-after"]) == (429, "1")
    now += 1
    assert await asks(ada, 1) == [200]


async def test_who_guesses_tokens_is_not_heard_for_a_while(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "monotonic", lambda: 1000.0)
    ops = shown(Role.OPERATOR)
    assert (await client.get("/journal", headers=ops)).status_code == 200
    statuses = [
        (await client.get("/journal", headers=bearer(f"guess {number}"))).status_code
        for number in range(LIMIT + 1)
    ]
    assert statuses == [401] * (LIMIT - 1) + [429] * 2
    assert (await client.get("/journal", headers=ops)).status_code == 200  # it is known


# What the routes say

OPEN = {("GET", path) for path in ("/", "/docs", "/docs/problems", "/schema/openapi.json")} | {
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/contracts"),
    ("GET", "/schema/asyncapi.json"),
    *((method, "/docs/assets/{file_path}") for method in ("GET", "HEAD")),
}
CUSTOMERS = {
    ("ordering", "POST", "/orders"),
    ("ordering", "GET", "/orders"),
    ("ordering", "GET", "/orders/{order_id}"),
    ("ordering", "POST", "/orders/{order_id}/cancellation"),
    ("customers", "POST", "/customers"),
    ("customers", "GET", "/customers/{customer_id}"),
    ("customers", "PATCH", "/customers/{customer_id}"),
    ("customers", "GET", "/customers/{customer_id}/onboarding"),
    ("loyalty", "GET", "/accounts/{customer_id}"),
    ("notifications", "GET", "/notifications"),
}
STAFF = CUSTOMERS | {
    ("inventory", "GET", "/stock"),
    ("inventory", "GET", "/stock/{sku}"),
    ("inventory", "PUT", "/stock/{sku}"),
    ("inventory", "POST", "/stock/{sku}/receipts"),
    ("payments", "GET", "/payments/{order_id}"),
    ("shipping", "GET", "/shipments/{order_id}"),
}
SERVICES = {("customers", "GET", "/customers/{customer_id}")} | {
    (service, *route)
    for service in find_services()
    for route in (("GET", "/feed"), ("POST", "/commands"))
}


def routes() -> Iterator[tuple[str, str, str, HTTPRouteHandler]]:
    for name, service in find_services().items():
        app = make_app(
            service,
            desk=None,  # type: ignore[arg-type]  # nothing is asked
            queries=None,  # type: ignore[arg-type]  # nor read
            store=MemoryStore(name, ManualClock()),
            ids=SeededIds(1),
            answers=None,  # type: ignore[arg-type]  # nobody waits for any
            probes=[],
            registry=None,  # type: ignore[arg-type]  # nor for metrics
            flow=Flow(),
            authenticate=an_operator,
        )
        for route in app.routes:
            if isinstance(route, HTTPRoute):
                for method, (handler, _) in route.route_handler_map.items():
                    yield name, method, route.path_format, handler


ROUTES = [route for route in routes() if route[1] != "OPTIONS"]


def test_every_route_is_for_whom_it_is_meant() -> None:
    for service, method, path, handler in ROUTES:
        route = service, method, path
        expected = {
            *([Role.CUSTOMER] if route in CUSTOMERS else []),
            *([Role.STAFF] if route in STAFF else []),
            *([Role.SERVICE] if route in SERVICES else []),
            *([Role.OPERATOR] if path != "/commands" else []),
        }
        if (method, path) in OPEN:
            expected = set()
        assert allowed_by(handler.opt) == expected, route


def test_a_customer_is_shown_to_the_one_service_that_writes_to_them() -> None:
    named = {
        (service, method, path): named_by(handler.opt)
        for service, method, path, handler in ROUTES
        if Role.SERVICE in allowed_by(handler.opt) and path not in {"/feed", "/commands"}
    }
    assert named == {("customers", "GET", "/customers/{customer_id}"): {"notifications"}}
    assert find_services().keys() >= {"notifications"}


def test_every_route_that_was_thought_of_is_there() -> None:
    there = {(service, method, path) for service, method, path, _ in ROUTES}
    assert there >= STAFF | SERVICES
    assert {route[1:] for route in there} >= OPEN
