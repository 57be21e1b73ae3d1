"""Recipients in memory: each is an async function that takes commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from stagepost.engine.envelope import Envelope
from stagepost.engine.memory_client import MemoryClient
from stagepost.errors import CallFailed, GivenUp, StagepostError

Taker: TypeAlias = Callable[[Envelope], Awaitable[Envelope | None]]
"""Returns the answer, or None where there is none yet. Raises ConnectionError where the connection
is lost, and what a recipient raises that cannot take a command now."""


class MemoryRecipients:
    """The Recipients port in memory; `takers` holds a function for each service."""

    def __init__(self, takers: Mapping[str, Taker], timeout: float) -> None:
        self._takers = takers
        self._client = MemoryClient(timeout)

    async def ask(self, command: Envelope) -> Envelope | None:
        to = str(command.recipient)
        if (taker := self._takers.get(to)) is None:
            raise CallFailed(f"nobody said where {to} is: add it to STAGEPOST_SERVICES")
        request = f"{command.type} to {to}"
        try:
            return await self._client.ask(request, lambda: taker(command))
        except (CallFailed, GivenUp):
            raise
        except StagepostError as error:
            raise CallFailed(f"{request} was refused: {error}") from error

    async def close(self) -> None:
        await self._client.close()
