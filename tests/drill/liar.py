"""Between us and the world outside: passes on what is asked, and answers as it likes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum

import aiohttp
from aiohttp import web

from stagepost.engine.stack.ports import HOST

SLOW = 1.5
"""Seconds that a slow answer takes."""


class Lie(StrEnum):
    """How the world answers."""

    DOWN = "is down"
    SLOW = "is slow"
    AFTER = "fails after it was done"
    GARBAGE = "answers with garbage"
    OTHER = "answers for another order"
    AMOUNT = "says that it took or gave back another amount"
    ENDLESS = "answers without end"


class Liar:
    """A server in front of the world; honest but for the time of a lie."""

    def __init__(self) -> None:
        self._lie: Lie | None = None
        self._world = ""
        self._before = b'{"accepted": 1}'
        self.told: Counter[Lie] = Counter()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, HOST, 0)
        await self._site.start()
        self._session = aiohttp.ClientSession()

    async def close(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def in_front_of(self, url: str) -> str:
        """Return where to ask instead."""
        self._world = url
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    @contextmanager
    def telling(self, lie: Lie) -> Iterator[None]:
        """Let every answer be this one."""
        self._lie = lie
        try:
            yield
        finally:
            self._lie = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        lie = self._lie
        if lie is not None:
            self.told[lie] += 1
        if lie is Lie.DOWN:
            return web.Response(status=503)
        if lie is Lie.SLOW:
            await asyncio.sleep(SLOW)
        if lie is Lie.ENDLESS:
            return await _pour(request)
        body = await self._ask(request)
        before, self._before = self._before, body if lie is None else self._before
        match lie:
            case Lie.AFTER:
                return web.Response(status=500, body=b"it was done, but nobody knows")
            case Lie.GARBAGE:
                return web.Response(body=b'{"accepted": "perhaps", ' + body[:9])
            case Lie.OTHER:
                return web.Response(status=409, body=before, content_type="application/json")
            case Lie.AMOUNT:
                body = _more(body)
        return web.Response(body=body, content_type="application/json")

    async def _ask(self, request: web.Request) -> bytes:
        headers = {
            name: request.headers[name]
            for name in ("Idempotency-Key", "Content-Type")
            if name in request.headers
        }
        url = f"{self._world}/{request.match_info['path']}"
        asked = await request.read()
        try:
            async with self._session.post(url, data=asked, headers=headers) as answer:
                if answer.status != web.HTTPOk.status_code:
                    raise web.HTTPBadGateway(text=await answer.text())
                return await answer.read()
        except aiohttp.ClientError as error:
            raise web.HTTPBadGateway(text=f"the world did not answer: {error!r}") from error


def _more(body: bytes) -> bytes:
    answer = json.loads(body)
    if answer.get("amount") is not None:
        answer["amount"] += 1
    return json.dumps(answer).encode()


async def _pour(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    with suppress(ConnectionError):  # nobody listens for ever
        while True:
            await answer.write(b" " * 65_536)
    return answer
