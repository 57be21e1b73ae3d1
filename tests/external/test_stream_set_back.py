"""The stream of those outside is set back: what it lost is lost, what comes after it is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

import nats
import pytest

from stagepost.engine.external import EXTERNAL
from stagepost.engine.transports.nats_api import ask
from stagepost.engine.transports.nats_rules import ADMIN
from tests.engine.counter import until_awaited
from tests.external.outside import World


async def asked(world: World, call: str, body: object = None) -> None:
    admin = await nats.connect(world.server.url(ADMIN))
    await ask(admin, call, body)
    await admin.close()


async def empty(world: World) -> None:
    """As when the disk is gone: it counts from the beginning again."""
    await world.forget()


async def cut(world: World) -> None:
    """As when its files are cut: the end is gone, and its numbers are given again."""
    await asked(world, f"STREAM.DELETE.{EXTERNAL}")
    await world.server.provision()
    admin = await world.outside("admin")
    body = b'{"caller": "webshop", "reference": "a", "name": "a", "by": 1}'
    headers = {"ce-id": str(world.first), "ce-version": "1"}
    await admin.put(body, headers, sender="webshop")


@pytest.mark.parametrize("later", [1, 2, 3, 5])
@pytest.mark.parametrize("lose", [empty, cut])
async def test_what_comes_after_a_loss_is_read_whether_or_not_it_has_the_same_numbers(
    world: World, lose: Callable[[World], Awaitable[None]], later: int
) -> None:
    webshop = await world.outside("webshop")
    async with world.running() as counter:
        world.first = await webshop.send("a", 1)
        await world.until_heard(world.first, *[await webshop.send("a", 1) for _ in range(2)])
        assert await world.total(counter, "a") == 3

    await lose(world)
    sent = [await webshop.send("a", 10) for _ in range(later)]

    async with world.running("counter-2") as counter:
        await world.until_heard(*sent)
        assert await world.total(counter, "a") == 3 + 10 * later
    async with world.running("counter-3") as counter:  # and once only
        last = await webshop.send("a", 1000)
        await world.until_heard(last)
        assert await world.total(counter, "a") == 1003 + 10 * later
        lives = {c.id.incarnation for c in (await world.store.cursors("consumer")).values()}
    assert lives == {1, 2}


async def test_a_loss_is_seen_where_what_has_our_number_now_is_for_somebody_else(
    world: World,
) -> None:
    webshop = await world.outside("webshop")
    async with world.running():
        await world.until_heard(*[await webshop.send("a", 1) for _ in range(2)])

    await world.forget()
    sent = await webshop.send("a", 10)
    admin = await world.outside("admin")
    for _ in range(2):
        await admin.put(b"{}", {"ce-id": str(uuid4()), "ce-version": "1"}, to="somebody")

    async with world.running("counter-2") as counter:
        await world.until_heard(sent)
        assert await world.total(counter, "a") == 12


async def test_a_loss_while_it_is_read_is_seen_at_once(world: World) -> None:
    webshop = await world.outside("webshop")
    async with world.running() as counter:
        await world.until_heard(*[await webshop.send("a", 1) for _ in range(3)])

        await world.forget()

        await world.until_heard(*[await webshop.send("a", 10) for _ in range(3)])
        assert await world.total(counter, "a") == 33


async def test_what_somebody_took_out_is_no_loss_of_the_rest(world: World) -> None:
    webshop = await world.outside("webshop")
    async with world.running():
        await world.until_heard(*[await webshop.send("a", 1) for _ in range(3)])
    await asked(world, f"STREAM.MSG.DELETE.{EXTERNAL}", {"seq": 3})
    last = await webshop.send("a", 10)
    async with world.running("counter-2") as counter:
        await world.until_heard(last)
        assert await world.total(counter, "a") == 13
        lives = [c.id.incarnation for c in (await world.store.cursors("consumer")).values()]
    assert lives == [1]


async def test_what_has_no_name_is_not_taken_for_what_stood_there_before_the_loss(
    world: World,
) -> None:
    webshop = await world.outside("webshop")
    async with world.running():
        await webshop.put(b"first", {})
        await until_awaited(lambda: world.store.dead_letters(0, 1))

    await world.forget()
    await webshop.put(b"second", {})

    async with world.running("counter-2"):
        await world.until_heard(await webshop.send("a", 1))
    letters = await world.store.dead_letters(0, 10)
    assert [letter.message.body for letter in letters] == [b"first", b"second"]
