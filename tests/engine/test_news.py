"""A fault that lasts is worth a line when it begins, and one now and then."""

from __future__ import annotations

import asyncio

import pytest

from stagepost.engine import news
from stagepost.engine.news import News
from stagepost.engine.runtime import Instance
from stagepost.errors import TransportError


async def test_what_was_just_told_is_not_new() -> None:
    told = News()
    assert [told.is_new(what) for what in ("down", "down", "refused", "refused", "down")] == [
        *(True, False, True, False, True)
    ]


async def test_what_lasts_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "SAY_AGAIN", 0.05)
    told = News()
    assert told.is_new("down")
    await asyncio.sleep(0.06)
    assert told.is_new("down")
    assert not told.is_new("down")


async def test_a_part_that_fails_at_each_attempt_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    attempts = 0

    async def fail() -> None:
        nonlocal attempts
        attempts += 1
        raise TransportError("it is gone")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Instance._forever(object.__new__(Instance), "nats", fail), 0.9)
    assert attempts > 2
    assert capsys.readouterr().out.count("it is gone") == 1
