"""One service of the bare probe: `python -m tests.bench.probe_service NAME ORDERS`.

Events, outbox and cursor in one statement per micro-batch; a relay that publishes in the order of
the outbox and waits for the last acknowledgement only; push consumers without acknowledgements. It
says `ready`; `ordering` then waits for a line on standard input, places its orders, and says how
many seconds passed until the last of them was fulfilled, and how many it used itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import nats
import orjson
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg

from stagepost.engine.database import Pool, open_pool, read_statements
from tests.bench.probe_words import READS, WORDS, About, place, react

SQL = read_statements(Path(__file__).parent / "sql" / "probe.sql")
RATE = 5000
"""Orders placed in a second: more than anybody carries."""
TICK = 0.02
MAX_BATCH = 500


class Service:
    """Reads, decides, appends, publishes."""

    def __init__(self, name: str, pool: Pool, client: Client) -> None:
        self._name = name
        self._pool = pool
        self._client = client
        self._wake = asyncio.Event()
        self._queue: asyncio.Queue[Msg] = asyncio.Queue()
        self.finished = 0

    async def subscribe(self) -> None:
        """Read what this service wants to hear, from the beginning."""
        inbox = self._client.new_inbox()
        await self._client.subscribe(
            inbox, cb=self._received, pending_msgs_limit=1_000_000, pending_bytes_limit=1 << 30
        )
        for subject in READS[self._name]:
            stream = "PROBE_" + subject.split(".")[0]
            config = {
                "ack_policy": "none",
                "deliver_policy": "all",
                "filter_subject": "probe." + subject,
                "mem_storage": True,
                "inactive_threshold": 30_000_000_000,
                "deliver_subject": inbox,
            }
            request = json.dumps({"stream_name": stream, "config": config}).encode()
            answer = await self._client.request(f"$JS.API.CONSUMER.CREATE.{stream}", request)
            assert b'"error"' not in answer.data, answer.data

    async def _received(self, message: Msg) -> None:
        self._queue.put_nowait(message)

    async def relay(self) -> None:
        """Publish the outbox."""
        position = sequence = 0
        while True:
            rows = await self._pool.fetch(SQL["outbox"], position)
            if not rows:
                self._wake.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            for number, (at, subject, meta, body) in enumerate(rows):
                headers = {
                    "Nats-Expected-Last-Sequence": str(sequence + number),
                    "ce-id": f"{self._name}:{at}",
                    "meta": meta,
                }
                to = f"probe.{self._name}.{subject}"
                if number < len(rows) - 1:
                    await self._client.publish(to, body, headers=headers)
                else:
                    answer = await self._client.request(to, body, timeout=10, headers=headers)
                    assert b'"error"' not in answer.data, answer.data
            sequence += len(rows)
            position = rows[-1][0]
            await self._pool.execute(SQL["sent"], position)

    async def place(self, orders: int) -> None:
        """Place orders at a steady pace, some in each statement."""
        start, done, size = time.perf_counter(), 0, int(RATE * TICK)
        while done < orders:
            ids = [uuid4() for _ in range(min(size, orders - done))]
            bodies = [place(order).model_dump_json().encode() for order in ids]
            some = len(ids)
            await self._append(
                ids,
                [1] * some,
                ["OrderPlaced"] * some,
                bodies,
                ["event.OrderPlaced"] * some,
                ["{}"] * some,
                bodies,
                0,
            )
            done += some
            await asyncio.sleep(max(0.0, start + done / RATE - time.perf_counter()))

    async def work(self, orders: int) -> None:
        """Work off what is heard until so many orders have been fulfilled."""
        while self.finished < orders:
            batch = [await self._queue.get()]
            while not self._queue.empty() and len(batch) < MAX_BATCH:
                batch.append(self._queue.get_nowait())
            await self._handle(batch)

    async def _handle(self, batch: Sequence[Msg]) -> None:
        heard = [WORDS[m.subject.rsplit(".", 1)[1]].model_validate_json(m.data) for m in batch]
        versions: dict[UUID, int] = {}
        for row in await self._pool.fetch(SQL["load"], [about.order_id for about in heard]):
            versions[row[0]] = row[1]
            orjson.loads(row[3])
        ids: list[UUID] = []
        numbers: list[int] = []
        topics: list[str] = []
        states: list[bytes] = []
        subjects: list[str] = []
        headers: list[str] = []
        bodies: list[bytes] = []
        for message, about in zip(batch, heard, strict=True):
            order = about.order_id
            versions[order] = versions.get(order, 0) + 1
            ids.append(order)
            numbers.append(versions[order])
            topics.append(message.subject)
            if (following := react(about)) is None:
                states.append(message.data)
                self.finished += 1
                continue
            kind, said = following
            bodies.append(said.model_dump_json().encode())
            states.append(bodies[-1])
            subjects.append(f"{kind}.{type(said).__name__}")
            headers.append(_meta(about, message))
        await self._append(ids, numbers, topics, states, subjects, headers, bodies, len(batch))

    async def _append(self, *arguments: object) -> None:
        await self._pool.fetchval(SQL["append"], *arguments)
        self._wake.set()


def _meta(about: About, cause: Msg) -> str:
    return json.dumps(
        {"correlation": str(about.order_id), "causation": (cause.headers or {})["ce-id"]}
    )


async def main(name: str, orders: int) -> None:
    """Be one service, until ended; `ordering` ends by itself."""
    pool = await open_pool(os.environ["PROBE_DATABASE"], size=3)
    await pool.execute(SQL["tables"])
    client = await nats.connect(os.environ["PROBE_NATS"], pending_size=64 << 20)
    service = Service(name, pool, client)
    relay = asyncio.create_task(service.relay())
    await service.subscribe()
    print("ready", flush=True)  # noqa: T201  # whoever started it listens
    if name == "ordering":
        await asyncio.to_thread(sys.stdin.readline)
        started = time.perf_counter()
        placing = asyncio.create_task(service.place(orders))
        await service.work(orders)
        await placing
        print(time.perf_counter() - started, time.process_time(), flush=True)  # noqa: T201
        os._exit(0)  # what it has under way is of no use to anybody
    await asyncio.gather(relay, service.work(sys.maxsize))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
