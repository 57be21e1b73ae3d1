"""Messages that nobody sent, or sent before: put on the wire past every relay."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID, uuid5

import nats
from nats.aio.client import Client
from nats.js.api import RawStreamMsg

from stagepost.engine.transports.nats_rules import ADMIN
from tests.drill.fault import BACK, KILLED, UNTOUCHED, Fault, NotFired, Struck
from tests.drill.parts import asks_over_the_broker, talkers
from tests.drill.site import Site

DELAYED = 3.0
"""Seconds for which messages are late."""
LATE = (0.05, 0.5)
"""By how many seconds at least, and at most."""
BIG = 900_000
"""Bytes of an oversized message: nearly all that the broker takes."""
COPIES = 100
"""Messages of each stream that come again."""
NAMES = UUID("0192d3a0-0000-7000-8000-00000000d411")

Stored = list[RawStreamMsg]
Strike = Callable[[Site], Awaitable[Struck]]


@asynccontextmanager
async def _admin(site: Site) -> AsyncIterator[Client]:
    client = await nats.connect(site.stack.nats_url(ADMIN), connect_timeout=5)
    try:
        yield client
    finally:
        await client.close()


async def _put(client: Client, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
    reply = await client.request(subject, body, timeout=5, headers=dict(headers))
    answer = json.loads(reply.data)
    if "error" in answer or answer.get("duplicate"):
        raise NotFired(f"the broker did not take a message for {subject}: {answer}")


async def _last(client: Client, stream: str) -> Stored:
    """Return the last messages of a stream, oldest first."""
    jetstream = client.jetstream()
    state = (await jetstream.stream_info(stream)).state
    first = max(state.first_seq, state.last_seq - COPIES + 1, 1)  # an empty one begins at 0
    numbers = range(first, state.last_seq + 1)
    return [await jetstream.get_msg(stream, number) for number in numbers]


def _is_ours(message: RawStreamMsg) -> bool:
    """Tell whether it is no earlier fault's garbage."""
    _, *numbers = (message.headers or {}).get("Nats-Msg-Id", "").split(":")
    return len(numbers) == 2 and all(n.isdecimal() and len(n) < 12 for n in numbers)


def _again(message: RawStreamMsg, round_: int) -> dict[str, str]:
    """Return a message's headers as they were, but with an id that the broker takes for a new one.

    `a:1:7` and `a:1:007` are the same message to who reads, and two to who looks for the same text.
    """
    headers = {k: v for k, v in (message.headers or {}).items() if not k.startswith("Nats-Exp")}
    source, incarnation, position = headers["Nats-Msg-Id"].split(":")
    number = position.zfill(len(position) + 1 + round_)
    return headers | {"Nats-Msg-Id": f"{source}:{incarnation}:{number}"}


def repeated(order: Callable[[Stored], Iterable[RawStreamMsg]], times: int = 1) -> Strike:
    """Let the last messages of every stream come again, in this order."""

    async def strike(site: Site) -> Struck:
        put = 0
        async with _admin(site) as client:
            for stream in talkers(site.stack.flow):
                for message in order(await _last(client, stream)):
                    if not _is_ours(message):
                        continue
                    for _ in range(times):
                        put += 1
                        subject, body = message.subject or "", message.data or b""
                        await _put(client, subject, body, _again(message, put))
        if not put:
            raise NotFired("no stream has a message yet")
        return Struck(f"{put} messages came again", time.time())

    return strike


async def garbage(site: Site) -> Struck:
    """Put bytes that mean nothing under subjects that are read."""
    put = 0
    async with _admin(site) as client:
        for stream, subject in talkers(site.stack.flow).items():
            for number in range(20):
                headers = (
                    {},
                    {"Nats-Msg-Id": f"{stream}-{site.load.window.prefix}{number}"},
                    {"ce-id": "no id", "ce-subject": "x" * 3000},
                    _envelope(site, subject, f"g{number}", 2**70 + number),
                )[number % 4]
                await _put(client, subject, site.dice.randbytes(200), headers)
                put += 1
    return Struck(f"{put} messages of garbage were stored by the broker", time.time())


