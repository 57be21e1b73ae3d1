"""What holds of calls to the outside world, over HTTP and in memory alike."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from stagepost.engine.calls import Calls
from stagepost.engine.calls_http import HttpCalls
from stagepost.engine.calls_memory import MemoryCalls, Reply, Route
from stagepost.engine.http_client import MAX_ANSWER
from stagepost.errors import CallFailed

Routes = Mapping[tuple[str, str], Route]
Open = Callable[[Routes, float], Awaitable[Calls]]

LONG = 30.0
CHARGES = ("provider", "/charges")
YES = Reply(b'{"accepted":true}')


async def grants(_body: bytes, _key: str) -> Reply:
    return YES


def always(reply: Reply) -> Route:
    async def answer(_body: bytes, _key: str) -> Reply:
        return reply

    return answer


async def opened_in_memory(routes: Routes, seconds: float, stack: AsyncExitStack) -> Calls:
    calls = MemoryCalls(routes, seconds)
    stack.push_async_callback(calls.close)
    return calls


async def opened_over_http(routes: Routes, seconds: float, stack: AsyncExitStack) -> Calls:
    app = web.Application()
    for (to, path), route in routes.items():
        app.router.add_post(f"/{to}{path}", over_http(route))
    url = await stack.enter_async_context(serving(app))
    urls = {to: f"{url}/{to}" for to, _ in routes}
    calls = HttpCalls(urls, seconds)
    stack.push_async_callback(calls.close)
    return calls


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serve an app as a process would: it goes on with what its client gave up."""
    runner = web.AppRunner(app, shutdown_timeout=LONG)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await web.SockSite(runner, listener).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        await runner.cleanup()


