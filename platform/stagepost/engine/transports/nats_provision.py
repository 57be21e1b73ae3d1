"""The streams and consumers that the links need: made before the services start.

So they need no right to create anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from stagepost.engine.external import EXTERNAL, answers_of
from stagepost.engine.links import Links, routes_of
from stagepost.engine.service import Service
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats_api import ask
from stagepost.engine.transports.nats_client import BlockClient, trusting
from stagepost.engine.transports.nats_external import SUBJECTS, subject_to
from stagepost.errors import TransportUnavailable
from stagepost.messages import Command, Message, message_type

DEDUPLICATION_SECONDS = 10
"""How long the broker remembers ids: the chain of ids does the work, this only costs memory."""


async def provision(
    url: str, services: Sequence[Service], links: Links, ca: Path | None = None
) -> None:
    """Make each service's stream, and a consumer for each of its readers; what is there is kept.

    Only for what goes over NATS by these links. The same for the stream of those outside. `ca`
    vouches for the server where the URL says tls.

    Raises:
        TransportUnavailable: the broker cannot be reached, or refuses.
    """
    client = BlockClient()
    try:
        await client.connect(
            url,
            connect_timeout=5,
            max_reconnect_attempts=2,
            error_cb=_raised_anyway,
            tls=trusting(ca),
        )
    except (OSError, TimeoutError, NatsError) as error:
        raise TransportUnavailable(f"cannot connect to the broker: {error!r}") from error
    try:
        for source in services:
            await ask(client, f"STREAM.CREATE.{source.name}", stream_config(source))
        await ask(client, f"STREAM.CREATE.{EXTERNAL}", _stream_config(EXTERNAL, [SUBJECTS]))
        named = {service.name: service for service in services}
        for reader in services:
            routes = routes_of(reader, named, links)
            for stream, types in routes.reads.get(NATS, {}).items():
                wanted = [subject_from(named[stream], message_type(name)) for name in types]
                await _make_consumer(client, stream, consumer_config(reader.name, wanted))
            if routes.hears_outside:
                config = consumer_config(reader.name, [subject_to(reader.name)])
                await _make_consumer(client, EXTERNAL, config)
        for sender, commands in links.external.items():
            for service in services:
                if answers := answers_of(service, commands):
                    wanted = [subject_from(service, answer) for answer in answers]
                    await _make_consumer(client, service.name, answers_config(sender, wanted))
    finally:
        await client.close()


async def _make_consumer(client: Client, stream: str, config: Mapping[str, Any]) -> None:
    call = f"CONSUMER.CREATE.{stream}.{config['durable_name']}"
    await ask(client, call, {"stream_name": stream, "config": config})


def stream_config(source: Service) -> dict[str, Any]:
    return _stream_config(source.name, [f"{source.name}.event.>", f"{source.name}.command.>"])


def _stream_config(name: str, subjects: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": subjects,
        "storage": "file",
        "retention": "limits",
        "num_replicas": 1,
        "duplicate_window": DEDUPLICATION_SECONDS * 1_000_000_000,
    }


def consumer_config(reader: str, wanted: Iterable[str]) -> dict[str, Any]:
    return {
        "durable_name": reader,
        "ack_policy": "none",
        "deliver_policy": "all",
        "filter_subjects": sorted(wanted),
    }


def answers_config(sender: str, wanted: Iterable[str]) -> dict[str, Any]:
    """Return the consumer of a sender from outside: it has no place of its own to keep its place.

    What it has not acknowledged comes again. It hears nothing of what was before it was there.
    """
    config = consumer_config(sender, wanted)
    return config | {"ack_policy": "explicit", "deliver_policy": "new"}


def subject_from(source: Service, message: type[Message]) -> str:
    if issubclass(message, Command):
        return f"{source.name}.command.{message.OWNER}.{message.__name__}"
    return f"{source.name}.event.{message.__name__}"


async def _raised_anyway(_: Exception) -> None:
    """Say nothing: the library would print each failed try, with its trace."""
