"""HTTP, for whoever calls: connections are kept open and shared, answers are bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from stagepost.engine.calls_rules import UnderWay
from stagepost.errors import CallFailed

MAX_ANSWER = 1 << 20
"""Bytes of an answer: one without end must not fill our memory."""


class Answered(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Makes requests. It is made inside a running event loop.

    `timeout` is how many seconds one may take, from connecting to the end of the answer. How many
    run at once is the caller's to say. `headers` go with every request.
    """

    def __init__(self, timeout: float, headers: Mapping[str, str]) -> None:
        self._timeout = timeout
        self._under_way = UnderWay()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=timeout),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def post(
        self, request: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Answered:
        """POST a body; `request` says what this is, where it fails.

        Raises:
            CallFailed: no answer in time, or one that is too long.
        """
        return await self._ask("POST", request, url, body, headers)

    async def get(self, request: str, url: str) -> Answered:
        """GET what is there; `request` says what this is, where it fails.

        Raises:
            CallFailed: no answer in time, or one that is too long.
        """
        return await self._ask("GET", request, url, None, {})

    async def _ask(
        self, method: str, request: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answered:
        with self._under_way:
            try:
                return await self._send(method, request, url, body, headers)
            except TimeoutError as error:
                raise CallFailed(f"{request} got no answer in {self._timeout:g} s") from error
            except aiohttp.ClientError as error:
                raise CallFailed(f"{request} got no answer: {error!r}") from error

    async def _send(
        self, method: str, request: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answered:
        # A redirect is no answer: it would carry the body to somebody whom nobody named.
        async with self._session.request(
            method, url, data=body, headers=headers, allow_redirects=False
        ) as response:
            answer = bytearray()
            async for piece in response.content.iter_any():
                answer += piece
                if len(answer) > MAX_ANSWER:
                    raise CallFailed(f"the answer to {request} has more than {MAX_ANSWER:,} bytes")
            return Answered(response.status, response.headers, bytes(answer))

    async def close(self) -> None:
        """Let requests under way end, and disconnect."""
        await self._under_way.close()
        await self._session.close()
