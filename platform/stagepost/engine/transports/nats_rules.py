"""Who may do what on NATS, and the streams and consumers that the links need.

All of it follows from what the services declare, so that they need no right to create anything.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nats.aio.client import Client
from nats.errors import Error as NatsError

from stagepost.engine.external import (
    EXTERNAL,
    OPERATOR,
    answers_of,
    commands_of,
    source_of,
)
from stagepost.engine.links import Links, routes_of
from stagepost.engine.service import Service
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats_api import ask
from stagepost.engine.transports.nats_client import BlockClient, trusting
from stagepost.engine.transports.nats_envelope import words_of
from stagepost.engine.transports.nats_external import SUBJECTS, subject_to
from stagepost.errors import TransportUnavailable
from stagepost.messages import Command, Message, message_type

ADMIN = "admin"
EVERYTHING = ("*.event.>", "*.command.>", SUBJECTS)
"""The subjects of all messages."""
DEDUPLICATION_SECONDS = 10
"""How long the broker remembers ids: the chain of ids does the work, this only costs memory."""

SYNC_INTERVAL = "1s"
"""What a machine that dies may lose. A relay sends its own again; decision 23 has what it costs."""


class Tls(NamedTuple):
    """How a server proves who it is: files with its certificate and the key to it."""

    certificate: Path
    key: Path


def nats_config(
    services: Sequence[Service],
    links: Links,
    *,
    host: str,
    port: int,
    store_dir: Path,
    passwords: Mapping[str, str],
    tls: Tls | None = None,
    monitor: str | None = None,
) -> str:
    """Return a server's configuration: where it listens, JetStream on file, a user per service.

    And one for each sender from outside. `passwords` has one for each of the `users`. At `monitor`
    the server says how it is, to whoever asks.
    """
    named = {service.name: service for service in services}
    rights: dict[str, dict[str, Any]] = {ADMIN: {}}
    rights |= {name: {"permissions": permissions(s, named, links)} for name, s in named.items()}
    rights[OPERATOR] = {"permissions": operator_permissions()}
    rights |= {
        name: {"permissions": sender_permissions(name, commands, services)}
        for name, commands in links.external.items()
    }
    users = [{"user": n, "password": passwords[n], **more} for n, more in rights.items()]
    jetstream = {"store_dir": str(store_dir), "sync_interval": SYNC_INTERVAL}
    return "\n".join(
        (
            'server_name: "stagepost"',
            f"host: {json.dumps(host)}",
            f"port: {port}",
            *([f"http: {json.dumps(monitor)}"] if monitor else []),
            f"jetstream {json.dumps(jetstream)}",
            *([_tls(tls)] if tls else []),
            f"authorization {{ users: {json.dumps(users, indent=1)} }}",
            "",
        )
    )


def _tls(tls: Tls) -> str:
    files = json.dumps(str(tls.certificate)), json.dumps(str(tls.key))
    return f"tls {{ cert_file: {files[0]}, key_file: {files[1]} }}"


def users(services: Iterable[Service], senders: Iterable[str]) -> list[str]:
    """Return who is let in: `admin`, who provisions, the services and the senders from outside."""
    return [ADMIN, *(service.name for service in services), OPERATOR, *senders]


def permissions(service: Service, services: Mapping[str, Service], links: Links) -> dict[str, Any]:
    """Return what a service's user may do: publish under its own name, read its own consumers.

    It has one at each service of whose messages some come to it over NATS, and one of what comes
    from outside. A stream's messages it gets by number from its own alone: whoever may do that sees
    all of them.
    """
    allowed = [
        f"{service.name}.event.>",
        f"{service.name}.command.>",
        words_of(service.name),
        f"$JS.API.STREAM.INFO.{service.name}",
        f"$JS.API.STREAM.MSG.GET.{service.name}",
    ]
    routes = routes_of(service, services, links)
    streams = [*routes.reads.get(NATS, {})]
    if routes.hears_outside:
        streams.append(EXTERNAL)
        allowed.append(f"$JS.API.STREAM.INFO.{EXTERNAL}")
    for stream in streams:
        allowed += [
            f"$JS.API.CONSUMER.{call}.{stream}.{service.name}"
            for call in ("RESET", "INFO", "MSG.NEXT")
        ]
    return {
        "publish": {"allow": allowed},
        "subscribe": {"allow": [f"_INBOX_{service.name}.>", words_of(service.name)]},
    }


def operator_permissions() -> dict[str, Any]:
    """Return what the operator may do: command anybody in its own name, and listen to all."""
    return {
        "publish": {"allow": [f"{source_of(OPERATOR)}.command.>"]},
        "subscribe": {"allow": ["_INBOX_operator.>", *EVERYTHING]},
    }


def sender_permissions(
    name: str, commands: Collection[str], services: Iterable[Service]
) -> dict[str, Any]:
    """Return what a sender from outside may do: send what it declares, take what answers that."""
    allowed: list[str] = []
    for service in services:
        taken = [command for command in commands_of(service) if command.TYPE in commands]
        allowed += [subject_to(service.name, name, command.__name__) for command in taken]
        if taken:
            allowed += [
                f"$JS.API.CONSUMER.MSG.NEXT.{service.name}.{name}",
                f"$JS.ACK.{service.name}.{name}.>",
            ]
    return {
        # To allow nothing is to allow everything.
        "publish": {"allow": allowed} if allowed else {"deny": [">"]},
        "subscribe": {"allow": [f"_INBOX_{name}.>"]},
    }


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
