"""Who may do what on NATS: it follows from what the services declare.

The streams are in an account of their own. Everybody else has one, too, into which comes what they
may use of it, so that an answer goes back to where it was asked for. Were they in one account,
JetStream could be asked to answer into another's stream: no rule is about where answers go.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stagepost.engine.external import EXTERNAL, OPERATOR, commands_of, source_of
from stagepost.engine.links import Links, routes_of
from stagepost.engine.service import Service
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats_api import API, OWN_API
from stagepost.engine.transports.nats_envelope import words_of
from stagepost.engine.transports.nats_external import SUBJECTS, subject_to

ADMIN = "admin"
STREAMS = "STREAMS"
"""The account that has the streams; `admin` and the operator are in it."""
EVERYTHING = ("*.event.>", "*.command.>", SUBJECTS)
"""The subjects of all messages."""

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
    inside: dict[str, dict[str, Any]] = {
        ADMIN: {},
        OPERATOR: {"permissions": operator_permissions()},
    }
    streams = {
        "jetstream": "enabled",
        "users": [_user(name, passwords, more) for name, more in inside.items()],
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
        "subscribe": {"allow": [f"_INBOX_{OPERATOR}.>", *EVERYTHING]},
    }
