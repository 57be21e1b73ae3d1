"""Who may do what on NATS: it follows from what the services declare.

The streams are in an account of their own. Everybody else has one, too, into which comes what they
may use of it, so that an answer goes back to where it was asked for. Were they in one account,
JetStream could be asked to answer into another's stream: no rule is about where answers go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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


class Rights(NamedTuple):
    """What somebody may use of the streams' account, and what they may do in their own.

    `uses` are subjects to publish to or to ask at, `api` is the prefix under which they call
    JetStream. `own` are subjects on which they tell and hear each other.
    """

    uses: list[str]
    api: str = OWN_API
    own: tuple[str, ...] = ()

    def called(self, subject: str) -> str:
        """Return what a subject of the streams' account is called in theirs."""
        return subject.replace(OWN_API, self.api, 1)


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
