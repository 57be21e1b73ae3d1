"""The HTTP side of provider and carrier; what goes wrong is told as RFC 9457 has it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar

import orjson
from aiohttp import web
from pydantic import ValidationError

from services.outside import carrier, provider
from services.outside.behaviour import GRANTS, of_address, of_token
from services.outside.counter import AnswerLost, Counter, Down
from services.outside.entry import Asked
from stagepost.engine.database import Queries
from stagepost.errors import StoreUnavailable
from stagepost.messages import MAX_BIGINT

A = TypeVar("A", bound=Asked)
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_KEY = 200
PAGE, MAX_PAGE = 100, 500

log = logging.getLogger(__name__)


class BadRequest(Exception):
    """The request is not as agreed; nothing was done."""


class Api:
    """What can be asked of provider and carrier."""

    def __init__(
        self,
        payments: Counter[provider.ChargeEntry],
        parcels: Counter[carrier.ParcelEntry],
        queries: Queries,
    ) -> None:
        self._payments = payments
        self._parcels = parcels
        self._queries = queries

    def app(self) -> web.Application:
        """Make the web application."""
        app = web.Application(middlewares=[tell_problems])
        app.add_routes(
            [
                web.post("/provider/charges", self.charge),
                web.post("/provider/refunds", self.refund),
                web.get("/provider/ledger", partial(self.page, "charges")),
                web.post("/carrier/parcels", self.dispatch),
                web.get("/carrier/ledger", partial(self.page, "parcels")),
                web.get("/health/live", self.live),
                web.get("/health/ready", self.ready),
            ]
        )
        return app

    async def charge(self, request: web.Request) -> web.Response:
        key, asked = await _read(request, provider.Charge)
        decide = partial(provider.charge, asked, key)
        behaviour = of_token(asked.payment_token)
        return _json(await self._payments.ask(key, asked.reference, behaviour, decide))

    async def refund(self, request: web.Request) -> web.Response:
        key, asked = await _read(request, provider.Refund)
        decide = partial(provider.refund, asked, key)
        return _json(await self._payments.ask(key, asked.reference, GRANTS, decide))

    async def dispatch(self, request: web.Request) -> web.Response:
        key, asked = await _read(request, carrier.Dispatch)
        decide = partial(carrier.dispatch, asked, key)
        behaviour = of_address(asked.ship_to)
        return _json(await self._parcels.ask(key, asked.reference, behaviour, decide))

    async def page(self, table: str, request: web.Request) -> web.Response:
        """Show a page of a ledger, for people."""
        after = _number(request, "after", 0, 0, MAX_BIGINT)
        limit = _number(request, "limit", PAGE, 1, MAX_PAGE)
        rows = await self._queries.fetch(f"page_{table}", after, limit)
        full = len(rows) == limit
        following = f"{request.path}?after={rows[-1]['id']}&limit={limit}" if full else None
        items = ",".join(row["entry"] for row in rows)
        return _json(f'{{"items":[{items}],"next":{orjson.dumps(following).decode()}}}')

    async def live(self, _: web.Request) -> web.Response:
        return _json('{"health":"ok"}')

    async def ready(self, _: web.Request) -> web.Response:
        await self._queries.fetch("alive")
        return _json('{"health":"ok"}')


async def _read(request: web.Request, cls: type[A]) -> tuple[str, A]:
    key = request.headers.get("Idempotency-Key", "")
    if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise BadRequest(f"the header Idempotency-Key must have 1 to {MAX_KEY} ASCII characters")
    try:
        return key, cls.model_validate_json(await request.read())
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise BadRequest(f"/{'/'.join(map(str, fault['loc']))}: {fault['msg']}") from error


def _number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if text.isascii() and text.isdigit() and least <= int(text[:20]) <= most:
        return int(text[:20])
    raise BadRequest(f"the parameter {name} must be a whole number from {least} to {most}")


def _json(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")


@web.middleware
async def tell_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what went wrong into a problem document; cut the connection where the answer is lost."""
    try:
        return await handler(request)
    except AnswerLost:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    except BadRequest as error:
        return _problem(400, str(error))
    except web.HTTPException as error:
        return _problem(error.status, error.reason)
    except Down:
        return _problem(503, "closed: nothing was done")
    except StoreUnavailable as error:
        log.warning("the ledgers cannot be written: %s", error)
        return _problem(503, "the ledgers cannot be written: ask again under the same key")
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _problem(500, "the fault is ours: the log says why")


def _problem(status: int, detail: str) -> web.Response:
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return web.Response(
        body=orjson.dumps(document), status=status, content_type="application/problem+json"
    )
