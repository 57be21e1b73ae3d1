"""Who may do what on NATS, and the streams and consumers that the links need.

All of it follows from what the services declare, so that they need no right to create anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nats
from nats.errors import Error as NatsError

from stagepost.engine.links import Links, routes_of
from stagepost.engine.service import Service
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats_api import ask
from stagepost.engine.transports.nats_envelope import words_of
from stagepost.errors import TransportUnavailable
from stagepost.messages import Command, Message, message_type

ADMIN = "admin"
DEDUPLICATION_SECONDS = 10
"""How long the broker remembers ids: the chain of ids does the work, this only costs memory."""


def nats_config(
    services: Sequence[Service],
    *,
    host: str,
    port: int,
    store_dir: Path,
    passwords: Mapping[str, str],
    monitor: str | None = None,
) -> str:
    """Return a server's configuration: where it listens, JetStream on file, a user per service.

    `passwords` has one for each service, and for `admin`, who provisions. At `monitor` the server
    says how it is, to whoever asks.
    """
    users: list[dict[str, Any]] = [{"user": ADMIN, "password": passwords[ADMIN]}]
    users += [
        {"user": s.name, "password": passwords[s.name], "permissions": permissions(s, services)}
        for s in services
    ]
    return "\n".join(
        (
            'server_name: "stagepost"',
            f"host: {json.dumps(host)}",
            f"port: {port}",
            *([f"http: {json.dumps(monitor)}"] if monitor else []),
            f"jetstream {{ store_dir: {json.dumps(str(store_dir))} }}",
            f"authorization {{ users: {json.dumps(users, indent=1)} }}",
            "",
        )
    )


def permissions(service: Service, services: Iterable[Service]) -> dict[str, Any]:
    """Return what a service's user may do: publish under its own name, read its own consumers."""
    allowed = [
        f"{service.name}.event.>",
        f"{service.name}.command.>",
        words_of(service.name),
        f"$JS.API.STREAM.INFO.{service.name}",
        f"$JS.API.STREAM.MSG.GET.{service.name}",
    ]
    for source in services:
        if service.reads_from(source):
            allowed += [
                f"$JS.API.CONSUMER.RESET.{source.name}.{service.name}",
                f"$JS.API.CONSUMER.INFO.{source.name}.{service.name}",
                f"$JS.API.CONSUMER.MSG.NEXT.{source.name}.{service.name}",
                f"$JS.API.STREAM.MSG.GET.{source.name}",
            ]
    return {
        "publish": {"allow": allowed},
        "subscribe": {"allow": [f"_INBOX_{service.name}.>", words_of(service.name)]},
    }


async def provision(url: str, services: Sequence[Service], links: Links) -> None:
    """Make each service's stream, and a consumer for each of its readers; what is there is kept.

    Only for what goes over NATS by these links.

    Raises:
        TransportUnavailable: the broker cannot be reached, or refuses.
    """
    try:
        client = await nats.connect(
            url, connect_timeout=5, max_reconnect_attempts=2, error_cb=_raised_anyway
        )
    except (OSError, TimeoutError, NatsError) as error:
        raise TransportUnavailable(f"cannot connect to the broker: {error!r}") from error
    try:
        for source in services:
            await ask(client, f"STREAM.CREATE.{source.name}", stream_config(source))
        named = {service.name: service for service in services}
        for reader in services:
            reads = routes_of(reader, named, links).reads.get(NATS, {})
            for stream, types in reads.items():
                config = consumer_config(named[stream], reader, map(message_type, types))
                await ask(
                    client,
                    f"CONSUMER.CREATE.{stream}.{reader.name}",
                    {"stream_name": stream, "config": config},
                )
    finally:
        await client.close()


def stream_config(source: Service) -> dict[str, Any]:
    return {
        "name": source.name,
        "subjects": [f"{source.name}.event.>", f"{source.name}.command.>"],
        "storage": "file",
        "retention": "limits",
        "num_replicas": 1,
        "duplicate_window": DEDUPLICATION_SECONDS * 1_000_000_000,
    }


def consumer_config(
    source: Service, reader: Service, wanted: Iterable[type[Message]]
) -> dict[str, Any]:
    return {
        "durable_name": reader.name,
        "ack_policy": "none",
        "deliver_policy": "all",
        "filter_subjects": sorted(_subject(source, message) for message in wanted),
    }


def _subject(source: Service, message: type[Message]) -> str:
    if issubclass(message, Command):
        return f"{source.name}.command.{message.OWNER}.{message.__name__}"
    return f"{source.name}.event.{message.__name__}"


async def _raised_anyway(_: Exception) -> None:
    """Say nothing: the library would print each failed try, with its trace."""
