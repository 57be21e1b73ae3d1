"""Commands of senders without an outbox: handled once, answered, and refused where not declared."""

from __future__ import annotations

from uuid import uuid4

import pytest

from stagepost.engine.external import EXTERNAL
from tests.engine.counter import until, until_awaited
from tests.external.outside import World

HEADERS = {"ce-version": "1"}


async def test_a_command_from_outside_is_handled_and_answered(world: World) -> None:
    webshop = await world.outside("webshop")
    async with world.running() as counter:
        sent = await webshop.send("a", 2)

        answer = await webshop.next_answer()

        assert answer == {"caller": "webshop", "reference": "a", "name": "a", "total": 2}
        assert await world.total(counter, "a") == 2
    asked, told = await world.store.journal("a", 0, 10)
    assert (asked.id, asked.peer, asked.outcome) == (sent, "EXTERNAL.webshop", "handled")
    assert (asked.correlation, asked.causation) == (sent, None)
    assert (told.correlation, told.causation) == (sent, sent)


async def test_a_refusal_is_an_answer_too(world: World) -> None:
    webshop = await world.outside("webshop")
    async with world.running():
        await webshop.send("a", -2)
        assert (await webshop.next_answer())["reason"] == "it only grows"


async def test_the_operator_needs_no_declaration(world: World) -> None:
    operator = await world.outside("operator")
    async with world.running():
        sent = await operator.send("a", 2)
        assert await world.until_heard(sent) == {sent: "handled"}


async def test_what_comes_twice_under_its_id_has_one_effect(world: World) -> None:
    webshop = await world.outside("webshop")
    async with world.running() as counter:
        identity = uuid4()
        for _ in range(3):
            await webshop.send("a", 1, identity)
        last = await webshop.send("a", 10)
        await world.until_heard(last)
        assert await world.total(counter, "a") == 11


async def test_what_was_sent_while_nobody_read_waits(world: World) -> None:
    webshop = await world.outside("webshop")
    sent = [await webshop.send("a", by) for by in (1, 10)]
    async with world.running() as counter:
        await world.until_heard(*sent)
        assert await world.total(counter, "a") == 11
    sent = [await webshop.send("a", by) for by in (100, 1000)]
    async with world.running("counter-2") as counter:
        await world.until_heard(*sent)
        assert await world.total(counter, "a") == 1111
        cursors = await world.store.cursors("consumer")
    assert {cursor.id.source: cursor.at for cursor in cursors.values()} == {EXTERNAL: 4}


# What should not have come.


async def test_what_does_not_fit_is_a_dead_letter_that_holds_nobody_up(world: World) -> None:
    webshop = await world.outside("webshop")
    async with world.running() as counter:
        bad = await webshop.send("a", "many")
        garbage = uuid4()
        await webshop.put(b"\xff{", HEADERS | {"ce-id": str(garbage)})
        newer = uuid4()
        await webshop.put(b"{}", {"ce-version": "9", "ce-id": str(newer)})
        good = [await webshop.send("a", 1), await webshop.send("b", 1)]

        outcomes = await world.until_heard(bad, garbage, newer, *good)

        assert [outcomes[one] for one in (bad, garbage, newer)] == ["parked"] * 3
        assert [outcomes[one] for one in good] == ["handled"] * 2
        assert counter.desk.parked == {str(one) for one in (bad, garbage, newer)}
    letters = {letter.message.id: letter for letter in await world.store.dead_letters(0, 10)}
    assert "does not fit its contract at /by" in letters[bad].reason
    assert "has version 9, this release knows up to 1" in letters[newer].reason
    assert letters[bad].message.source == "EXTERNAL.webshop"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ce-id": "first", **HEADERS},
        {"ce-id": str(uuid4())},
        {"ce-version": "1"},
        {"ce-id": str(uuid4()), "ce-version": str(2**31)},  # more than the store's integer
    ],
)
async def test_without_its_id_and_version_it_is_a_dead_letter_until_a_person_lets_it_in(
    world: World, headers: dict[str, str]
) -> None:
    webshop = await world.outside("webshop")
    body = b'{"caller": "webshop", "reference": "a", "name": "a", "by": 7}'
    async with world.running() as counter:
        await webshop.put(body, headers)
        await until_awaited(lambda: world.store.dead_letters(0, 1))
        (letter,) = await world.store.dead_letters(0, 10)
        assert "its headers must name it (ce-id, a UUID)" in letter.reason

        await world.store.redrive([letter.id])

        await until(lambda: not counter.desk.parked)
        assert await world.total(counter, "a") == 7


