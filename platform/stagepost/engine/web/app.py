"""A service's HTTP side: its own routes, those that every service has, docs and errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from litestar import Litestar, Response, get, route
from litestar.datastructures import State
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import SkipValidation
from msgspec import Raw
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from stagepost.engine.answers import Answers
from stagepost.engine.database import Queries
from stagepost.engine.desk import Desk
from stagepost.engine.flow import Flow
from stagepost.engine.ids import Ids
from stagepost.engine.service import Service
from stagepost.engine.store import Store
from stagepost.engine.web.access import OPEN
from stagepost.engine.web.commands import command_route
from stagepost.engine.web.common import COMMON_ROUTES, Probe, Watch
from stagepost.engine.web.documents import describe
from stagepost.engine.web.feed import Feed, read_feed
from stagepost.engine.web.inputs import (
    MAX_BODY,
    Authenticate,
    Gate,
    JsonRequest,
    compile_inputs,
)
from stagepost.engine.web.pages import page_routes
from stagepost.engine.web.peers import NOBODY, Peers
from stagepost.engine.web.problems import Problems


def make_app(
    service: Service,
    *,
    desk: Desk,
    queries: Queries,
    store: Store,
    ids: Ids,
    answers: Answers,
    probes: Sequence[Probe],
    registry: CollectorRegistry,
    flow: Flow,
    authenticate: Authenticate,
    peers: Peers = NOBODY,
) -> Litestar:
    """Make the app of a service that is part of a flow.

    Routes are given `desk` and `queries` by these parameter names. `authenticate` is the one place
    where requests can be turned away before anything of them is read. Services that ask are held
    to what they have declared as `peers`.
    """
    problems = Problems(ids)
    feed = Feed(store, lambda: desk.signals.feed, peers)

    def after_desk(desk: SkipValidation[Desk]) -> Queries:  # noqa: ARG001
        # Litestar starts a task group for dependencies that do not wait for each other: 80 µs.
        return queries

    app = Litestar(
        [
            *_options(service.routes),
            *service.routes,
            *COMMON_ROUTES,
            command_route(service.name, peers),
            read_feed,
            *page_routes(service, flow),
        ],
        dependencies={
            "desk": _given(desk),
            "queries": Provide(after_desk, sync_to_thread=False, use_cache=True),
            "store": _given(store),
            "answers": _given(answers),
            "watch": _given(Watch(probes)),
            "problems": _given(problems),
            "registry": _given(registry),
            "feed": _given(feed),
        },
        state=State({"leave": feed.end, "problems": problems}),
        before_request=Gate(authenticate),
        exception_handlers=problems.handlers(),
        request_class=JsonRequest,
        request_max_body_size=MAX_BODY,
        type_encoders={BaseModel: _encode},
        openapi_config=None,
        logging_config=None,
    )
    compile_inputs(app)
    app.register(_document(json.dumps(describe(service, app)).encode()))
    return app


def _options(routes: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """Answer OPTIONS: Litestar's own answer forgets methods of routes that share a path."""
    methods: dict[str, set[str]] = {}
    for handler in routes:
        for path in handler.paths:
            methods.setdefault(path, {"OPTIONS"}).update(handler.http_methods)
    return [_allow(path, ", ".join(sorted(allowed))) for path, allowed in methods.items()]


def _allow(path: str, allowed: str) -> HTTPRouteHandler:
    @route(path, http_method=["OPTIONS"], include_in_schema=False, status_code=204, opt=OPEN)
    async def show_methods() -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": allowed})

    return show_methods


def _given(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False, use_cache=True)


def _encode(model: BaseModel) -> Raw:
    return Raw(model.__pydantic_serializer__.to_json(model))


def _document(content: bytes) -> HTTPRouteHandler:
    @get(
        "/schema/openapi.json",
        include_in_schema=False,
        opt=OPEN,
        media_type="application/vnd.oai.openapi+json",
    )
    async def show_document() -> bytes:
        return content

    return show_document