def over_http(route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            reply = await route(await request.read(), request.headers["Idempotency-Key"])
        except ConnectionError:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(body=reply.body, status=reply.status)

    return handle


@pytest.fixture(params=[opened_in_memory, opened_over_http], ids=["memory", "http"])
async def open_calls(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_one(routes: Routes, seconds: float) -> Calls:
            calls: Calls = await request.param(routes, seconds, stack)
            return calls

        yield open_one


async def test_body_and_key_arrive_and_the_answer_comes_back_byte_for_byte(
    open_calls: Open,
) -> None:
    seen: list[tuple[bytes, str]] = []

    async def remember(body: bytes, key: str) -> Reply:
        seen.append((body, key))
        return Reply(b'{ "accepted" :true }')

    calls = await open_calls({CHARGES: remember}, LONG)
    answer = await calls.post("provider", "/charges", b'{"amount": 1}', "key-1")

    assert seen == [(b'{"amount": 1}', "key-1")]
    assert answer == b'{ "accepted" :true }'


async def test_each_path_of_each_part_is_its_own(open_calls: Open) -> None:
    routes = {
        ("provider", "/charges"): always(Reply(b"1")),
        ("provider", "/refunds"): always(Reply(b"2")),
        ("carrier", "/charges"): always(Reply(b"3")),
    }
    calls = await open_calls(routes, LONG)
    answers = [await calls.post(to, path, b"{}", "key") for to, path in routes]
    assert answers == [b"1", b"2", b"3"]


@pytest.mark.parametrize("status", [201, 204, 307, 400, 404, 409, 500, 503])
async def test_anything_but_200_has_failed_and_says_why(open_calls: Open, status: int) -> None:
    body = b"" if status == 204 else b'{"detail":"closed on Sundays"}'
    calls = await open_calls({CHARGES: always(Reply(body, status))}, LONG)
    with pytest.raises(CallFailed) as failed:
        await calls.post("provider", "/charges", b"{}", "key")
    assert f"POST /charges to provider was answered with {status}" in str(failed.value)
    assert status == 204 or "closed on Sundays" in str(failed.value)


async def test_a_path_that_is_not_there_has_failed(open_calls: Open) -> None:
    calls = await open_calls({CHARGES: grants}, LONG)
    with pytest.raises(CallFailed, match="POST /nothing to provider was answered with 404"):
        await calls.post("provider", "/nothing", b"{}", "key")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"accepted":tr'])
async def test_an_answer_that_is_not_json_has_failed(open_calls: Open, body: bytes) -> None:
    calls = await open_calls({CHARGES: always(Reply(body))}, LONG)
    with pytest.raises(CallFailed, match="with 200, but not with JSON"):
        await calls.post("provider", "/charges", b"{}", "key")


async def test_a_connection_that_is_lost_has_failed_and_the_next_call_is_made(
    open_calls: Open,
) -> None:
    seen: list[str] = []

    async def loses_the_first(_body: bytes, key: str) -> Reply:
        seen.append(key)
        if len(seen) == 1:
            raise ConnectionResetError("cable cut")
        return YES

    calls = await open_calls({CHARGES: loses_the_first}, LONG)
    with pytest.raises(CallFailed, match="POST /charges to provider got no answer"):
        await calls.post("provider", "/charges", b"{}", "key")

    assert await calls.post("provider", "/charges", b"{}", "key") == YES.body
    assert seen == ["key", "key"]


async def test_no_answer_in_time_has_failed_but_the_other_side_goes_on(open_calls: Open) -> None:
    proceed, acted = asyncio.Event(), asyncio.Event()

    async def late(_body: bytes, _key: str) -> Reply:
        await proceed.wait()
        acted.set()
        return YES

    calls = await open_calls({CHARGES: late}, 0.05)
    with pytest.raises(CallFailed, match=r"POST /charges to provider got no answer in 0\.05 s"):
        await calls.post("provider", "/charges", b"{}", "key")

    proceed.set()
    async with asyncio.timeout(LONG):
        await acted.wait()


async def test_a_part_that_nobody_located_has_failed_and_the_setting_is_named(
    open_calls: Open,
) -> None:
    calls = await open_calls({CHARGES: grants}, LONG)
    with pytest.raises(CallFailed, match="where carrier is: add it to STAGEPOST_CALLS"):
        await calls.post("carrier", "/parcels", b"{}", "key")


async def test_64_calls_are_under_way_at_once(open_calls: Open) -> None:
    everybody_is_here = asyncio.Event()
    here: list[str] = []

    async def wait_for_all(_body: bytes, key: str) -> Reply:
        here.append(key)
        if len(here) == 64:
            everybody_is_here.set()
        await everybody_is_here.wait()
        return Reply(key.encode())

    calls = await open_calls({CHARGES: wait_for_all}, LONG)
    async with asyncio.timeout(LONG):
        answers = await asyncio.gather(
            *(calls.post("provider", "/charges", b"{}", str(n)) for n in range(64))
        )
    assert answers == [str(n).encode() for n in range(64)]


async def test_closing_lets_calls_under_way_end_and_makes_no_more(open_calls: Open) -> None:
    arrived, proceed = asyncio.Event(), asyncio.Event()

    async def late(_body: bytes, _key: str) -> Reply:
        arrived.set()
        await proceed.wait()
        return YES

    calls = await open_calls({CHARGES: late}, LONG)
    under_way = asyncio.create_task(calls.post("provider", "/charges", b"{}", "key"))
    await arrived.wait()
    closing = asyncio.create_task(calls.close())
    await asyncio.sleep(0)  # closing has its turn
    with pytest.raises(CallFailed, match="no calls are made any more"):
        await calls.post("provider", "/charges", b"{}", "another key")

    assert not closing.done()
    proceed.set()
    assert await under_way == YES.body
    await closing


async def test_a_call_that_is_given_up_does_not_keep_it_from_closing(open_calls: Open) -> None:
    arrived, proceed = asyncio.Event(), asyncio.Event()

    async def late(_body: bytes, _key: str) -> Reply:
        arrived.set()
        await proceed.wait()
        return YES

    calls = await open_calls({CHARGES: late}, LONG)
    given_up = asyncio.create_task(calls.post("provider", "/charges", b"{}", "key"))
    await arrived.wait()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up

    async with asyncio.timeout(LONG):
        await calls.close()
    proceed.set()


async def test_over_http_nobody_there_has_failed(
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    calls = HttpCalls({"provider": f"http://127.0.0.1:{unused_tcp_port_factory()}"}, LONG)
    with pytest.raises(CallFailed, match=r"POST /charges to provider got no answer: .*Connect"):
        await calls.post("provider", "/charges", b"{}", "key")
    await calls.close()


async def test_over_http_the_body_is_json_and_the_connection_is_kept() -> None:
    seen: list[tuple[str, object]] = []

    async def handle(request: web.Request) -> web.Response:
        assert request.transport is not None
        seen.append((request.content_type, request.transport.get_extra_info("peername")))
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/provider/charges", handle)
    async with serving(app) as url:
        calls = HttpCalls({"provider": f"{url}/provider/"}, LONG)
        for _ in range(3):
            await calls.post("provider", "/charges", b"{}", "key")
        await calls.close()

    assert [content_type for content_type, _ in seen] == ["application/json"] * 3
    assert len({peer for _, peer in seen}) == 1


async def test_over_http_a_redirect_has_failed_and_is_not_followed() -> None:
    followed: list[str] = []

    async def redirect(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async def elsewhere(request: web.Request) -> web.Response:
        followed.append(request.path)
        return web.json_response({})

    app = web.Application()
    app.add_routes([web.post("/provider/charges", redirect), web.post("/elsewhere", elsewhere)])
    async with serving(app) as url:
        calls = HttpCalls({"provider": f"{url}/provider"}, LONG)
        with pytest.raises(CallFailed, match="was answered with 307"):
            await calls.post("provider", "/charges", b"{}", "key")
        await calls.close()
    assert followed == []


async def test_an_answer_without_end_is_not_kept_in_memory() -> None:
    sent = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 65_536)
            sent += 65_536

    app = web.Application()
    app.router.add_post("/provider/charges", pour)
    async with serving(app) as url:
        calls = HttpCalls({"provider": f"{url}/provider"}, LONG)
        with pytest.raises(CallFailed, match="the answer to POST /charges to provider has more"):
            await calls.post("provider", "/charges", b"{}", "key")
        await calls.close()
    assert sent < 20 * MAX_ANSWER
