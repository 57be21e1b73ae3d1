"""A ledger in PostgreSQL: recorded before it is answered, many requests in one write."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import asyncpg

from services.outside.entry import Entry
from stagepost.engine.database import Queries
from stagepost.errors import StoreUnavailable

E = TypeVar("E", bound=Entry)

MAX_BATCH = 200
"""Entries in one statement."""


@dataclass(frozen=True, slots=True)
class _Request(Generic[E]):
    """A request that waits to be recorded; `decide` makes its entry from those of its reference."""

    key: str
    reference: str
    decide: Callable[[Sequence[E]], E]
    recorded: asyncio.Future[E]


class Ledger(Generic[E]):
    """The entries of one table. While a batch is being written the next one gathers."""

    def __init__(self, queries: Queries, table: str, entry: type[E]) -> None:
        self._queries = queries
        self._table = table
        self._entry = entry
        self._waiting: list[_Request[E]] = []
        self._writer: asyncio.Task[None] | None = None

    async def find(self, key: str) -> E | None:
        """Return the entry of an idempotency key."""
        return next(iter(await self._read([key], [])), None)

    async def record(self, key: str, reference: str, decide: Callable[[Sequence[E]], E]) -> E:
        """Return the entry of an idempotency key; where there is none, decide and record it first.

        Raises:
            StoreUnavailable: ask again under the same key, for it may have been recorded.
        """
        recorded: asyncio.Future[E] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(key, reference, decide, recorded))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await recorded

    async def _write(self) -> None:
        while self._waiting:
            batch = self._waiting[:MAX_BATCH]
            del self._waiting[:MAX_BATCH]
            try:
                await self._record(batch)
            except Exception as error:  # noqa: BLE001  # each of them hears of it, the next batch goes on
                for request in batch:
                    if not request.recorded.done():
                        request.recorded.set_exception(error)

    async def _record(self, batch: Sequence[_Request[E]]) -> None:
        stored = await self._read([r.key for r in batch], [r.reference for r in batch])
        entries, fresh = _decide(batch, stored)
        if fresh:
            await self._insert(fresh)
        for request, entry in zip(batch, entries, strict=True):
            if not request.recorded.done():
                request.recorded.set_result(entry)

    async def _read(self, keys: Collection[str], references: Collection[str]) -> list[E]:
        rows = await self._queries.fetch(f"read_{self._table}", keys, references)
        return [self._entry.model_validate_json(row["entry"]) for row in rows]

    async def _insert(self, fresh: Sequence[E]) -> None:
        rows = f"[{','.join(entry.model_dump_json() for entry in fresh)}]"
        try:
            await self._queries.fetch(f"record_{self._table}", rows)
        except asyncpg.UniqueViolationError as error:
            raise StoreUnavailable(
                f"another process writes to {self._table} as well ({error}): ask again"
            ) from error


def _decide(batch: Sequence[_Request[E]], stored: Sequence[E]) -> tuple[list[E], list[E]]:
    """Return the entry of each request, and those of them that are new."""
    by_key: dict[str, E] = {}
    by_reference: defaultdict[str, list[E]] = defaultdict(list)
    for entry in stored:
        by_key[entry.idempotency_key] = entry
        by_reference[entry.reference].append(entry)
    fresh: list[E] = []
    for request in batch:
        if request.key not in by_key:
            past = by_reference[request.reference]
            entry = request.decide(past)
            by_key[request.key] = entry
            past.append(entry)
            fresh.append(entry)
    return [by_key[request.key] for request in batch], fresh
