"""What the HTTP layer refuses, and how it says so: a problem document for every failure."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from socket import IPPROTO_TCP, TCP_INFO, create_server

import httpx
import pytest
import structlog
from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import NotAuthorizedException
from structlog.testing import capture_logs

from stagepost.engine.telemetry import configure_logging
from stagepost.engine.web import Probe, server
from stagepost.engine.web.problems import PROBLEMS_PAGE, AnyRequest
from stagepost.errors import Conflict, NotFound, Refused
from stagepost.messages import MAX_BIGINT
from tests.engine.shop import GOOD, RAISED, World, problem_of

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with World().served() as client:
        yield client


LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"Content-Type: application/json\r\nContent-Length: 4000\r\n\r\n{"


async def connect(
    client: httpx.AsyncClient,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(client.base_url.host, client.base_url.port)


async def all_that_comes(client: httpx.AsyncClient, sent: bytes) -> bytes:
    """Send this and nothing else; return what comes until the connection is closed."""
    reader, writer = await connect(client)
    writer.write(sent)
    async with asyncio.timeout(5):
        said = await reader.read()
    writer.close()
    return said


def answers_in(said: bytes) -> list[httpx.Response]:
    """Read answers as they came, without the one that says to go on."""
    answers = []
    while said:
        head, _, said = said.partition(b"\r\n\r\n")
        line, *headers = head.decode().split("\r\n")
        pairs = [(name, value) for name, _, value in (each.partition(": ") for each in headers)]
        length = int(dict(pairs).get("content-length", 0))
        status, body, said = int(line.split()[1]), said[:length], said[length:]
        answers += [httpx.Response(status, headers=pairs, content=body)] if status >= 200 else []
    return answers


def fields(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(fault["in"], fault["pointer"]) for fault in problem_of(answer)["errors"]]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"", [""]),
        (b"{", [""]),
        (b"\xff\xfe", [""]),
        (b"[" * 100_000, [""]),
        (b"[]", [""]),
        (b"{}", ["/lines"]),
        (b'{"lines": []}', ["/lines"]),
        (b'{"lines": [{"sku": "a", "quantity": "2"}]}', ["/lines/0/quantity"]),
        (b'{"lines": [{"sku": "a", "quantity": true}]}', ["/lines/0/quantity"]),
        (b'{"lines": [{"sku": "a", "quantity": 2.5}]}', ["/lines/0/quantity"]),
        (b'{"lines": [{"sku": "a", "quantity": 1e300}]}', ["/lines/0/quantity"]),
        (b'{"lines": [{"sku": "a", "quantity": -1}]}', ["/lines/0/quantity"]),
        (b'{"lines": [{"sku": "a", "quantity": 18446744073709551616}]}', ["/lines/0/quantity"]),
        (b'{"lines": [{"sku": "a\\u0000", "quantity": 1}]}', ["/lines/0/sku"]),
        (b'{"lines": [{"sku": "a", "quantity": 1}], "gift": "\\u0000"}', ["/gift"]),
        (b'{"lines": [{"sku": "a", "quantity": 1}], "a/b~c": 1}', ["/a~1b~0c"]),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_with_a_pointer_to_the_field(
    client: httpx.AsyncClient, body: bytes, pointers: list[str]
) -> None:
    answer = await client.post("/baskets", content=body, headers=JSON)
    assert answer.status_code == 400
    assert fields(answer) == [("body", pointer) for pointer in pointers]


async def test_a_number_without_a_fraction_is_an_integer(client: httpx.AsyncClient) -> None:
    body = b'{"lines": [{"sku": "a", "quantity": 2.0}]}'
    answer = await client.post("/baskets", content=body, headers=JSON)
    assert (answer.status_code, answer.json()) == (201, {"lines": 2})


async def test_no_more_faults_are_told_than_a_person_can_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/baskets", json=GOOD | {f"x{n}": n for n in range(5000)})
    assert len(fields(answer)) == 20


@pytest.mark.parametrize("more", ["; charset=utf-8", ""])
async def test_a_body_that_fits_is_taken(client: httpx.AsyncClient, more: str) -> None:
    kind = {"Content-Type": f"application/json{more}"}
    answer = await client.post(
        "/baskets", content=b'{"lines":[{"sku":"a","quantity":2}]}', headers=kind
    )
    assert (answer.status_code, answer.json()) == (201, {"lines": 2})


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_is_not_said_to_be_json_is_refused(
    client: httpx.AsyncClient, kind: str
) -> None:
    answer = await client.post("/baskets", content=b"{}", headers={"Content-Type": kind})
    assert problem_of(answer)["status"] == 415


@pytest.mark.parametrize(("size", "status"), [(1024 * 1024, 201), (1024 * 1024 + 1, 413)])
async def test_a_body_may_have_one_mebibyte(
    client: httpx.AsyncClient, size: int, status: int
) -> None:
    body = b'{"lines":[{"sku":"a","quantity":2}]}'.ljust(size)
    answer = await client.post("/baskets", content=body, headers=JSON)
    assert answer.status_code == status
    if status == 413:
        problem_of(answer)


@pytest.mark.parametrize(
    ("path", "faults"),
    [
        ("/journal?limit=0", [("query", "/limit")]),
        ("/journal?limit=501", [("query", "/limit")]),
        ("/journal?limit=ten", [("query", "/limit")]),
        ("/journal?limit=1_0", [("query", "/limit")]),
        ("/journal?after=-1", [("query", "/after")]),
        (f"/journal?after={MAX_BIGINT + 1}", [("query", "/after")]),
        ("/journal?limit=2&limit=2", [("query", "/limit")]),
        ("/journal?limt=2", [("query", "/limt")]),
        ("/journal?order_id=%00", [("query", "/order_id")]),
        ("/journal?order_id=a%0A", [("query", "/order_id")]),
        ("/journal?order_id=%ff", [("query", "/order_id")]),
        ("/baskets/a%00", [("path", "/name")]),
        ("/baskets/a%0A", [("path", "/name")]),
        (f"/baskets/{'a' * 65}", [("path", "/name")]),
    ],
)
async def test_a_parameter_that_does_not_fit_is_refused_by_name(
    client: httpx.AsyncClient, path: str, faults: list[tuple[str, str]]
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 400
    assert fields(answer) == faults


async def test_there_is_a_problem_for_an_address_that_does_not_exist(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/nowhere", "/schema/nowhere", "/docs/assets/nowhere", "/docs/assets/..%2fapp.py"):
        assert problem_of(await client.get(path))["status"] == 404


async def test_a_method_that_an_address_has_not_is_refused_with_those_it_has(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.delete("/baskets/a")
    assert problem_of(answer)["status"] == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "PUT", "OPTIONS"}


async def test_options_names_every_method_of_an_address(client: httpx.AsyncClient) -> None:
    answer = await client.options("/baskets/a")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, OPTIONS, PUT")


@pytest.mark.parametrize(
    ("name", "status", "title"),
    [
        ("nothing", 404, NotFound.title),
        ("taken", 409, Conflict.title),
        ("other", 409, Refused.title),
    ],
)
async def test_a_refusal_says_why(
    client: httpx.AsyncClient, name: str, status: int, title: str
) -> None:
    problem = problem_of(await client.get(f"/baskets/{name}"))
    assert (problem["status"], problem["title"]) == (status, title)
    assert problem["detail"] == str(RAISED[name])


async def test_a_refusal_points_to_the_field_at_fault(client: httpx.AsyncClient) -> None:
    assert fields(await client.get("/baskets/taken")) == [("body", "/lines/1")]


async def test_who_is_turned_away_for_want_of_room_is_told_why_and_when_to_come_back(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/baskets/full")
    assert problem_of(answer)["status"] == 503
    assert problem_of(answer)["detail"] == "the disk has 3 MiB left"
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize("name", ["down", "cut"])
async def test_what_cannot_be_reached_is_to_be_tried_again(
    client: httpx.AsyncClient, name: str
) -> None:
    with capture_logs() as logged:
        answer = await client.get(f"/baskets/{name}")
    assert problem_of(answer)["status"] == 503
    assert answer.headers["retry-after"] == "1"
    assert str(RAISED[name]) not in answer.text
    assert [line["error"] for line in logged] == [str(RAISED[name])]


async def test_a_bug_is_told_to_the_log_and_to_nobody_else(client: httpx.AsyncClient) -> None:
    with capture_logs() as logged:
        answer = await client.get("/baskets/bug")
    problem = problem_of(answer)
    assert problem["status"] == 500
    assert not re.search("secret|Traceback|RuntimeError", answer.text)
    assert [(line["instance"], line["exc_info"]) for line in logged] == [
        (problem["instance"], RAISED["bug"])
    ]


async def test_a_client_that_hangs_up_in_mid_request_is_no_fault_of_ours(
    client: httpx.AsyncClient,
) -> None:
    with capture_logs() as logged:
        _, writer = await connect(client)
        writer.write(b"PUT /baskets/a HTTP/1.1\r\nHost: x\r\n" + HALF)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await asyncio.sleep(0.2)
    assert logged == []


@pytest.mark.parametrize(
    "sent",
    [
        b"GE",
        b"GET /health/live HTTP/1.1\r\nHost",
        b"PUT /baskets/a HTTP/1.1\r\nHost: x\r\n" + HALF,
        b"PUT /baskets/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n" + HALF,
    ],
    ids=["in its first line", "in its headers", "in its body", "in its body, asked for"],
)
async def test_a_client_that_never_finishes_its_request_is_told_so_and_cut_off(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    with capture_logs() as logged:
        answers = answers_in(await all_that_comes(client, sent))
    assert logged == []
    answer = answers[-1]
    assert [each.status_code for each in answers] == [408]
    assert problem_of(answer)["detail"] == "it was not sent whole within 0.3 s"
    assert answer.headers["connection"] == "close"
    assert "date" in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_after_an_answer_too_who_never_finishes_the_next_request_is_told_so(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    reader, writer = await connect(client)
    writer.write(LIVE)
    assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 OK")
    writer.write(LIVE[:10])
    async with asyncio.timeout(5):
        assert (await reader.read()).startswith(b"HTTP/1.1 408 Request Timeout")
    writer.close()


async def test_a_client_that_sends_nothing_is_cut_off(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    assert await all_that_comes(client, b"") == b""


async def test_who_was_answered_before_their_request_was_whole_is_told_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nobody(request: AnyRequest) -> None:
        raise NotAuthorizedException("who are you?")

    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    async with World().served(nobody) as client:
        said = await all_that_comes(client, b"PUT /baskets/a HTTP/1.1\r\nHost: x\r\n" + HALF)
    assert [answer.status_code for answer in answers_in(said)] == [401]


@pytest.mark.parametrize("next_one", [LIVE[:10], b"PUT /baskets/a HTTP/1.1\r\nHost: x\r\n" + HALF])
async def test_a_request_that_waits_for_its_answer_is_not_given_that_of_the_next(
    monkeypatch: pytest.MonkeyPatch, next_one: bytes
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    world = World()
    world.probes = [Probe("database", asyncio.Event().wait, vital=True)]
    async with world.served() as client:
        ready = LIVE.replace(b"live", b"ready")
        assert await all_that_comes(client, ready + next_one) == b""


@pytest.mark.parametrize(
    "piece", [b"a", b"a: b\r\n"], ids=["one header without an end", "headers without an end"]
)
async def test_a_client_that_says_too_much_before_its_body_is_cut_off(
    client: httpx.AsyncClient, piece: bytes
) -> None:
    reader, writer = await connect(client)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\na: ")
    async with asyncio.timeout(5):
        with suppress(ConnectionError):
            for _ in range(3):
                writer.write(piece * (server.MAX_HEAD // len(piece)))
                await writer.drain()
            assert await reader.read() == b""
    assert (await client.get("/health/live")).status_code == 200
    writer.close()


async def test_a_client_that_says_too_much_behind_its_body_is_cut_off(
    client: httpx.AsyncClient,
) -> None:
    reader, writer = await connect(client)
    writer.write(b"PUT /baskets/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    async with asyncio.timeout(5):
        with suppress(ConnectionError):
            for _ in range(3):
                writer.write(b"a: b\r\n" * (server.MAX_HEAD // 6))
                await writer.drain()
            await reader.read()
    writer.close()


async def test_many_small_chunks_do_not_count_as_headers(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(server.MAX_HEAD // 2):
            yield b" "

    answer = await client.put("/baskets/a", content=chunks(), headers=JSON)
    assert problem_of(answer)["status"] == 400


async def test_what_a_body_has_does_not_count_as_headers(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        body = b" " * (2 * server.MAX_HEAD)
        answer = await client.put("/baskets/a", content=body, headers=JSON)
        assert problem_of(answer)["status"] == 400


async def test_a_client_that_asks_again_and_again_is_not_cut_off(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    reader, writer = await connect(client)
    for _ in range(4):
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.15)
    assert not reader.at_eof()
    writer.close()


def test_a_traceback_in_the_log_shows_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    address = "1 Station Road"
    try:
        int(address)
    except ValueError:
        structlog.get_logger().exception("a fault")
    structlog.reset_defaults()
    written = capsys.readouterr().err
    assert "ValueError" in written
    assert "locals" not in written


async def test_every_problem_is_explained_where_its_type_leads(client: httpx.AsyncClient) -> None:
    page = (await client.get(PROBLEMS_PAGE)).text
    for path in ("/nowhere", "/baskets/taken", "/journal?x=1"):
        address, _, anchor = problem_of(await client.get(path))["type"].partition("#")
        assert address == PROBLEMS_PAGE
        assert f'id="{anchor}"' in page


async def test_who_may_not_ask_is_turned_away_at_every_address() -> None:
    async def nobody(request: AnyRequest) -> None:
        raise NotAuthorizedException("who are you?")

    async with World().served(nobody) as client:
        for path in ("/", "/journal", "/baskets/a", "/schema/openapi.json"):
            assert problem_of(await client.get(path))["status"] == 401


@pytest.mark.skipif(sys.platform != "linux", reason="where the kernel tells")
async def test_only_so_many_connections_wait_to_be_accepted() -> None:
    with create_server(("127.0.0.1", 0)) as listening:
        app = Litestar(state=State({"leave": lambda: None}))
        serving = server.http_server(app, host="", port=0, fd=listening.fileno())
        task = asyncio.create_task(serving.serve())
        async with asyncio.timeout(5):
            while not serving.started:
                await asyncio.sleep(0.01)
        told = listening.getsockopt(IPPROTO_TCP, TCP_INFO, 32)
        serving.end()
        await task
    assert int.from_bytes(told[28:32], sys.byteorder) == server.BACKLOG  # of one that listens


@pytest.mark.parametrize("path", ["/", "/journal", "/nowhere", "/docs/assets/docs.js"])
async def test_every_answer_carries_the_headers_that_protect_browsers(
    client: httpx.AsyncClient, path: str
) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "server" not in headers
