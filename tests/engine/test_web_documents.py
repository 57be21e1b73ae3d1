"""What the HTTP layer says about a service: its OpenAPI document, and pages that work offline."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from stagepost.engine.clock import ManualClock
from stagepost.engine.discovery import find_services
from stagepost.engine.flow import Flow
from stagepost.engine.ids import SeededIds
from stagepost.engine.service import Service
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.web import (
    make_app,
)
from stagepost.engine.web.documents import describe
from stagepost.engine.web.pages import STATIC
from stagepost.engine.web.problems import PROBLEM_JSON, PROBLEMS_PAGE
from tests.callers import an_operator
from tests.engine.shop import SHOP, World


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with World().served() as client:
        yield client


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def document_of(service: Service) -> dict[str, Any]:
    app = make_app(
        service,
        desk=None,  # type: ignore[arg-type]  # nothing is asked
        queries=None,  # type: ignore[arg-type]
        store=MemoryStore(service.name, ManualClock()),
        ids=SeededIds(1),
        answers=None,  # type: ignore[arg-type]  # no command is brought
        probes=[],
        registry=CollectorRegistry(),
        flow=Flow(),
        authenticate=an_operator,
    )
    return describe(service, app)


DOCUMENTS = {name: document_of(service) for name, service in find_services().items()} | {
    "shop": document_of(SHOP)
}
every_service = pytest.mark.parametrize("name", sorted(DOCUMENTS))


@every_service
def test_every_failure_is_documented_as_a_problem(name: str) -> None:
    for operation in operations(DOCUMENTS[name]):
        failures = {s: r for s, r in operation["responses"].items() if s >= "400"}
        assert set(failures) >= {"400", "500", "503"}
        assert failures["503"]["headers"]["Retry-After"]["required"]
        assert "429" not in failures or failures["429"]["headers"]["Retry-After"]["required"]
        assert {kind for r in failures.values() for kind in r["content"]} == {PROBLEM_JSON}
        if "requestBody" in operation:
            assert set(failures) >= {"413", "415"}


@every_service
def test_every_reference_leads_somewhere(name: str) -> None:
    document = DOCUMENTS[name]
    found = set(re.findall(r"'#/components/schemas/([^']+)'", str(document)))
    assert found == set(document["components"]["schemas"])


@every_service
def test_every_body_refuses_what_it_does_not_know(name: str) -> None:
    document = DOCUMENTS[name]
    for operation in operations(document):
        if body := operation.get("requestBody"):
            reference = body["content"]["application/json"]["schema"]["$ref"]
            schema = document["components"]["schemas"][reference.rpartition("/")[2]]
            assert schema["additionalProperties"] is False


@every_service
def test_every_parameter_has_bounds(name: str) -> None:
    for operation in operations(DOCUMENTS[name]):
        for parameter in operation["parameters"]:
            schema = parameter["schema"]
            if schema.get("type") == "integer":
                assert schema.keys() >= {"minimum", "maximum"}, parameter["name"]
            if schema.get("type") == "string" and parameter["in"] != "header":
                assert schema.keys() & {"pattern", "maxLength", "enum"}, parameter["name"]


async def test_the_document_is_served(client: httpx.AsyncClient) -> None:
    answer = await client.get("/schema/openapi.json")
    assert answer.json() == DOCUMENTS["shop"]
    assert answer.json()["openapi"] == "3.1.0"


@pytest.mark.parametrize("path", ["/", "/docs", "/contracts", PROBLEMS_PAGE])
async def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(
    client: httpx.AsyncClient, path: str
) -> None:
    page = (await client.get(path)).text
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/")
        assert (await client.get(address)).status_code == 200
    assert re.findall(r"<script[^>]*>([^<]+)<", page) == []
    assert " style=" not in page


async def test_the_docs_show_the_own_document_and_have_nobody_else_check_it(
    client: httpx.AsyncClient,
) -> None:
    script = (await client.get("/docs/assets/docs.js")).text
    assert 'url: "/schema/openapi.json"' in script
    assert "validatorUrl: null" in script


async def test_a_service_is_named_in_its_pages_as_text(client: httpx.AsyncClient) -> None:
    assert "<title>shop</title>" in (await client.get("/docs")).text
    assert "Sells &lt;things&gt; &amp; more." in (await client.get("/")).text


def test_the_vendored_files_are_those_that_were_published() -> None:
    lines = (STATIC / "swagger-ui.sha256").read_text().splitlines()
    listed = {path: digest for digest, path in (line.split("  ") for line in lines)}
    found = {
        str(file.relative_to(STATIC)): sha256(file.read_bytes()).hexdigest()
        for file in STATIC.glob("swagger-ui-*/*")
    }
    assert found == listed
