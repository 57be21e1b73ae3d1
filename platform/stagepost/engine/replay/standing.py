"""How the views of a service stand: how far they are folded, and when they were last rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stagepost.engine.replay.log import Log
from stagepost.engine.replay.shadow import STATEMENTS
from stagepost.engine.tables_postgres import reader_of


@dataclass(frozen=True, slots=True)
class Standing:
    """One view; `lag` is how many events it has not folded, `rebuilt_at` None if it never was."""

    service: str
    view: str
    position: int
    lag: int
    rows: int
    rebuilt_at: datetime | None


async def standings(log: Log) -> Sequence[Standing]:
    """Look at every view of a service."""
    found = []
    for view in log.service.views:
        (row,) = await log.fetch(STATEMENTS["standing"], reader_of(view.name), view.name)
        (rows,) = await log.fetch(STATEMENTS["rows"].format(live=f'"{view.name}"'))
        stands = Standing(
            log.name, view.name, row["position"], row["lag"], rows[0], row["rebuilt_at"]
        )
        found.append(stands)
    return found
