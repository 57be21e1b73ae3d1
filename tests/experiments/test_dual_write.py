"""How lost messages and ghosts are counted; and a few kills in each way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.ordering.app import service as ordering
from stagepost.engine.links import Links
from stagepost.engine.transports.nats_provision import provision
from stagepost.engine.transports.nats_rules import ADMIN
from tests.conftest import NewDatabase
from tests.engine.nats_server import NatsServer
from tests.experiments import dual_write
from tests.experiments.dual_write import forking, killed
from tests.experiments.dual_write_books import Books, result
from tests.experiments.dual_write_victim import Place, Way

CLEAN = Books(2, frozenset({"0-1", "1-1"}), (("a", "0-1"), ("b", "1-1")), frozenset({"0-1"}))
LOST = Books(2, frozenset({"0-1", "1-1", "1-2"}), (("a", "0-1"),), frozenset({"0-1", "1-1"}))
GHOSTS = Books(
    3,
    frozenset({"0-1", "2-1"}),
    (("a", "0-1"), ("b", "1-1"), ("c", "2-1"), ("d", "2-1")),
    frozenset({"0-1"}),
)


def test_each_order_that_was_told_once_is_clean() -> None:
    assert CLEAN.is_clean
    assert (CLEAN.lost, CLEAN.ghosts, CLEAN.harmful) == (set(), set(), 0)


def test_an_order_without_a_message_is_lost() -> None:
    assert LOST.lost == {"1-1", "1-2"}
    assert LOST.lost & LOST.accepted == {"1-1"}
    assert LOST.harmful == 1  # one kill, two orders


def test_a_message_without_an_order_is_a_ghost_and_two_of_one_order_are_told_twice() -> None:
    assert GHOSTS.ghosts == {"1-1"}
    assert GHOSTS.told_twice == {"2-1"}
    assert GHOSTS.harmful == 2


def test_a_message_that_is_repeated_under_its_id_is_no_second_one() -> None:
    books = Books(1, frozenset({"0-1"}), (("a", "0-1"), ("a", "0-1")), frozenset())
    assert books.told_twice == set()
    assert books.is_clean


def test_it_holds_where_the_outbox_alone_is_clean() -> None:
    ways = (Way.COMMIT_FIRST, Way.PUBLISH_FIRST, Way.OUTBOX)
    assert result(dict(zip(ways, (LOST, GHOSTS, CLEAN), strict=True))).holds
    assert not result(dict(zip(ways, (LOST, CLEAN, CLEAN), strict=True))).holds
    assert not result(dict(zip(ways, (LOST, GHOSTS, GHOSTS), strict=True))).holds


@pytest.fixture
async def place(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Place]:
    nats = NatsServer(tmp_path)
    nats.start()
    await provision(nats.url(ADMIN), [ordering], Links())
    yield Place((await new_database("ordering")).service, nats.url(ADMIN), tmp_path / "log")
    nats.kill()


@pytest.mark.parametrize("way", Way)
async def test_who_is_killed_has_taken_orders_and_kept_what_was_answered(
    way: Way, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dual_write, "KILLS", 3)

    books = await killed(way, place, forking())

    assert {order.partition("-")[0] for order in books.stored} <= {"000", "001", "002"}
    assert len(books.stored) > 3
    assert books.told
    assert books.missing == set()
    assert books.is_clean or way is not Way.OUTBOX