def _envelope(site: Site, subject: str, name: str, position: int) -> dict[str, str]:
    source, kind, *_, word = parts = subject.split(".")
    owner = parts[2] if kind == "command" else source
    key = f"{site.load.window.prefix}forged-{name}"
    identity = str(uuid5(NAMES, f"{key} {subject}"))
    return {
        "Nats-Msg-Id": f"{source}:1:{position}",
        "ce-specversion": "1.0",
        "ce-id": identity,
        "ce-type": f"{owner}.{word}",
        "ce-source": source,
        "ce-subject": key,
        "ce-version": "1",
        "ce-kind": kind,
        "ce-correlationid": identity,
        "ce-causationid": identity,
    }


def forged(more: Mapping[str, str], body: bytes = b"{}") -> Strike:
    """Put one message into every stream that looks like the next of its source, and is not."""

    async def strike(site: Site) -> Struck:
        async with _admin(site) as client:
            for stream, subject in talkers(site.stack.flow).items():
                position = await _next_position(client, stream)
                headers = {**_envelope(site, subject, stream, position), **more}
                await _put(client, subject, body, headers)
        told = len(talkers(site.stack.flow))
        return Struck(f"{told} forged messages were stored by the broker", time.time())

    return strike


ANSWERS: Mapping[str, Mapping[str, object]] = {
    "payments.event.PaymentReceived": {"amount": 1, "currency": "EUR"},
    "payments.event.PaymentRefunded": {"amount": 10**6},
    "inventory.event.StockReserved": {},
    "shipping.event.GoodsShipped": {"tracking": "forged"},
}
"""Answers that fulfillment waits for, by subject, with what they say beside whom they answer."""


async def answers(site: Site) -> Struck:
    """Put answers into the streams that nobody gave, for orders that nobody placed."""
    async with _admin(site) as client:
        for subject, more in ANSWERS.items():
            stream = subject.partition(".")[0]
            position = await _next_position(client, stream)
            headers = _envelope(site, subject, stream, position)
            key = headers["ce-subject"]
            whose = {"caller": "fulfillment", "reference": key, "order_id": key}
            await _put(client, subject, json.dumps(whose | dict(more)).encode(), headers)
    return Struck(f"{len(ANSWERS)} forged answers were stored by the broker", time.time())


async def delayed(site: Site) -> Struck:
    """Let everything between each service and the broker be late, each by its own time."""
    proxies = site.stack.to_broker.values()
    for proxy in proxies:
        proxy.held, proxy.late = 0, site.dice.uniform(*LATE)
    try:
        await asyncio.sleep(DELAYED)
        held = sum(proxy.held for proxy in proxies)
    finally:
        for proxy in proxies:
            proxy.late = 0.0
    if not held:
        raise NotFired("nothing was to be passed on")
    return Struck(f"{held:,} bytes came late", time.time(), {"late_bytes": held})


async def _next_position(client: Client, stream: str) -> int:
    positions = [
        int((message.headers or {})["Nats-Msg-Id"].rpartition(":")[2])
        for message in await _last(client, stream)
        if _is_ours(message)
    ]
    return max(positions, default=0) + 1


FORGED = {
    "7 every command is answered": "who may write into a stream may say anything: it is named here"
}
"""Only the rights at the broker keep forgers out (promise 9). What they say well is heard; the
check names it, and the owner of the stream sees a stranger in it and begins a new incarnation."""


def _untouched(name: str, strike: Strike, broken: Mapping[str, str] | None = None) -> Fault:
    """Nothing is taken away: hardly anybody may notice."""
    return Fault(name, strike, standstill=UNTOUCHED, after_back=BACK, broken=broken or {})


HUGE = b'{"a":"' + b"x" * BIG + b'"}'

FAULTS = (
    _untouched("garbage on the wire", garbage),
    Fault("messages come twice", repeated(list, times=2), standstill=KILLED, after_back=BACK),
    Fault(
        "messages come again in reverse order",
        repeated(reversed),
        standstill=KILLED,
        after_back=BACK,
    ),
    _untouched(
        "messages of another type than their subject says", forged({"ce-type": "a.Forgery"})
    ),
    _untouched("messages that say to be timers", forged({"ce-kind": "timer"})),
    _untouched("messages with a key that cannot be stored", forged({"ce-subject": "x" * 5_000})),
    _untouched("messages of an unknown version", forged({"ce-version": "999"}), FORGED),
    _untouched("oversized messages", forged({}, HUGE), FORGED),
    replace(_untouched("answers that nobody gave", answers, FORGED), needs=asks_over_the_broker),
    Fault("messages are delayed", delayed, seconds=DELAYED + 3, after_back=BACK),
)
