"""What the bench itself rests on: its load, its yardstick, its reading of /proc, its marks."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator

import pytest
from rich.console import Console

from services.demo.book import Cancel, generate
from stagepost.engine.stack.ports import free_port
from stagepost.errors import BadSettings
from tests.bench.__main__ import chosen
from tests.bench.book import EARLY, two_lines, waits
from tests.bench.cpu import cpu_seconds, rss_mib
from tests.bench.figures import compared
from tests.bench.http import Connection, Connections, answer_in, request
from tests.bench.marks import MARKS, missed, show
from tests.bench.options import Options
from tests.bench.probe import probe
from tests.bench.servers import Servers


def test_the_book_has_the_demo_s_mix_in_orders_of_two_lines() -> None:
    book, demo = two_lines(600, seed=7), generate(600, seed=7)
    assert {len(order.lines) for order in book.orders} == {2}
    assert sum(map(waits, book.orders)) == sum(map(waits, demo.orders)) > 0
    assert len({order.order_id for order in book.orders}) == 600
    for cancel in Cancel:
        wanted = sum(order.cancel is cancel for order in demo.orders)
        assert sum(order.cancel is cancel for order in book.orders) == wanted


def test_orders_that_wait_by_the_clock_stand_in_the_first_part_of_the_book() -> None:
    orders = two_lines(600, seed=7).orders
    assert not any(map(waits, orders[int(600 * EARLY) :]))
    assert any(map(waits, orders[:100]))


@pytest.mark.parametrize(
    ("received", "answer"),
    [
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}", (202, b"{}")),
        (b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", (304, b"")),
        (b"HTTP/1.1 202 Accepted\r\ncontent-length: 3\r\n\r\n{}", None),
        (b"HTTP/1.1 202 Accepted\r\nContent-Le", None),
    ],
)
def test_an_answer_is_complete_when_its_body_is(
    received: bytes, answer: tuple[int, bytes] | None
) -> None:
    assert answer_in(received) == answer


@pytest.fixture
async def app() -> AsyncIterator[str]:
    """Serve an app that answers in two parts, and hangs up on who asks for /gone."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            body = await reader.readexactly(length)
            if b"/gone" in head:
                writer.close()
                return
            answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%s" % (length, body)
            writer.write(answer[:20])
            await writer.drain()
            writer.write(answer[20:])

    async def until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    port = free_port()
    async with await asyncio.start_server(until_the_end, "127.0.0.1", port):
        yield f"http://127.0.0.1:{port}"


async def test_the_load_asks_again_on_connections_that_stay_open(app: str) -> None:
    connections = await Connections.open(app, 3)
    asking = [connections.ask(request("POST", f"{app}/orders", b"x" * n, {})) for n in range(20)]
    assert await asyncio.gather(*asking) == [202] * 20
    connections.close()


async def test_the_load_sees_that_a_server_hung_up(app: str) -> None:
    connection = await Connection.open(app)
    with pytest.raises(ConnectionResetError):
        await connection.ask(request("POST", f"{app}/gone", b"", {}))


async def test_the_probe_carries_eight_messages_an_order_over_five_services(
    servers: Servers,
) -> None:
    probed = await probe(servers, orders=50)
    others = dict.fromkeys(("ordering", "payments", "inventory", "shipping"), 50)
    assert probed.messages == {**others, "fulfillment": 4 * 50}
    assert probed.orders_per_second > 1
    assert probed.cpu_ms > 0


def test_cpu_time_and_memory_are_this_process_s_own() -> None:
    before, started = cpu_seconds({"me": os.getpid()})["me"], time.process_time()
    while time.process_time() - started < 0.2:
        sum(range(100_000))
    used = cpu_seconds({"me": os.getpid()})["me"] - before
    assert used == pytest.approx(time.process_time() - started, abs=0.05)
    assert 5 < rss_mib(os.getpid()) < 5000


def test_a_figure_is_held_against_its_mark() -> None:
    good = {mark.key: mark.stretch for mark in MARKS}
    assert missed(good) == []
    assert missed({"vs_probe": 0.19, "idle_cpu_percent": 3.1, "append_ratio": 0.4}) == [
        "vs_probe",
        "idle_cpu_percent",
    ]


def test_the_table_names_what_misses_its_mark() -> None:
    out = io.StringIO()
    show({"vs_dbos": 3.5, "history_ratio": 0.98}, Console(file=out, width=100))
    lines = out.getvalue().splitlines()
    assert any(line.startswith("MISSED") and "3.5 x" in line for line in lines)
    assert any(line.startswith("stretch") and "0.98" in line for line in lines)
    assert "Below reach: vs_dbos" in lines


def test_peers_are_compared_by_what_the_probe_did_beside_them() -> None:
    figures = {"vs_probe": 0.3, "dbos_vs_probe": 0.05}
    assert compared(figures) == {"vs_dbos": 6.0}
    assert compared({"dbos_vs_probe": 0.05}) == {}


def test_only_some_figures_are_measured_where_only_some_are_asked_for() -> None:
    assert chosen(Options(only="idle,append")) == ["idle", "append"]
    assert "history" not in chosen(Options())
    assert "history" in chosen(Options(soak=True))
    with pytest.raises(BadSettings, match="ONLY=speed: there are sustained"):
        chosen(Options(only="speed"))
