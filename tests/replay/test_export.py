"""An export holds all that a service needs to go on, and only whole ones are taken in."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import orjson
import pytest

from services.payments.app import service
from stagepost.engine.batch import Commit, Cursor, Handled
from stagepost.engine.database import READ_ONLY, open_pool, read_statements
from stagepost.engine.decisions import rebuild
from stagepost.engine.exported import KEYS, SMALL, Reader
from stagepost.engine.replay import export as exporting
from stagepost.engine.replay.export import export
from stagepost.engine.replay.log import Log
from stagepost.engine.stack import bring_in as bringing
from stagepost.engine.stack.bring_in import bring_in, import_store
from stagepost.engine.stack.folder import held
from stagepost.engine.stack.reach import has_data
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.tables_postgres import PostgresTables
from stagepost.engine.views import Views
from stagepost.errors import BadExport, NotEmpty, StackError
from tests.conftest import Database, NewDatabase
from tests.corpus.stored import read, released
from tests.engine.stores import (
    CONSUMER,
    DUPLICATE,
    KEPT,
    answered,
    append,
    called,
    heard,
    outcomes,
    reminder,
    told,
    writes,
)

VIEW = service.views[0]


@dataclass
class Place:
    """A database of payments, and who works with it."""

    database: Database
    owner: asyncpg.Connection[asyncpg.Record]
    store: PostgresStore
    log: Log

    async def exported(self) -> bytes:
        lines = io.BytesIO()
        await export(self.log, lines.write)
        return lines.getvalue()

    async def imported(self, lines: bytes) -> int:
        return await bring_in(self.owner, Reader(io.BytesIO(lines)))

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that stands in the tables of an export."""
        return {
            table: [
                tuple(row)
                for row in await self.owner.fetch(f"SELECT * FROM {table} AS t ORDER BY t")
                if not (table == "cursors" and row["reader"].startswith("view:"))
            ]
            for table in (*KEYS, *SMALL)
        }

    async def folded(self) -> list[asyncpg.Record]:
        """The rows of the view, when all is folded."""
        statements = read_statements(service.sql / "queries.sql")
        tables = PostgresTables(self.store._pool, statements)
        running = asyncio.create_task(Views(service.views, self.store, tables).run(asyncio.Event()))
        while (await tables.positions([VIEW.name]))[VIEW.name] < await self.log.head():
            await asyncio.sleep(0.01)
        running.cancel()
        return await self.owner.fetch("SELECT * FROM payments ORDER BY stream")


@pytest.fixture
async def places(new_database: NewDatabase) -> AsyncIterator[tuple[Place, Place]]:
    """A store that has done something, and an empty one."""
    made = []
    for _ in range(2):
        database = await new_database("payments")
        pool = await open_pool(database.auditor, size=2, settings=READ_ONLY)
        store = await PostgresStore.connect(database.service, "payments")
        made.append(
            Place(database, await asyncpg.connect(database.owner), store, Log(service, pool))
        )
    await fill(made[0].store)
    yield made[0], made[1]
    for place in made:
        await place.store.close()
        await place.log._pool.close()
        await place.owner.close()


async def fill(store: PostgresStore) -> None:
    """Let all happen that leaves something in a store, also what an older release wrote."""
    for line in read(released("payments")[0].read_text()):
        await append(store, Commit(heard(line.stream), events=line.stored))
    last = Commit(
        heard("4"),
        sends=[told("1"), told("2", body=b"no JSON \xff"), called("3")],
        timers=[reminder("4")],
        idempotency=answered("4"),
    )
    parked = Commit(heard("5"), Handled.PARKED, "cannot be handled", parks=True)
    await append(store, last, parked, cursors=[Cursor(CONSUMER, 0, 7)])


async def test_what_is_exported_is_there_again_under_the_same_positions(
    places: tuple[Place, Place],
) -> None:
    old, new = places
    rows, view = await old.rows(), await old.folded()
    assert all(rows[table] for table in KEYS)
    assert await new.imported(await old.exported()) == sum(map(len, rows.values()))
    assert await new.rows() == rows
    assert await new.folded() == view
    streams = [row["stream"] for row in view]
    assert await rebuild(new.store, streams) == await rebuild(old.store, streams)


async def test_what_happens_after_an_import_has_later_positions_and_nothing_is_done_again(
    places: tuple[Place, Place],
) -> None:
    old, new = places
    await new.imported(await old.exported())
    head, before = await old.log.head(), (await old.store.journal(None, 0, 1000))[-1]
    known = await old.owner.fetchval("SELECT message_id FROM inbox ORDER BY position LIMIT 1")
    again, more = Commit(heard(id=known)), writes("a", 1, parks=True)
    assert await outcomes(new.store, again, more) == [DUPLICATE, KEPT]
    assert await new.log.head() > head
    assert (await new.store.journal(None, before.position, 10))[0].direction == "in"
    assert [letter.id for letter in await new.store.dead_letters(0, 10)] == [1, 2]


