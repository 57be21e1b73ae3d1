"""How a drill works: what it sees is judged, what it orders is done, what it asks is there."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from services.demo.promises import Finding
from stagepost.engine.database import read_statements
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.postgres import Postgres
from tests.conftest import NewDatabase
from tests.drill import audit, faults_host, faults_http, run
from tests.drill.fault import Fault, NotFired, Struck
from tests.drill.load import Window
from tests.drill.points import Orders, Point, Stop
from tests.drill.run import Attempt, Drill
from tests.drill.site import Site, is_stopped, until

ROOT = Path(__file__).parents[2]
BACK_AT = 100.0


async def strike(_: Site) -> Struck:
    return Struck("done", BACK_AT)


KEPT = Fault("the test's own", strike)
LEFT = Fault("leaves orders", strike, waits="what is lost is lost")


class Audit:
    """An auditor to whom all is quiet, but for the orders that have not ended."""

    def __init__(self, ended: frozenset[str] = frozenset()) -> None:
        self._ended = ended

    async def look_at(self, *_: object) -> None:
        pass

    async def ended(self) -> frozenset[str]:
        return self._ended

    async def under_way(self) -> dict[str, int]:
        return {}

    async def waiting(self) -> list[str]:
        return []

    async def check(self) -> dict[str, Finding]:
        return {}


class Load:
    async def until_accepted(self, _: Window) -> list[str]:
        return []


def drill_with(seen: Audit) -> Drill:
    watch = SimpleNamespace(seen=[BACK_AT])
    return Drill(None, Load(), watch, seen, seed=7)  # type: ignore[arg-type]


def attempt_of(fault: Fault, **asked: float) -> Attempt:
    """A fault that was done among orders that were asked for at these times."""
    window = Window("w0001", asked=asked, accepted=dict(asked))
    return Attempt(0, fault, window, {}, at=99.0, struck=Struck("done", BACK_AT))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "STILL", 0.3)
    monkeypatch.setattr(run, "GIVEN_UP", 0.1)


async def test_requests_that_were_answered_500_fail_the_drill() -> None:
    attempt = attempt_of(KEPT, o1=99.5)
    attempt.window.answers["500"] = 2
    judged = await drill_with(Audit())._judge(attempt)
    assert judged.failures == ["2 requests were answered 500"]
    assert not judged.is_well


async def test_excuses_that_the_shop_may_make_fail_nothing() -> None:
    attempt = attempt_of(KEPT, o1=99.5)
    attempt.window.answers.update({"503": 2, "late": 1})
    assert (await drill_with(Audit())._judge(attempt)).is_well


@pytest.mark.parametrize(
    ("fault", "ended", "failed"),
    [
        (KEPT, {"o1", "o2"}, False),
        (KEPT, {"o2"}, True),
        (LEFT, {"o2"}, False),
        (LEFT, {"o1"}, True),
    ],
    ids=["all ended", "one is open", "who came before may wait", "who came after may not"],
)
async def test_orders_that_came_when_all_was_back_must_end_whatever_was_lost_before(
    fault: Fault, ended: set[str], *, failed: bool
) -> None:
    attempt = attempt_of(fault, o1=BACK_AT - 1, o2=BACK_AT + 1)
    await drill_with(Audit(frozenset(ended)))._until_quiet(attempt)
    assert bool(attempt.failures) == failed
    assert attempt.waiting == 2 - len(ended)


def rolled(answers: Mapping[str, int], monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose rolling restarts make clients hear this."""
    heard: Counter[str] = Counter({"503": 3})

    async def restart(*_: object) -> AsyncIterator[str]:
        heard.update(answers)
        yield "ordering-1"

    monkeypatch.setattr(faults_http, "rolling_restart", restart)
    load = SimpleNamespace(window=SimpleNamespace(answers=heard))
    stack = SimpleNamespace(data=None, services=["ordering", "payments"])
    return Site(stack, load, Random(7), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("roll", [faults_http.roll, faults_http.roll_ordering])
@pytest.mark.parametrize("failure", ["cut: ServerDisconnectedError", "503"])
async def test_a_request_that_fails_in_a_rolling_restart_fails_the_drill(
    roll: Callable[[Site], Any], failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFired, match="requests failed meanwhile"):
        await roll(rolled({failure: 1}, monkeypatch))


async def test_a_rolling_restart_that_nobody_notices_is_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "no request failed" in (await faults_http.roll(rolled({}, monkeypatch))).proof


async def test_a_request_may_be_late_only_where_no_other_instance_could_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = rolled({"late": 2}, monkeypatch)
    assert (await faults_http.roll(site)).figures == {"late_requests": 2}
    with pytest.raises(NotFired, match="'late': 2"):
        await faults_http.roll_ordering(site)


def passing(folder: Path) -> subprocess.Popen[str]:
    """A process of payments that comes to a point, and says so when it has passed."""
    code = (
        "from pathlib import Path; from tests.drill.points import Point, Points;"
        f"Points(Path({str(folder)!r}), 'payments').reach(Point.CALLER_BEFORE_APPEND);"
        "print('passed')"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_who_comes_to_a_point_where_it_is_to_be_killed_does_not_pass(tmp_path: Path) -> None:
    orders = Orders(tmp_path)
    orders.give("payments", Point.CALLER_BEFORE_APPEND, Stop.KILL)
    process = passing(tmp_path)
    assert process.communicate(timeout=20)[0] == ""
    assert process.returncode == -signal.SIGKILL
    assert orders.reached_by("payments") == process.pid


async def test_who_comes_to_a_point_where_it_is_to_pause_passes_when_it_is_woken(
    tmp_path: Path,
) -> None:
    orders = Orders(tmp_path)
    orders.give("payments", Point.CALLER_BEFORE_APPEND, Stop.PAUSE)
    process = passing(tmp_path)
    try:
        assert await until(lambda: is_stopped(process.pid), 20)
        assert orders.reached_by("payments") == process.pid
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert process.communicate(timeout=20)[0] == "passed\n"


def test_nobody_stops_at_another_point_than_it_was_told(tmp_path: Path) -> None:
    Orders(tmp_path).give("payments", Point.TIMER_BEFORE_APPEND, Stop.KILL)
    assert passing(tmp_path).communicate(timeout=20)[0] == "passed\n"


@pytest.fixture
async def two_databases(
    new_database: NewDatabase, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], Site]:
    """Two services whose disks can be full."""
    names = [(await new_database(service)).name for service in ("payments", "shipping")]
    monkeypatch.setattr(faults_host, "FULL", 0.1)
    monkeypatch.setattr(faults_host, "WRITTEN", 1.0)
    monkeypatch.setattr(faults_host, "WAY", tuple(names))
    stack = SimpleNamespace(services=names, superuser_dsn=postgres.dsn("postgres"))
    return names, Site(stack, None, Random(7), None)  # type: ignore[arg-type]


async def write_into(databases: Databases, name: str) -> None:
    """Write again and again until the disk is full, once more than that."""
    connection = await asyncpg.connect(databases.dsn(name))
    try:
        for _ in range(2):
            with pytest.raises(asyncpg.DiskFullError):
                await _until_refused(connection)
    finally:
        await connection.close()


async def _until_refused(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    while True:
        try:
            await connection.execute("INSERT INTO inbox (message_id) VALUES (gen_random_uuid())")
        except asyncpg.NotNullViolationError:
            await asyncio.sleep(0.01)


async def test_a_full_disk_counts_where_every_database_has_refused_a_write(
    two_databases: tuple[list[str], Site], databases: Databases
) -> None:
    names, site = two_databases
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(write_into(databases, name))
        struck = group.create_task(faults_host.database_full(site))
    assert struck.result().proof == "4 writes were refused"


async def test_a_full_disk_that_one_database_never_came_to_was_not_done(
    two_databases: tuple[list[str], Site], databases: Databases
) -> None:
    (first, last), site = two_databases
    writing = asyncio.create_task(write_into(databases, last))
    with pytest.raises(NotFired, match=f"{first} wrote nothing"):
        await faults_host.database_full(site)
    await writing


async def test_a_window_has_the_events_that_its_messages_caused_and_no_others(
    new_database: NewDatabase,
) -> None:
    """Streams of which only the past is known, and streams of other windows, stay outside."""
    statements = read_statements(Path(audit.__file__).with_name("window.sql"))
    made = await new_database("payments")
    connection = await asyncpg.connect(made.owner)
    try:
        await connection.execute(
            """CREATE SCHEMA all_payments; CREATE SCHEMA payments;
               CREATE TABLE all_payments.inbox (message_id int, key text);
               CREATE TABLE all_payments.stored_events
                 (notification_id int, originator_id int, causation_id int);
               CREATE TABLE payments.stored_events (LIKE all_payments.stored_events);
               INSERT INTO all_payments.inbox VALUES (1, 'w0002-1'), (2, 'w0001-9'), (3, 'w0002-2');
               INSERT INTO all_payments.stored_events
               VALUES (10, 70, 1), (11, 71, 1), (12, 72, 2), (13, 71, 2), (14, 73, 3)"""
        )
        shown = partial(statements["events"].format, service="payments", prefix="w0002-")
        await connection.execute(shown(since=10))
        rows = await connection.fetch(
            "SELECT notification_id FROM payments.stored_events ORDER BY 1"
        )
    finally:
        await connection.close()
    assert [row[0] for row in rows] == [11, 13, 14]
