"""Where requests are taken: late, down or at once, and each answered from the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from services.outside.behaviour import Behaviour
from services.outside.entry import Entry
from services.outside.ledger import Ledger
from stagepost.engine.database import Queries

E = TypeVar("E", bound=Entry)


class Down(Exception):
    """The counter is closed; nothing was done."""


class AnswerLost(Exception):
    """All was done, but the answer does not reach the client."""


class Counter(Generic[E]):
    """Of requests with the same key at the same time one acts, the others wait for its answer.

    `linger` is how a late one waits.
    """

    def __init__(
        self, ledger: Ledger[E], queries: Queries, linger: Callable[[], Awaitable[None]]
    ) -> None:
        self._ledger = ledger
        self._queries = queries
        self._linger = linger
        self._under_way: dict[str, asyncio.Task[str]] = {}

    async def ask(
        self, key: str, reference: str, behaviour: Behaviour, decide: Callable[[Sequence[E]], E]
    ) -> str:
        """Return the answer as JSON: the stored one, where the key was answered before.

        Raises:
            Down, AnswerLost: as the behaviour wants it.
            StoreUnavailable: ask again under the same key.
        """
        if behaviour.down:
            raise Down
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._act(key, reference, behaviour, decide))
            self._under_way[key] = task
            task.add_done_callback(partial(self._forget, key))
        # Shielded: what is under way goes on when the client that asked for it has left.
        return await asyncio.shield(task)

    def _forget(self, key: str, task: asyncio.Task[str]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # it was seen, also where nobody waits for it any more

    async def _act(
        self, key: str, reference: str, behaviour: Behaviour, decide: Callable[[Sequence[E]], E]
    ) -> str:
        if behaviour.late and await self._ledger.find(key) is None:
            await self._linger()
        entry = await self._ledger.record(key, reference, decide)
        if behaviour.lost_answers and await self._loses(key, behaviour.lost_answers):
            raise AnswerLost
        return entry.answer

    async def _loses(self, key: str, most: int) -> bool:
        return await self._queries.fetchrow("lose_answer", key, most) is not None