async def test_an_export_of_an_import_is_the_same_but_for_its_first_line(
    places: tuple[Place, Place],
) -> None:
    old, new = places
    lines = await old.exported()
    await new.imported(lines)
    assert lines.splitlines()[1:-1] == (await new.exported()).splitlines()[1:-1]


async def test_bodies_can_be_read_by_a_person(places: tuple[Place, Place]) -> None:
    lines = [orjson.loads(line) for line in (await places[0].exported()).splitlines()]
    event, *_ = (line["stored_events"] for line in lines if "stored_events" in line)
    assert event["state"]["amount"] == 2599
    bodies = [line["outbox"]["body"] for line in lines if "outbox" in line]
    assert r"\x6e6f204a534f4e20ff" in bodies


async def test_a_store_is_exported_as_it_is_at_one_moment(places: tuple[Place, Place]) -> None:
    """What is written between two tables belongs to neither."""
    old, new = places
    before, lines = await old.rows(), io.BytesIO()
    loop, running = asyncio.get_running_loop(), []

    def write(line: bytes) -> None:
        lines.write(line)
        if not running:
            running.append(loop.create_task(append(old.store, writes("b", 1, sends=[told("9")]))))

    await export(old.log, write)
    await running[0]
    await new.imported(lines.getvalue())
    assert await new.rows() == before
    assert await old.rows() != before


async def test_pages_are_read_one_after_the_other(
    places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = places
    monkeypatch.setattr(exporting, "PAGE", 2)
    monkeypatch.setattr(bringing, "AT_ONCE", 2)
    await new.imported(await old.exported())
    assert await new.rows() == await old.rows()


def without_last(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def cut(lines: list[bytes]) -> list[bytes]:
    return [*lines[:5], lines[5][:40]]


def shorter(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], *lines[4:]]


def altered(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"amount":2599', b'"amount":9999') for line in lines]


def broken(lines: list[bytes]) -> list[bytes]:
    return [
        line.replace(b'"originator_version":1,', b'"originator_version":"one",') for line in lines
    ]


def twice(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[1], *lines[2:]]


def renamed(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'{"timers":', b'{"pg_class":') for line in lines]


def longer(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[1]]


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (without_last, "the export is cut off: it ends after"),
        (cut, "line 6 is damaged, or the export is cut off there"),
        (shorter, "the export was altered: of"),
        (altered, "the export was altered: of"),
        (broken, "the export was altered, at line"),
        (twice, "the export was altered, at line"),
        (renamed, "there is no such table or column: pg_class"),
        (longer, "something stands behind its last line"),
    ],
)
async def test_what_is_not_whole_is_refused_and_leaves_nothing(
    places: tuple[Place, Place], harm: Callable[[list[bytes]], list[bytes]], fault: str
) -> None:
    old, new = places
    empty = await new.rows()
    lines = harm((await old.exported()).splitlines(keepends=True))
    with pytest.raises(BadExport, match=fault):
        await new.imported(b"".join(lines))
    assert await new.rows() == empty


@pytest.mark.parametrize("lines", [b"", b"no JSON\n", b'{"export":99}\n', b"[]\n", b"{}\n"])
def test_what_does_not_begin_as_an_export_is_none(lines: bytes) -> None:
    with pytest.raises(BadExport):
        Reader(io.BytesIO(lines))


async def test_a_store_that_is_not_empty_takes_no_export(places: tuple[Place, Place]) -> None:
    old, _ = places
    before = await old.rows()
    with pytest.raises(NotEmpty, match="the store of payments is not empty"):
        await old.imported(await old.exported())
    assert await old.rows() == before


def head(**known: object) -> list[bytes]:
    return [orjson.dumps({"export": 1, "service": "payments", "migrations": [], **known})]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (head(service="ordering"), "it is an export of ordering, not of payments"),
        (head(migrations=["999_new.sql"]), r"a newer release wrote it \(its database has 999_new"),
    ],
)
async def test_what_does_not_belong_here_is_refused_before_anything_is_made(
    lines: list[bytes], fault: str, tmp_path: Path
) -> None:
    with pytest.raises(BadExport, match=fault):
        await import_store(tmp_path / "new", service, lines)
    assert not (tmp_path / "new").exists()


async def test_an_import_makes_a_folder_and_a_bad_one_leaves_none(
    places: tuple[Place, Place],
) -> None:
    lines = (await places[0].exported()).splitlines(keepends=True)
    with TemporaryDirectory(prefix="stagepost tests ", dir="/tmp") as folder:
        data = Path(folder)
        with pytest.raises(BadExport, match="cut off"):
            await import_store(data, service, lines[:-1])
        assert not has_data(data)
        assert await import_store(data, service, lines) == len(lines) - 2
        with held(data), pytest.raises(StackError, match="a stack runs on"):
            await import_store(data, service, lines)
        with pytest.raises(NotEmpty):
            await import_store(data, service, lines)
