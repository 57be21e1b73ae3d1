"""A short drill on the whole stack: what is survived is told, and so is what is not."""

from __future__ import annotations

import time
from pathlib import Path

import asyncpg
import pytest

from tests.drill import run
from tests.drill.catalogue import named
from tests.drill.fault import Fault, NotFired, Struck
from tests.drill.report import Injection, Report
from tests.drill.run import drill
from tests.drill.site import Site, until_it_holds


async def lose_a_message(site: Site) -> Struck:
    """Remove from an inbox what was heard: as if the message had never arrived."""
    connection = await asyncpg.connect(site.stack.databases.owner_dsn("shipping"))
    lost = "DELETE FROM inbox WHERE type = 'shipping.ShipGoods' AND key = $1 RETURNING key"
    found = "SELECT key FROM inbox WHERE type = 'shipping.ShipGoods' AND key LIKE $1 LIMIT 1"
    try:

        async def some() -> bool:
            return bool(await connection.fetchval(found, f"{site.load.window.prefix}%"))

        assert await until_it_holds(some, 10)
        key = await connection.fetchval(found, f"{site.load.window.prefix}%")
        told = await connection.fetchval(lost, key)
        return Struck(f"{told} was never told to ship", time.time())
    finally:
        await connection.close()


async def miss(_: Site) -> Struck:
    raise NotFired("nobody was there")


async def test_a_drill_tells_what_was_survived_what_was_broken_and_what_was_never_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "STILL", 1.5)
    plan = [
        *named(["kill -9 of payments", "all of the request was sent"]),
        Fault("a message is lost", lose_a_message),
        Fault("nothing is done", miss),
    ]
    told: list[Injection] = []

    injections, strays = await drill(plan, 7, tmp_path, told.append)

    assert told == injections
    killed, cut, lost, missed = injections
    for survived in (killed, cut):
        assert survived.is_well, (survived.broken, survived.failures)
        assert survived.orders > 10
        assert len(survived.findings) >= 9
    assert killed.standstill > 0.3
    assert "2 no message is lost" in lost.broken
    assert missed.failures == ["not fired: nobody was there"]
    assert not missed.broken
    assert strays == 0
    assert not Report(7, 1.0, injections, 4, 4, strays).all_is_well
