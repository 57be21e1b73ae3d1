"""The watch: it gives room back as orders end, says how it goes, and knows when to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import cast

import pytest

from services.demo import watch
from services.demo.promises import Audit


class Stored:
    """Answers as the audit database would: each statement has its rows, the last one stays."""

    def __init__(self, **rows: list[Mapping[str, int]]) -> None:
        self._rows = {name: self._endless(answers) for name, answers in rows.items()}

    async def row(self, name: str) -> Mapping[str, int]:
        return next(self._rows[name])

    @staticmethod
    def _endless(answers: list[Mapping[str, int]]) -> Iterator[Mapping[str, int]]:
        yield from answers
        while True:
            yield answers[-1]


STAND = {"placed": 1, "confirmed": 2, "rejected": 0, "messages": 40}


def make(
    said: list[str],
    room: asyncio.Semaphore,
    before: Mapping[str, int] = watch.NOTHING,
    **rows: list[Mapping[str, int]],
) -> watch.Watch:
    stored = Stored(progress=[STAND], **rows)
    return watch.Watch(cast("Audit", stored), said.append, room, before)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK", 0.001)
    monkeypatch.setattr(watch, "TELL", 0.0)


async def test_what_had_ended_before_is_not_counted() -> None:
    room = asyncio.Semaphore(0)
    looks = [{"ended": 5}, {"ended": 7}]
    said: list[str] = []
    before = {"ended": 5, "confirmed": 1, "rejected": 0, "messages": 40}
    assert await make(said, room, before, ended=looks).until_ended(2)
    assert not room.locked()
    assert "1 confirmed" in said[-1]
    assert " 0 messages/s" in said[0]


async def test_it_waits_until_all_have_ended_and_gives_their_room_back() -> None:
    room = asyncio.Semaphore(0)
    looks = [{"ended": 0}, {"ended": 2}, {"ended": 3}]
    assert await make([], room, ended=looks).until_ended(3)
    async with asyncio.timeout(1):
        for _ in range(3):
            await room.acquire()
    assert room.locked()


async def test_it_says_how_the_orders_stand() -> None:
    said: list[str] = []
    await make(said, asyncio.Semaphore(), ended=[{"ended": 0}, {"ended": 3}]).until_ended(3)
    assert "1 waiting" in said[-1]
    assert "2 confirmed" in said[-1]
    assert "messages/s" in said[-1]


async def test_it_gives_up_when_nothing_moves_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "STALLED", 0.01)
    assert not await make([], asyncio.Semaphore(), ended=[{"ended": 1}]).until_ended(3)


async def test_it_does_not_give_up_while_messages_are_handled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "STALLED", 0.01)
    stored = Stored(
        ended=[*[{"ended": 0}] * 100, {"ended": 1}],
        progress=[{**STAND, "messages": n} for n in range(1, 200)],
    )
    slow = watch.Watch(cast("Audit", stored), lambda _: None, asyncio.Semaphore())
    assert await slow.until_ended(1)


async def test_it_settles_when_nothing_is_under_way() -> None:
    under_way = [{"messages": 2, "calls": 0}, {"messages": 0, "calls": 0}]
    await make([], asyncio.Semaphore(), under_way=under_way).until_settled()


async def test_what_never_settles_is_left_to_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SETTLED", 0.01)
    await make([], asyncio.Semaphore(), under_way=[{"messages": 1}]).until_settled()
