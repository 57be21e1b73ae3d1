"""A view that is folded anew: into a table beside the live one, by the view's own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncpg

from stagepost.engine.database import SQL, Connection, read_statements
from stagepost.engine.replay.log import Entry, Log, Which
from stagepost.engine.tables_postgres import load_rows, reader_of, save_rows
from stagepost.engine.views import fold
from stagepost.errors import BadSettings, StoreError, UnreadableEvent
from stagepost.view import Recorded, Row, View

_OURS = read_statements(SQL / "queries.sql")
STATEMENTS = read_statements(SQL / "shadow.sql")

AT_ONCE = 2_000
"""Events of a page: larger than elsewhere, as each costs a look for rows that are not in memory."""
ROWS = 10_000
"""Rows in memory, and not a page more: events of one row are mostly near each other."""

Keyed = Sequence[tuple[str | None, Recorded]]


class Shadow:
    """One view up to `at`, as its events make it. Its table has the live one's name, and hides it.

    So the service's own statements load and save there, on this connection alone.
    """

    def __init__(
        self, view: View[Any], connection: Connection, statements: Mapping[str, str]
    ) -> None:
        self.view = view
        self.at = 0
        self._connection = connection
        self._statements = statements
        self._rows: dict[str, Row] = {}
        self._changed: set[str] = set()

    async def fold(self, page: Sequence[Recorded]) -> None:
        """Fold the next events; `keep` writes down what has changed.

        Raises:
            UnreadableEvent: one of them cannot be folded.
        """
        news = [recorded for recorded in page if recorded.position > self.at]
        if not news:
            return
        keyed = keys_of(self.view, news)
        unknown = {key for key, _ in keyed if key is not None} - self._rows.keys()
        self._rows |= await load_rows(self._connection, self._statements, self.view, unknown)
        changed = folded(self.view, self._rows, keyed)
        self._rows |= changed
        self._changed |= changed.keys()
        self.at = news[-1].position
        if len(self._rows) > ROWS:
            await self.keep()

    async def keep(self) -> None:
        """Write down what has changed."""
        changed = [self._rows[key] for key in self._changed]
        try:
            await save_rows(self._connection, self._statements, self.view, changed)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise StoreError(
                f"up to position {self.at} the events make a row that {self.view.name} refuses:"
                f" {error} ({error.detail})"
            ) from error
        self.forget(self.at)

    def forget(self, at: int) -> None:
        """Go on from what is written down, which is up to there."""
        self._rows.clear()
        self._changed.clear()
        self.at = at


def keys_of(view: View[Any], news: Sequence[Recorded]) -> Keyed:
    """Return events with the keys of their rows.

    Raises:
        UnreadableEvent: the view cannot tell.
    """
    keyed = []
    for recorded in news:
        try:
            keyed.append((view.key_of(recorded.event), recorded))
        except Exception as error:
            raise unreadable(view, recorded, error) from error
    return keyed


def folded(view: View[Any], rows: Mapping[str, Row], keyed: Keyed) -> dict[str, Row]:
    """Fold events into rows and return those that changed.

    Raises:
        UnreadableEvent: names the first that cannot be folded.
    """
    try:
        return fold(view, rows, keyed)
    except Exception as error:
        so_far = dict(rows)
        for one in keyed:
            try:
                so_far |= fold(view, so_far, [one])
            except Exception as reason:  # noqa: BLE001  # whatever the fold does not foresee
                raise unreadable(view, one[1], reason) from error
        raise


def unreadable(view: View[Any], recorded: Recorded, error: Exception) -> UnreadableEvent:
    where = f"at position {recorded.position}"
    return UnreadableEvent(recorded.event.TOPIC, where, f"{view.name} cannot fold it: {error!r}")


async def catch_up(log: Log, shadow: Shadow, until: int, told: Callable[[int], None]) -> None:
    """Fold events into a shadow up to a position, and write down what has changed.

    Raises:
        StoreError: one of them cannot be read, or folded.
    """

    async def act(page: Sequence[Entry]) -> None:
        await shadow.fold([entry.recorded() for entry in page])
        told(len(page))

    if shadow.at < until:
        await log.read(act, Which(shadow.at, until), limit=AT_ONCE)
        shadow.at = until  # also where its last position was drawn, and nothing stored there
    await shadow.keep()


async def live_table(connection: Connection, view: View[Any]) -> dict[str, str]:
    """Return the names, quoted, by which statements know a view's table.

    Raises:
        BadSettings: there is none.
    """
    row = await connection.fetchrow(STATEMENTS["live"], view.name)
    if row is None:
        raise BadSettings(f"there is no table {view.name}: run `stagepost migrate`")
    live = f'{row["home"]}."{view.name}"'
    return {"home": row["home"], "view": f'"{view.name}"', "key": f'"{view.key}"', "live": live}


async def live_position(connection: Connection, view: str) -> int:
    """Return up to which event the live view is folded."""
    rows = await connection.fetch(_OURS["cursors"], reader_of(view))
    return rows[0]["position"] if rows else 0
