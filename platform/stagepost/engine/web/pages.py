"""Pages for people: an index, the API's docs, contracts, problems. All of it works offline."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from pathlib import Path

from litestar import MediaType, get
from litestar.datastructures import CacheControlHeader
from litestar.handlers import HTTPRouteHandler
from litestar.router import Router
from litestar.static_files import create_static_files_router

from stagepost.engine.contracts.asyncapi import describe
from stagepost.engine.contracts.page import body_of
from stagepost.engine.flow import Flow
from stagepost.engine.service import Service
from stagepost.engine.web.problems import KINDS, PROBLEMS_PAGE

STATIC = Path(__file__).parent / "static"
SWAGGER_UI = "swagger-ui-5.35.0"
ASSETS = "/docs/assets"
CONTRACTS = "/contracts"
ASYNCAPI = "/schema/asyncapi.json"

_LINKS = {
    "/docs": "the API, to read and to try",
    "/schema/openapi.json": "the same for programs: OpenAPI 3.1",
    CONTRACTS: "the messages that it takes, sends and reads",
    ASYNCAPI: "the same for programs: AsyncAPI 3.1",
    PROBLEMS_PAGE: "what the errors mean",
    "/journal": "every message sent and handled",
    "/dead-letters": "messages that could not be handled",
    "/health/ready": "whether it can take requests",
    "/metrics": "figures for Prometheus",
}


def page_routes(service: Service, flow: Flow) -> list[HTTPRouteHandler | Router]:
    """Return the routes of a service's pages and of the files that they load."""
    index, docs, kinds = (page.encode() for page in (_index(service), _docs(service), _problems()))

    @get("/", media_type=MediaType.HTML, include_in_schema=False)
    async def show_index() -> bytes:
        return index

    @get("/docs", media_type=MediaType.HTML, include_in_schema=False)
    async def show_docs() -> bytes:
        return docs

    @get(PROBLEMS_PAGE, media_type=MediaType.HTML, include_in_schema=False)
    async def show_problems() -> bytes:
        return kinds

    assets = create_static_files_router(
        path=ASSETS, directories=[STATIC], cache_control=CacheControlHeader(max_age=86400)
    )
    return [show_index, show_docs, show_problems, assets, *_contracts(service, flow)]


def _contracts(service: Service, flow: Flow) -> list[HTTPRouteHandler]:
    """Return the routes of what a service says and hears; to write it down takes a moment."""

    @cache
    def page() -> bytes:
        body = body_of(service, flow, ASYNCAPI)
        return _page(f"{service.name}: contracts", body).encode()

    @cache
    def document() -> bytes:
        return json.dumps(describe(service, flow)).encode()

    @get(CONTRACTS, media_type=MediaType.HTML, include_in_schema=False)
    async def show_contracts() -> bytes:
        return page()

    @get(ASYNCAPI, media_type="application/vnd.aai.asyncapi+json", include_in_schema=False)
    async def show_document() -> bytes:
        return document()

    return [show_contracts, show_document]


def _index(service: Service) -> str:
    links = "".join(
        f'<li><a href="{path}">{path}</a> {escape(about)}</li>' for path, about in _LINKS.items()
    )
    return _page(
        service.name, f"<h1>{service.name}</h1><p>{escape(service.about)}</p><ul>{links}</ul>"
    )


def _docs(service: Service) -> str:
    ui = f"{ASSETS}/{SWAGGER_UI}"
    return _page(
        service.name,
        '<div id="docs"></div>'
        f'<script src="{ui}/swagger-ui-bundle.js"></script>'
        f'<script src="{ASSETS}/docs.js"></script>',
        stylesheet=f"{ui}/swagger-ui.css",
    )


def _problems() -> str:
    kinds = "".join(
        f'<h2 id="{kind.slug}">{status} {escape(kind.title)}</h2><p>{escape(kind.meaning)}</p>'
        for status, kind in KINDS.items()
    )
    return _page("problems", f"<h1>Problems</h1>{kinds}")


def _page(title: str, body: str, stylesheet: str = f"{ASSETS}/page.css") -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f'<link rel="icon" href="{ASSETS}/{SWAGGER_UI}/favicon.png">'
        f'<link rel="stylesheet" href="{stylesheet}"></head><body>{body}</body></html>'
    )
