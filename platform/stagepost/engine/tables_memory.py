"""The tables of a service's views in memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from stagepost.engine.views import Move
from stagepost.view import Row, View


class MemoryTables:
    """The `Tables` port, for tests and simulations."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._rows: dict[str, dict[str, Row]] = {}

    async def positions(self, views: Collection[str]) -> dict[str, int]:
        return {name: self._at.get(name, 0) for name in views}

    async def load(self, view: View[Any], keys: Collection[str]) -> dict[str, Row]:
        rows = self._rows.get(view.name, {})
        return {key: rows[key] for key in keys if key in rows}

    async def save(self, moves: Sequence[Move]) -> bool:
        if any(self._at.get(move.view.name, 0) != move.at for move in moves):
            return False
        for move in moves:
            self._at[move.view.name] = move.to
            rows = self._rows.setdefault(move.view.name, {})
            rows.update({str(getattr(row, move.view.key)): row for row in move.rows})
        return True
