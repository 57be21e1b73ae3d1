"""The figures: each measures what it says, and none is told where a promise is broken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.demo.book import Book
from services.demo.promises import Finding
from stagepost.engine import relay
from stagepost.engine.discovery import find_services
from stagepost.engine.flow import Flow
from tests.bench import carry, figures, replay, rivals, sustained, travel
from tests.bench.append import SCRIPT
from tests.bench.book import two_lines
from tests.bench.figures import FIGURES, LONG, Bench
from tests.bench.load import BenchFailed, Run
from tests.bench.options import Options
from tests.bench.parts import BODY, batches, open_store
from tests.bench.probe import Probed
from tests.bench.rivals import Peer, best
from tests.bench.servers import Servers
from tests.bench.sustained import MESSAGES_SENT, Sustained

SOME = 400
"""Messages: two batches."""


@pytest.fixture
def data(folder: Path, tmp_path: Path) -> Path:
    """Where single parts look for passwords: those of the server, which other tests use too."""
    (tmp_path / "servers").symlink_to(folder)
    return tmp_path


async def test_the_relay_is_done_when_it_has_published_whenever_it_notes_that(
    servers: Servers, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "NOTE_SECONDS", 600)
    monkeypatch.setattr(carry, "MESSAGES", SOME)
    monkeypatch.setattr(carry, "PATIENCE", 20)
    relayed, consumed = await carry.carry_ratios(servers, data, print)
    assert relayed > 0
    assert consumed > 0


async def test_pgbench_writes_as_many_keys_as_append(servers: Servers, data: Path) -> None:
    keys = "SELECT count(DISTINCT key) FROM inbox UNION ALL SELECT count(DISTINCT key) FROM outbox"
    async with open_store(servers, data, "bench") as store:
        connection = await asyncpg.connect(servers.postgres.dsn("bench"))
        try:
            await connection.execute(SCRIPT.format(rows=SOME, body=rf"\x{BODY.hex()}"))
            theirs = [row[0] for row in await connection.fetch(keys)]
            for batch in batches(SOME):
                await store.append(batch)
            both = [row[0] for row in await connection.fetch(keys)]
        finally:
            await connection.close()
    assert theirs == [SOME, SOME]
    assert both == [2 * SOME, 2 * SOME]


async def test_calls_are_not_counted_as_messages(servers: Servers) -> None:
    await servers.fresh("counted")
    connection = await asyncpg.connect(servers.postgres.dsn("counted"))
    try:
        for name in find_services():
            await connection.execute(
                f'CREATE SCHEMA "{name}"; CREATE TABLE "{name}".outbox (kind text);'
                f"INSERT INTO \"{name}\".outbox VALUES ('event'), ('command'), ('call')"
            )
        assert await connection.fetchval(MESSAGES_SENT) == 2 * len(find_services())
    finally:
        await connection.close()
        await servers.drop("counted")


async def test_a_peer_counts_by_the_best_of_its_settings(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Peer("peer.py", processes=1, orders=60, settings=[{"s": 6}, {"s": 2}, {"s": 3}])

    async def installed(*_: object) -> Path:
        return tmp_path

    async def run(_: Peer, settings: Mapping[str, Any], *more: object) -> float:
        return float(settings["s"])

    monkeypatch.setattr(rivals, "_installed", installed)
    monkeypatch.setattr(rivals, "_run", run)
    assert await best(peer, servers, tmp_path, print) == 30


def test_orders_per_second_count_until_the_last_one_has_ended() -> None:
    assert Run(orders=100, placed=2.0, ended=8.0).orders_per_second == 12.5


class _Audit:
    """An auditor who finds one promise broken, or none."""

    def __init__(self, *_: object) -> None:
        pass

    async def row(self, _: str) -> dict[str, int]:
        return {}

    async def check(self, promise: str) -> Finding:
        return Finding(promise != "5 money agrees to the cent", "1 cent too many")


async def test_there_is_no_figure_where_a_promise_is_broken(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def holds(*_: object) -> Finding:
        return Finding(holds=True, detail="all of them")

    class Stack:
        audit_dsn = servers.postgres.dsn("postgres")
        flow, services = Flow(), Flow().services

    for name, instead in (("Audit", _Audit), ("check_views", holds), ("check_snapshots", holds)):
        monkeypatch.setattr(sustained, name, instead)
    with pytest.raises(BenchFailed, match="broken: 5 money agrees to the cent: 1 cent too many"):
        await sustained.check(Stack(), [two_lines(20, 7)], print)  # type: ignore[arg-type]


async def test_replay_folds_what_the_library_s_reader_folds(
    servers: Servers, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "EVENTS", 200)
    monkeypatch.setattr(replay, "ROUNDS", 1)
    ours, theirs = await replay.replay_rates(servers, data, print)
    assert ours > 0
    assert theirs > 0


async def test_an_aggregate_is_looked_at_as_it_is_and_as_it_was(
    servers: Servers, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(travel, "EVENTS", 300)
    monkeypatch.setattr(travel, "TIMES", 3)
    assert await travel.state_at_ms(servers, data, print) > 0


async def test_verify_is_measured_in_a_process_of_its_own(servers: Servers, data: Path) -> None:
    assert await replay.verify_peak(servers, data, 500, print) > 0


CHECKED = {
    "sustained": ["bench"],
    "inprocess": ["bench"],
    "rest": ["bench"],
    "growth": ["bench", "many"],
    "history": ["bench"],
}
"""The figures that place orders, and the books on which the promises are then checked."""


@pytest.mark.parametrize("figure", CHECKED)
async def test_every_figure_that_places_orders_checks_the_promises_on_them(
    figure: str, tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    @asynccontextmanager
    async def stack(*_: object, **__: object) -> AsyncIterator[None]:
        yield

    async def push(_stack: object, book: Book, _say: object) -> Sustained:
        return Sustained(Run(len(book.orders), 1.0, 2.0), 11, {"ordering": 1}, {"ordering": 90})

    async def probe(_: object) -> Probed:
        return Probed(1000, 0.7, {})

    async def at_rest(*_: object) -> list[float]:
        return [15.0]

    async def check(_stack: object, books: Sequence[Book], _say: object) -> None:
        checked.extend(book.orders[0].order_id.partition("-")[0] for book in books)

    monkeypatch.setattr(Bench, "stack", stack)
    for name, instead in (
        ("push", push),
        ("probe", probe),
        ("at_rest", at_rest),
        ("check", check),
        ("SETTLE", 0),
        ("FIRST", 20),
        ("MANY", 20),
    ):
        monkeypatch.setattr(figures, name, instead)
    bench = Bench(Options(orders=20), tmp_path, servers, print)
    assert await (FIGURES | LONG)[figure](bench)
    assert checked == CHECKED[figure]