@pytest.mark.parametrize(
    ("subject", "head"),
    [
        (b"Count", b"x"),
        (b"Count", b"NATS/1.0"),
        (b"Count", b"HTTP/1.1 \xff 200\r\n\r\n"),
        (b"\xff", b"NATS/1.0\r\n\r\n"),
    ],
    ids=["no headers", "half of them", "another protocol", "no text as a subject"],
)
async def test_what_no_library_would_send_silences_nobody(
    world: World, subject: bytes, head: bytes
) -> None:
    operator = await world.outside("operator")
    put = (b"EXTERNAL.operator.command.counter.%s" % subject, len(head), len(head), head)
    async with world.running():
        await operator.client._send_command(b"HPUB %s %d %d\r\n%s\r\n" % put)
        good = await operator.send("a", 1)
        assert await world.until_heard(good) == {good: "handled"}
    (letter,) = await world.store.dead_letters(0, 10)
    assert "its headers must name it (ce-id, a UUID)" in letter.reason


async def test_nobody_outside_holds_up_what_a_service_says_of_the_same(world: World) -> None:
    webshop = await world.outside("webshop")
    async with world.running() as counter:
        forged = await webshop.send("a", 1, caller="client")
        assert await world.until_heard(forged) == {forged: "parked"}
        good = await webshop.send("a", 10)
        assert await world.until_heard(good) == {good: "handled"}
        assert await world.total(counter, "a") == 10
    (letter,) = await world.store.dead_letters(0, 10)
    assert letter.reason == "counter.Count names 'client' as its caller, but 'webshop' sent it"


@pytest.mark.parametrize("name", ["stranger", "client", "counter", "EXTERNAL"])
async def test_whoever_gets_past_the_broker_undeclared_is_refused_by_the_service(
    world: World, name: str
) -> None:
    admin = await world.outside("admin")
    identity = uuid4()
    for_client = b'{"caller": "%s", "reference": "a", "name": "a", "by": 7}' % name.encode()
    async with world.running() as counter:
        await admin.put(for_client, HEADERS | {"ce-id": str(identity)}, sender=name)
        assert await world.until_heard(identity) == {identity: "parked"}
        assert await world.total(counter, "a") == 0
    (letter,) = await world.store.dead_letters(0, 10)
    assert letter.reason.startswith(f"'{name}' sent counter.Count from outside, and does not")


@pytest.mark.parametrize(
    ("name", "said"),
    [("Counted", "names 'counter' as its caller"), ("Recount", "no contract here")],
)
async def test_what_is_no_command_of_the_service_is_a_dead_letter(
    world: World, name: str, said: str
) -> None:
    operator = await world.outside("operator")
    identity = uuid4()
    body = b'{"caller": "operator", "reference": "a", "name": "a", "by": 7, "total": 7}'
    async with world.running() as counter:
        await operator.put(body, HEADERS | {"ce-id": str(identity)}, name=name)
        assert await world.until_heard(identity) == {identity: "parked"}
        assert counter.desk.parked == {str(identity)}
    (letter,) = await world.store.dead_letters(0, 10)
    assert said in letter.reason


async def test_once_a_sender_is_declared_what_it_sent_can_be_let_in(world: World) -> None:
    admin = await world.outside("admin")
    identity = uuid4()
    body = b'{"caller": "stranger", "reference": "a", "name": "a", "by": 7}'
    async with world.running():
        await admin.put(body, HEADERS | {"ce-id": str(identity)}, sender="stranger")
        await world.until_heard(identity)
    world.senders = {"stranger": ("counter.Count",)}
    async with world.running("counter-2") as counter:
        (letter,) = await world.store.dead_letters(0, 10)
        await world.store.redrive([letter.id])
        await until_awaited(lambda: world.total(counter, "a"))
        assert await world.total(counter, "a") == 7
