"""Calls to the outside world over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from stagepost.engine.calls_rules import answer_of
from stagepost.engine.http_client import HttpClient
from stagepost.errors import CallFailed


class HttpCalls:
    """The Calls port over HTTP; `urls` says where each part of the outside world is."""

    def __init__(self, urls: Mapping[str, str], timeout: float) -> None:
        self._urls = {to: url.rstrip("/") for to, url in urls.items()}
        self._http = HttpClient(timeout, {})

    async def post(self, to: str, path: str, body: bytes, idempotency_key: str) -> bytes:
        """POST a JSON body; return the JSON body of the answer.

        Raises:
            CallFailed: no answer in time, or one that is not 200 and JSON.
        """
        request = f"POST {path} to {to}"
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        answered = await self._http.post(request, self._url(to, path), body, headers)
        return answer_of(request, answered.status, answered.body)

    async def close(self) -> None:
        """Let requests under way end, and disconnect."""
        await self._http.close()

    def _url(self, to: str, path: str) -> str:
        if to not in self._urls:
            raise CallFailed(f"nobody said where {to} is: add it to STAGEPOST_CALLS")
        return self._urls[to] + path
