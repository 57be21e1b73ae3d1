"""What every adapter of the Calls port holds to: what counts as an answer, and how it closes."""

from __future__ import annotations

import asyncio
from types import TracebackType

import orjson

from stagepost.errors import CallFailed

OK = 200
_EXCERPT = 200  # characters of a refusing answer that are told


def answer_of(request: str, status: int, body: bytes) -> bytes:
    """Return the body of an answer that is what was agreed: 200, and JSON.

    Raises:
        CallFailed: it is something else; `request` says to whom it was made.
    """
    if status != OK:
        excerpt = body[:_EXCERPT].decode(errors="replace")
        raise CallFailed(f"{request} was answered with {status}: {excerpt or '(no text)'}")
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CallFailed(f"{request} was answered with 200, but not with JSON: {error}") from error
    return body


class UnderWay:
    """The requests that are under way: each is one `with` block, and `close` waits for all."""

    def __init__(self) -> None:
        self._count = 0
        self._closed = False
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __enter__(self) -> None:
        if self._closed:
            raise CallFailed("no calls are made any more: this process is about to end")
        self._count += 1
        self._none_left.clear()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._count -= 1
        if self._count == 0:
            self._none_left.set()

    async def close(self) -> None:
        """Let nobody in any more, and wait until all have left."""
        self._closed = True
        await self._none_left.wait()
