"""Calls to the outside world, as a port."""

from __future__ import annotations

from typing import Protocol


class Calls(Protocol):
    """Makes one HTTP request to a part of the outside world."""

    async def post(self, to: str, path: str, body: bytes, idempotency_key: str) -> bytes:
        """POST a JSON body; return the JSON body of the answer.

        Raises:
            CallFailed: no answer in time, or one that is not 200; the call is tried again.
        """
        ...

    async def close(self) -> None:
        """Let requests under way end, and disconnect."""
        ...
