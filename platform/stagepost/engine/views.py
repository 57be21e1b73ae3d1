"""The views of a service: cursors over its own events whose effect is rows in tables."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stagepost.aggregate import from_stored
from stagepost.engine.follow import follow
from stagepost.engine.store import Notification, Store
from stagepost.errors import UnreadableEvent
from stagepost.view import Recorded, Row, View

PAGE = 500

GATHER = 1.0
"""Seconds; nobody's next step waits for a view."""


@dataclass(frozen=True, slots=True)
class Move:
    """Rows to be written to one view, and how its cursor moves with them."""

    view: View[Any]
    rows: Sequence[Row]
    at: int
    to: int


class Tables(Protocol):
    """Where views are kept, as a port."""

    async def positions(self, views: Collection[str]) -> dict[str, int]:
        """Return up to which event each view is folded."""
        ...

    async def load(self, view: View[Any], keys: Collection[str]) -> dict[str, Row]:
        """Return the rows with these keys."""
        ...

    async def save(self, moves: Sequence[Move]) -> bool:
        """Write rows and cursors in one transaction; False where a cursor had moved."""
        ...


class Views:
    """Keeps the views of one service up to date while it holds the lease."""

    def __init__(self, views: Sequence[View[Any]], store: Store, tables: Tables) -> None:
        self._views = views
        self._store = store
        self._tables = tables
        self._at: dict[str, int] = {}

    async def run(self, wake: asyncio.Event) -> None:
        """Fold until cancelled."""
        if not self._views:
            return
        self._at = await self._tables.positions([view.name for view in self._views])
        await follow(self._read, self._fold, wake, limit=PAGE, gather=GATHER)

    async def _read(self, limit: int) -> list[Notification]:
        return await self._store.events(min(self._at.values()), limit)

    async def _fold(self, page: Sequence[Notification]) -> None:
        recorded = read(page)
        moves = [await self._move(view, recorded) for view in self._views]
        if await self._tables.save([move for move in moves if move.to > move.at]):
            self._at |= {move.view.name: move.to for move in moves}
        else:
            self._at = await self._tables.positions([view.name for view in self._views])

    async def _move(self, view: View[Any], page: Sequence[Recorded]) -> Move:
        at = self._at[view.name]
        news = [r for r in page if r.position > at]
        keys = [view.key_of(r.event) for r in news]
        rows = await self._tables.load(view, {key for key in keys if key is not None})
        changed = fold(view, rows, zip(keys, news, strict=True))
        return Move(view, list(changed.values()), at, max(page[-1].position, at))


def read(page: Iterable[Notification]) -> list[Recorded]:
    """Read events as a view folds them.

    Raises:
        UnreadableEvent: says at which position one stands that this release cannot read.
    """
    recorded = []
    for found in page:
        try:
            happened = from_stored(found.event)
        except UnreadableEvent as error:
            raise error.at(found.position) from error
        recorded.append(Recorded(found.position, found.recorded_at, happened))
    return recorded


def fold(
    view: View[Any], rows: Mapping[str, Row], news: Iterable[tuple[str | None, Recorded]]
) -> dict[str, Row]:
    """Fold events into rows and return those that changed: the view's own code, for replays too."""
    changed: dict[str, Row] = {}
    for key, recorded in news:
        if key is not None:
            changed[key] = view.fold(changed.get(key) or rows.get(key), recorded)
    return changed
