"""Calls over HTTP: connections are kept open and shared."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from stagepost.engine.calls_rules import UnderWay, answer_of
from stagepost.errors import CallFailed

MAX_ANSWER = 1 << 20
"""Bytes of an answer: one without end must not fill our memory."""


class HttpCalls:
    """The Calls port over HTTP. It is made inside a running event loop.

    `urls` says where each part of the outside world is, `timeout` how many seconds one attempt
    may take, from connecting to the end of the answer. How many run at once is the caller's to say.
    """

    def __init__(self, urls: Mapping[str, str], timeout: float) -> None:
        self._urls = {to: url.rstrip("/") for to, url in urls.items()}
        self._timeout = timeout
        self._under_way = UnderWay()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def post(self, to: str, path: str, body: bytes, idempotency_key: str) -> bytes:
        """POST a JSON body; return the JSON body of the answer.

        Raises:
            CallFailed: no answer in time, or one that is not 200 and JSON.
        """
        with self._under_way:
            request = f"POST {path} to {to}"
            try:
                status, answer = await self._post(self._url(to, path), body, idempotency_key)
            except TimeoutError as error:
                raise CallFailed(f"{request} got no answer in {self._timeout:g} s") from error
            except aiohttp.ClientError as error:
                raise CallFailed(f"{request} got no answer: {error!r}") from error
            return answer_of(request, status, answer)

    async def close(self) -> None:
        """Let requests under way end, and disconnect."""
        await self._under_way.close()
        await self._session.close()

    def _url(self, to: str, path: str) -> str:
        if to not in self._urls:
            raise CallFailed(f"nobody said where {to} is: add it to STAGEPOST_CALLS")
        return self._urls[to] + path

    async def _post(self, url: str, body: bytes, idempotency_key: str) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        # A redirect is no answer: it would carry the body to somebody whom nobody named.
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as response:
            answer = bytearray()
            async for piece in response.content.iter_any():
                answer += piece
                if len(answer) > MAX_ANSWER:
                    raise CallFailed(f"the answer has more than {MAX_ANSWER} bytes")
            return response.status, bytes(answer)
