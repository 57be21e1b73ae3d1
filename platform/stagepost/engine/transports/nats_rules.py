"""Who may do what on NATS, and the streams and consumers that the links need.

All of it follows from what the services declare, so that they need no right to create anything.
The streams are in an account of their own. Everybody else has one, too, into which comes what they
may use of it, so that an answer goes back to where it was asked for. Were they in one account,
JetStream could be asked to answer into another's stream: no rule is about where answers go.
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
from stagepost.engine.transports.nats_api import API, OWN_API, ask
from stagepost.engine.transports.nats_client import BlockClient, trusting
from stagepost.engine.transports.nats_envelope import words_of
from stagepost.engine.transports.nats_external import SUBJECTS, subject_to
from stagepost.errors import TransportUnavailable
from stagepost.messages import Command, Message, message_type

ADMIN = "admin"
STREAMS = "STREAMS"
"""The account that has the streams; `admin` and the operator are in it."""
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


class Rights(NamedTuple):
    """What somebody may use of the streams' account, and what they may do in their own.

    `uses` are subjects to publish to or to ask at, `api` is how they say `$JS.API`. `own` are
    subjects on which they tell and hear each other.
    """

    uses: list[str]
    api: str = OWN_API
    own: tuple[str, ...] = ()

    def called(self, subject: str) -> str:
        """Return what a subject of the streams' account is called in theirs."""
        return subject.replace(OWN_API, self.api, 1)


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
    """Return a server's configuration: where it listens, JetStream on file, who may do what.

    `passwords` has one for each of the `users`. At `monitor` the server says how it is, to whoever
    asks.
    """
    jetstream = {"store_dir": str(store_dir), "sync_interval": SYNC_INTERVAL}
    accounts = _accounts(rights_of(services, links), passwords)
    return "\n".join(
        (
            'server_name: "stagepost"',
            f"host: {json.dumps(host)}",
            f"port: {port}",
            *([f"http: {json.dumps(monitor)}"] if monitor else []),
            f"jetstream {json.dumps(jetstream)}",
            *([_tls(tls)] if tls else []),
            f"accounts {json.dumps(accounts, indent=1)}",
            "",
        )
    )


def _tls(tls: Tls) -> str:
    files = json.dumps(str(tls.certificate)), json.dumps(str(tls.key))
    return f"tls {{ cert_file: {files[0]}, key_file: {files[1]} }}"


def _accounts(rights: Mapping[str, Rights], passwords: Mapping[str, str]) -> dict[str, Any]:
    """Return the account of the streams, and one for each who has these rights."""
    users = {
        ADMIN: {},
        OPERATOR: {"permissions": operator_permissions()},
    }
    streams = {
        "jetstream": "enabled",
        "users": [_user(name, passwords, more) for name, more in users.items()],
        "mappings": {f"{API}.>": f"{OWN_API}.>"},
        "exports": _exports(rights),
    }
    return {STREAMS: streams} | {
        name: {
            "users": [_user(name, passwords, {"permissions": permissions(name, those)})],
            "imports": [
                {"service": {"account": STREAMS, "subject": subject}, "to": those.called(subject)}
                for subject in those.uses
            ],
        }
        for name, those in rights.items()
    }


def _user(name: str, passwords: Mapping[str, str], more: Mapping[str, Any]) -> dict[str, Any]:
    return {"user": name, "password": passwords[name], **more}


def _exports(rights: Mapping[str, Rights]) -> list[dict[str, Any]]:
    """Return what leaves the streams' account, each with whom it may go to."""
    subjects = sorted({subject for those in rights.values() for subject in those.uses})
    return [
        {
            "service": subject,
            "accounts": [name for name, those in rights.items() if subject in those.uses],
            # Who asks for messages is given several.
            **({"response_type": "stream"} if ".MSG.NEXT." in subject else {}),
        }
        for subject in subjects
    ]


def users(services: Iterable[Service], senders: Iterable[str]) -> list[str]:
    """Return who is let in: `admin`, who provisions, the services and the senders from outside."""
    return [ADMIN, *(service.name for service in services), OPERATOR, *senders]


def rights_of(services: Sequence[Service], links: Links) -> dict[str, Rights]:
    """Return what each service, and each sender from outside, may do."""
    named = {service.name: service for service in services}
    rights = {service.name: service_rights(service, named, links) for service in services}
    return rights | {
        name: sender_rights(name, commands, services) for name, commands in links.external.items()
    }


def service_rights(service: Service, services: Mapping[str, Service], links: Links) -> Rights:
    """Return what a service may do: publish under its own name, read its own consumers.

    It has one at each service of whose messages some come to it over NATS, and one of what comes
    from outside. A stream's messages it gets by number from its own alone: whoever may do that sees
    all of them.
    """
    uses = [
        f"{service.name}.event.>",
        f"{service.name}.command.>",
        f"{OWN_API}.STREAM.INFO.{service.name}",
        f"{OWN_API}.STREAM.MSG.GET.{service.name}",
    ]
    routes = routes_of(service, services, links)
    streams = [*routes.reads.get(NATS, {})]
    if routes.hears_outside:
        streams.append(EXTERNAL)
        uses.append(f"{OWN_API}.STREAM.INFO.{EXTERNAL}")
    for stream in streams:
        uses += [
            f"{OWN_API}.CONSUMER.{call}.{stream}.{service.name}"
            for call in ("RESET", "INFO", "MSG.NEXT")
        ]
    return Rights(uses, API, (words_of(service.name),))


def sender_rights(name: str, commands: Collection[str], services: Iterable[Service]) -> Rights:
    """Return what a sender from outside may do: send what it declares, take what answers that.

    It asks for messages as any client of JetStream does.
    """
    uses: list[str] = []
    for service in services:
        taken = [command for command in commands_of(service) if command.TYPE in commands]
        uses += [subject_to(service.name, name, command.__name__) for command in taken]
        if taken:
            uses += [
                f"{OWN_API}.CONSUMER.MSG.NEXT.{service.name}.{name}",
                f"$JS.ACK.{service.name}.{name}.>",
            ]
    return Rights(uses)


def permissions(name: str, rights: Rights) -> dict[str, Any]:
    """Return the rules of a user in an account: what goes nowhere is refused, and said to be."""
    allowed = [*map(rights.called, rights.uses), *rights.own]
    return {
        # To allow nothing is to allow everything.
        "publish": {"allow": allowed} if allowed else {"deny": [">"]},
        "subscribe": {"allow": [f"_INBOX_{name}.>", *rights.own]},
    }


def operator_permissions() -> dict[str, Any]:
    """Return what the operator may do: command anybody in its own name, and listen to all."""
    return {
        "publish": {"allow": [f"{source_of(OPERATOR)}.command.>"]},
        "subscribe": {"allow": ["_INBOX_operator.>", *EVERYTHING]},
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
