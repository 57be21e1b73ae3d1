"""A view is built anew beside the live one, compared with it, and takes its place.

Nobody who reads the view is turned away, and its service goes on folding. The swap holds the view's
cursor first, then its table, and folds all that is stored by then before it lets go. So whoever had
read rows of the old table, and wants to write what follows from them, finds that the cursor has
moved on, and reads again. See decision 0017.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from stagepost.engine.database import SQL, Connection, read_statements
from stagepost.engine.migrations import LOCK
from stagepost.engine.replay.compare import Compared, compare
from stagepost.engine.replay.log import Log
from stagepost.engine.replay.shadow import (
    STATEMENTS,
    Shadow,
    catch_up,
    live_position,
    live_table,
)
from stagepost.engine.tables_postgres import reader_of
from stagepost.errors import BadSettings, Busy
from stagepost.view import View

HOLDS_UP = 100
"""Milliseconds for which the swap waits for who reads the table; who comes later waits for it."""
AGAIN = 1.0
"""Seconds until the next try, where somebody read for longer than that."""
FEW = 1000
"""Events that may be folded while readers wait."""

_OURS = read_statements(SQL / "queries.sql")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A view that is as its events make it; how the one before it was not, up to `compared_at`."""

    view: str
    position: int
    rows: int
    seconds: float
    held_up: float
    compared_at: int
    compared: Compared


class Rebuild:
    """One rebuild, on a connection of its own as the owner of the tables."""

    def __init__(
        self,
        connection: Connection,
        view: View[Any],
        statements: Mapping[str, str],
        *,
        log: Log,
        told: Callable[[int], None],
        say: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._view = view
        self._reader = reader_of(view.name)
        self._log = log
        self._told = told
        self._say = say
        self._shadow = Shadow(view, connection, statements)
        self._names: dict[str, str] = {}

    async def run(self) -> Rebuilt:
        """Build, compare and swap.

        Raises:
            Busy: another rebuild of this view is under way, or the database is being migrated.
            BadSettings: the table is of a kind that cannot be made anew.
            UnreadableEvent: an event cannot be read or folded; the live view is as it was.
        """
        began = time.monotonic()
        await self._alone()
        async with self._beside():
            await catch_up(self._log, self._shadow, await self._live(), self._told)
            compared_at, compared = await self._compare()
            held_up = None
            while held_up is None:
                await catch_up(self._log, self._shadow, await self._log.head(), self._told)
                held_up = await self._swap(began, compared)
        rows = await self._connection.fetchval(STATEMENTS["rows"].format(**self._names))
        seconds = time.monotonic() - began
        at = self._shadow.at
        return Rebuilt(self._view.name, at, rows, seconds, held_up, compared_at, compared)

    async def _alone(self) -> None:
        row = await self._connection.fetchrow(STATEMENTS["alone"], self._view.name, LOCK)
        assert row is not None
        if not row["is_alone"]:
            raise Busy(f"{self._view.name} is being rebuilt already: wait for that, or end it")
        if not row["is_settled"]:
            raise Busy("the database is being migrated: ask again once it is")

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[None]:
        """Have an empty table of the view's shape in a schema that this connection sees first."""
        connection = self._connection
        self._names = await live_table(connection, self._view)
        if await connection.fetchval(STATEMENTS["special"], self._names["live"]):
            raise BadSettings(
                f"{self._view.name} has triggers, policies, or is no plain table: no copy of it is"
                " made that could take its place"
            )
        self._names["schema"] = f'"rebuild_{self._view.name}"'
        await connection.execute(STATEMENTS["beside"].format(**self._names))
        try:
            copy = (self._names["schema"].strip('"'), self._view.name, self._names["live"])
            for (statement,) in await connection.fetch(STATEMENTS["completion"], *copy):
                await connection.execute(statement)
            path = f"SET search_path = {self._names['schema']}, {self._names['home']}"
            await connection.execute(path)
            yield
        except BaseException:
            with suppress(Exception):  # else the next rebuild drops it
                await connection.execute(STATEMENTS["abandon"].format(**self._names))
            raise

    async def _compare(self) -> tuple[int, Compared]:
        """Compare the two as they are at one position: that of the live one in a moment."""
        async with self._connection.transaction(isolation="repeatable_read"):
            at = await self._live()
            await catch_up(self._log, self._shadow, at, self._told)
            shadow = f"{self._names['schema']}.{self._names['view']}"
            return at, await compare(self._connection, self._names, shadow)

    async def _live(self) -> int:
        return await live_position(self._connection, self._view.name)

    async def _swap(self, began: float, compared: Compared) -> float | None:
        """Take the live one's place; return how many seconds readers waited, None if not done."""
        before = self._shadow.at
        connection = self._connection
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {HOLDS_UP}")
                stood = await connection.fetchval(STATEMENTS["hold_cursor"], self._reader)
                holding = time.monotonic()
                await connection.execute(STATEMENTS["hold_table"].format(**self._names))
                await self._fold_the_last()
                await connection.execute(STATEMENTS["swap"].format(**self._names))
                await connection.fetch(_OURS["move_view"], self._reader, stood, self._shadow.at)
                took = time.monotonic() - began
                note = (self._view.name, self._shadow.at, took, compared.differences)
                await connection.execute(STATEMENTS["note"], *note)
        except _TooManyError:
            self._shadow.forget(before)
            return None
        except asyncpg.LockNotAvailableError:
            self._shadow.forget(before)
            self._say(f"somebody has been reading {self._view.name} for long: trying again")
            await asyncio.sleep(AGAIN)
            return None
        return time.monotonic() - holding

    async def _fold_the_last(self) -> None:
        """Fold all that is stored: nothing is left of which the old rows were read already."""
        head = await self._log.head()
        if head - self._shadow.at > FEW:
            raise _TooManyError
        await catch_up(self._log, self._shadow, head, self._told)


class _TooManyError(Exception):
    """Too much was stored since: fold that first, and nobody has to wait."""
