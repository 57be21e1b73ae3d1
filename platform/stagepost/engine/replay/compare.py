"""What is stored beside what the events make of it: where they differ, by row and field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from stagepost.engine.database import Connection
from stagepost.engine.replay.shadow import STATEMENTS

SHOWN = 20
"""Rows of one view of which it is said how they differ; the others are counted."""

_PLANS = (
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on"
)
"""A comparison reads two whole tables: the only place where probing indexes is the slow way."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a row or a snapshot; without a field, all of it: one side has none."""

    key: str
    field: str | None
    stored: Any
    replayed: Any

    def __str__(self) -> str:
        if self.field is None:
            return f"{self.key}: {'is not stored' if self.stored is None else 'no event makes it'}"
        sides = (orjson.dumps(side, default=str).decode() for side in (self.stored, self.replayed))
        return "{}: {} is {}, the events make it {}".format(self.key, self.field, *sides)


@dataclass(frozen=True, slots=True)
class Compared:
    """How many rows of a view are not as their events make them, and how the first differ."""

    differences: int
    first: Sequence[Difference]


async def compare(connection: Connection, names: Mapping[str, str], shadow: str) -> Compared:
    """Compare a view's table with its shadow, in a transaction that sees both at one position."""
    await connection.execute(f"ANALYZE {shadow}; {_PLANS}")
    statement = STATEMENTS["differences"].format(**names, shadow=shadow)
    rows = await connection.fetch(statement, SHOWN)
    found = [
        difference
        for row in rows
        for difference in between(row["key"], _values(row["stored"]), _values(row["replayed"]))
    ]
    return Compared(rows[0]["differences"] if rows else 0, tuple(found))


def between(
    key: str, stored: Mapping[str, Any] | None, replayed: Mapping[str, Any] | None
) -> Iterator[Difference]:
    """Return how two of one key differ, field by field."""
    if stored is None or replayed is None:
        yield Difference(key, None, stored, replayed)
        return
    for field in sorted(stored.keys() | replayed.keys()):
        if stored.get(field) != replayed.get(field):
            yield Difference(key, field, stored.get(field), replayed.get(field))


def _values(row: str | None) -> dict[str, Any] | None:
    return None if row is None else orjson.loads(row)
