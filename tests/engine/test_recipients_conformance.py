"""What holds of recipients of commands, over HTTP and in memory alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from stagepost.engine.envelope import Envelope
from stagepost.engine.recipients import NoRecipients, Recipients
from stagepost.engine.recipients_http import HttpRecipients
from stagepost.engine.recipients_memory import MemoryRecipients, Taker
from stagepost.engine.transports.http_envelope import read_binary, write_binary
from stagepost.errors import CallFailed, GivenUp, NoRoom
from tests.engine.counter import World
from tests.engine.posting import LONG, answer_to
from tests.engine.test_calls_conformance import serving

Open = Callable[[Taker, float], Awaitable[Recipients]]


async def opened_in_memory(taker: Taker, seconds: float, exits: AsyncExitStack) -> Recipients:
    recipients = MemoryRecipients({"counter": taker}, seconds)
    exits.push_async_callback(recipients.close)
    return recipients


async def opened_over_http(taker: Taker, seconds: float, exits: AsyncExitStack) -> Recipients:
    async def handle(request: web.Request) -> web.Response:
        try:
            answer = await taker(read_binary(request.headers, await request.read()))
        except ConnectionError:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        except GivenUp as error:
            return web.Response(status=410, text=str(error))
        except NoRoom as error:
            return web.Response(status=503, text=str(error))
        if answer is None:
            return web.Response(status=202)
        return web.Response(body=answer.body, headers=write_binary(answer))

    app = web.Application()
    app.router.add_post("/commands", handle)
    url = await exits.enter_async_context(serving(app))
    recipients = HttpRecipients({"counter": f"{url}/"}, seconds, {})
    exits.push_async_callback(recipients.close)
    return recipients


@pytest.fixture(params=[opened_in_memory, opened_over_http], ids=["memory", "http"])
async def open_recipients(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    async with AsyncExitStack() as exits:

        async def open_one(taker: Taker, seconds: float) -> Recipients:
            recipients: Recipients = await request.param(taker, seconds, exits)
            return recipients

        yield open_one


def command(name: str = "a") -> Envelope:
    return World().next_command(name, 1)


async def answers(asked: Envelope) -> Envelope | None:
    return answer_to(asked)


async def test_the_command_arrives_and_its_answer_comes_back_as_they_are(
    open_recipients: Open,
) -> None:
    seen: list[Envelope] = []

    async def note(asked: Envelope) -> Envelope | None:
        seen.append(asked)
        return answer_to(asked)

    recipients = await open_recipients(note, LONG)
    for name in ("a", "a b/c", "Grüße, 世界", "a%20"):
        asked = command(name)
        assert await recipients.ask(asked) == answer_to(asked)
        assert seen.pop() == asked


async def test_without_an_answer_there_is_none(open_recipients: Open) -> None:
    async def none_yet(_: Envelope) -> Envelope | None:
        return None

    recipients = await open_recipients(none_yet, LONG)
    assert await recipients.ask(command()) is None


async def test_a_recipient_that_cannot_take_it_now_says_why(open_recipients: Open) -> None:
    async def full(_: Envelope) -> Envelope | None:
        raise NoRoom("the disk has 3 MiB left")

    recipients = await open_recipients(full, LONG)
    with pytest.raises(CallFailed, match=r"counter\.Count to counter was .*3 MiB left"):
        await recipients.ask(command())


async def test_a_recipient_that_has_given_it_up_says_why(open_recipients: Open) -> None:
    async def given_up(_: Envelope) -> Envelope | None:
        raise GivenUp("discarded: nobody wants it")

    recipients = await open_recipients(given_up, LONG)
    with pytest.raises(GivenUp, match="discarded: nobody wants it"):
        await recipients.ask(command())


async def test_a_lost_connection_has_failed_and_the_next_is_made(open_recipients: Open) -> None:
    times = 0

    async def loses_the_first(asked: Envelope) -> Envelope | None:
        nonlocal times
        times += 1
        if times == 1:
            raise ConnectionResetError("cable cut")
        return answer_to(asked)

    recipients = await open_recipients(loses_the_first, LONG)
    asked = command()
    with pytest.raises(CallFailed, match=r"counter\.Count to counter got no answer"):
        await recipients.ask(asked)
    assert await recipients.ask(asked) == answer_to(asked)


async def test_no_answer_in_time_has_failed_but_the_recipient_goes_on(
    open_recipients: Open,
) -> None:
    proceed, acted = asyncio.Event(), asyncio.Event()

    async def late(asked: Envelope) -> Envelope | None:
        await proceed.wait()
        acted.set()
        return answer_to(asked)

    recipients = await open_recipients(late, 0.05)
    with pytest.raises(CallFailed, match=r"got no answer in 0\.05 s"):
        await recipients.ask(command())
    proceed.set()
    async with asyncio.timeout(LONG):
        await acted.wait()


async def test_a_recipient_that_nobody_located_has_failed_and_the_setting_is_named(
    open_recipients: Open,
) -> None:
    recipients = await open_recipients(answers, LONG)
    with pytest.raises(CallFailed, match="where bank is: add it to STAGEPOST_SERVICES"):
        await recipients.ask(World().next_command("a", 1, recipient="bank"))


async def test_64_are_asked_at_once(open_recipients: Open) -> None:
    everybody_is_here = asyncio.Event()
    here: list[Envelope] = []

    async def wait_for_all(asked: Envelope) -> Envelope | None:
        here.append(asked)
        if len(here) == 64:
            everybody_is_here.set()
        await everybody_is_here.wait()
        return answer_to(asked)

    recipients = await open_recipients(wait_for_all, LONG)
    asked = [command(f"k{n}") for n in range(64)]
    async with asyncio.timeout(LONG):
        found = await asyncio.gather(*map(recipients.ask, asked))
    assert found == [answer_to(one) for one in asked]


async def test_closing_lets_what_is_under_way_end_and_brings_no_more(
    open_recipients: Open,
) -> None:
    arrived, proceed = asyncio.Event(), asyncio.Event()

    async def late(asked: Envelope) -> Envelope | None:
        arrived.set()
        await proceed.wait()
        return answer_to(asked)

    recipients = await open_recipients(late, LONG)
    asked = command()
    under_way = asyncio.create_task(recipients.ask(asked))
    await arrived.wait()
    closing = asyncio.create_task(recipients.close())
    await asyncio.sleep(0)  # closing has its turn
    with pytest.raises(CallFailed, match="no calls are made any more"):
        await recipients.ask(command("b"))
    assert not closing.done()
    proceed.set()
    assert await under_way == answer_to(asked)
    await closing


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"{}", "no message of ours"),
        (200, b"", "no message of ours"),
        (204, b"", "answered with 204"),
        (307, b"", "answered with 307"),
        (404, b"<html>", "answered with 404: <html>"),
        (421, b"this is payments", "answered with 421: this is payments"),
        (500, b"", r"answered with 500: \(no text\)"),
    ],
)
async def test_over_http_whatever_is_no_answer_has_failed_and_says_why(
    status: int, body: bytes, said: str
) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_post("/commands", handle)
    async with serving(app) as url:
        recipients = HttpRecipients({"counter": url}, LONG, {})
        with pytest.raises(CallFailed, match=said):
            await recipients.ask(command())
        await recipients.close()


# In their own way.


async def test_nobody_listening_is_a_recipient_that_is_gone(unused_tcp_port: int) -> None:
    recipients = HttpRecipients({"counter": f"http://127.0.0.1:{unused_tcp_port}"}, LONG, {})
    with pytest.raises(CallFailed, match=r"counter\.Count to counter got no answer"):
        await recipients.ask(command())
    await recipients.close()


async def test_a_recipient_that_nobody_located_is_named_with_the_setting() -> None:
    recipients = HttpRecipients({}, LONG, {})
    with pytest.raises(CallFailed, match="where counter is: add it to STAGEPOST_SERVICES"):
        await recipients.ask(command())
    await recipients.close()


async def test_where_no_command_goes_over_http_one_of_former_links_waits() -> None:
    with pytest.raises(CallFailed, match=r"counter\.Count was to go over HTTP"):
        await NoRecipients().ask(command())
