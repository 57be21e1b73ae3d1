"""The relay alone and the consumer alone, against nats-py with the same bytes and nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import pairwise
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from stagepost.engine.batch import LEASE, CursorId
from stagepost.engine.calls_memory import MemoryCalls
from stagepost.engine.envelope import Envelope
from stagepost.engine.ids import SystemIds
from stagepost.engine.links import Links
from stagepost.engine.network import Network
from stagepost.engine.relay import MAX_CHUNK, Relay
from stagepost.engine.runtime import CONSUMER, Instance
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.tables_memory import MemoryTables
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats import NatsTransport
from stagepost.engine.transports.nats_api import ask
from stagepost.engine.transports.nats_envelope import headers_of, subject_of
from stagepost.engine.transports.nats_provision import provision, stream_config
from tests.bench.parts import READER, SOURCE, Done, batches, open_store
from tests.bench.servers import Servers

MESSAGES = 40_000
LOOK = 0.005
PATIENCE = 120.0


async def carry_ratios(
    servers: Servers, data: Path, say: Callable[[str], None]
) -> tuple[float, float]:
    """Return what relay and consumer carry for each message of bare nats-py.

    The relay reads an outbox that is full; nats-py publishes the same headers and bodies from
    memory, in chunks as large, with one acknowledgement each. The consumer then reads the stream
    that the relay wrote and keeps each message in its inbox, by a handler that does nothing;
    nats-py reads it with a pull consumer and with a push consumer, of which the faster counts.
    """
    await provision(servers.nats_url, [SOURCE, READER], Links())
    async with open_store(servers, data, SOURCE.name) as store:
        for batch in batches(MESSAGES):
            await store.append(batch)
        sent = await _all(store)
        last = sent[-1].position
        relayed = await _relay(servers, store, last)
    async with open_store(servers, data, READER.name) as store:
        consumed = await _consume(servers, store, last)
    client = await nats.connect(servers.nats_url, pending_size=64 << 20)
    try:
        received = max([await _receive(client, pulls=pulls) for pulls in (True, False)])
        await ask(client, f"STREAM.DELETE.{SOURCE.name}")
        await ask(client, f"STREAM.CREATE.{SOURCE.name}", stream_config(SOURCE))
        published = await _publish(client, sent)
        for stream in (SOURCE.name, READER.name):
            await ask(client, f"STREAM.DELETE.{stream}")
    finally:
        await client.close()
    say(f"relay: {relayed:,.0f} messages/s; nats-py publishes {published:,.0f}")
    say(f"consumer: {consumed:,.0f} messages/s; nats-py receives {received:,.0f}")
    return relayed / published, consumed / received


async def _all(store: PostgresStore) -> list[Envelope]:
    sent: list[Envelope] = []
    while page := await store.outbox(sent[-1].position if sent else 0, 10_000):
        sent += page
    return sent


async def _relay(servers: Servers, store: PostgresStore, last: int) -> float:
    transport = NatsTransport(servers.nats_url, SOURCE.name)
    publisher = await transport.publisher(SOURCE.name)
    lease = await store.take_lease(LEASE, "bench", 600)
    assert lease is not None
    relay = Relay(
        store,
        publisher,
        CursorId("relay", SOURCE.name),
        {Done.TYPE},
        lease,
        Metrics(SOURCE.name),
    )

    async def has_sent() -> bool:
        # Its stored position is written once a second only.
        return relay._sent >= last

    seconds = await _seconds_until(relay.run(asyncio.Event()), has_sent)
    await transport.close()
    return MESSAGES / seconds


async def _consume(servers: Servers, store: PostgresStore, last: int) -> float:
    transport = NatsTransport(servers.nats_url, READER.name)
    instance = Instance(
        READER,
        {SOURCE.name: SOURCE},
        holder="bench",
        store=store,
        tables=MemoryTables(),
        network=Network({NATS: transport}, transport),
        calls=MemoryCalls({}, timeout=1),
        ids=SystemIds(),
        metrics=Metrics(READER.name),
        delays={},
        lease_seconds=600,
    )

    async def has_read() -> bool:
        return any(cursor.at >= last for cursor in (await store.cursors(CONSUMER)).values())

    seconds = await _seconds_until(instance.run(), has_read)
    await transport.close()
    return MESSAGES / seconds


async def _seconds_until(
    work: Coroutine[None, None, None], is_done: Callable[[], Awaitable[bool]]
) -> float:
    """Let something work until it is done; return the seconds."""
    started = time.perf_counter()
    task = asyncio.create_task(work)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await is_done():
                assert not task.done(), task
                await asyncio.sleep(LOOK)
        return time.perf_counter() - started
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _publish(client: Client, sent: Sequence[Envelope]) -> float:
    """Publish the same messages: chained, and one acknowledgement a chunk, as the relay does."""
    ready = [(subject_of(m), m.body, headers_of(m)) for m in sent]
    for (_, _, before), (_, _, headers) in pairwise(ready):
        headers["Nats-Expected-Last-Msg-Id"] = before["Nats-Msg-Id"]
    started = time.perf_counter()
    for number in range(0, len(ready), MAX_CHUNK):
        *first, last = ready[number : number + MAX_CHUNK]
        for subject, body, headers in first:
            await client.publish(subject, body, headers=headers)
        answer = await client.request(last[0], last[1], timeout=10, headers=last[2])
        assert b'"error"' not in answer.data, answer.data
    return len(ready) / (time.perf_counter() - started)


async def _receive(client: Client, *, pulls: bool) -> float:
    """Receive all with a pull or a push consumer, without acknowledgements."""
    inbox = client.new_inbox()
    done = asyncio.Event()
    received = 0

    async def receive(message: Msg) -> None:
        nonlocal received
        received += message.reply.startswith("$JS.ACK.")
        if received == MESSAGES:
            done.set()

    subscription = await client.subscribe(
        inbox, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=-1
    )
    place = f"{SOURCE.name}.{'pull' if pulls else 'push'}"
    config = {
        "durable_name": place.rpartition(".")[2],
        "ack_policy": "none",
        "deliver_policy": "all",
        "mem_storage": True,
    } | ({} if pulls else {"deliver_subject": inbox})
    started = time.perf_counter()
    await ask(client, f"CONSUMER.CREATE.{place}", {"stream_name": SOURCE.name, "config": config})
    if pulls:
        body = json.dumps({"batch": MESSAGES}).encode()
        await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{place}", body, reply=inbox)
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    took = time.perf_counter() - started
    await subscription.unsubscribe()
    return MESSAGES / took
