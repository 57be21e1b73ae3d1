"""What goes into a service and out of it, and on which channels: subjects, topics, paths.

All of it follows from the links, and from how each transport names what it carries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from stagepost.engine.external import EXTERNAL, OPERATOR, answers_of, commands_of, may_send
from stagepost.engine.flow import Flow
from stagepost.engine.links import Link, routes_of
from stagepost.engine.service import Service
from stagepost.engine.transport_names import HTTP, KAFKA, NATS
from stagepost.engine.transports.nats_external import subject_to
from stagepost.messages import Answer, Message


@dataclass(frozen=True, slots=True)
class Channel:
    """Where messages lie for who reads them; `service` is whose stream, topic or server it is."""

    name: str
    transport: str
    service: str
    address: str

    def address_of(self, message: type[Message]) -> str:
        """Return the address of one type of message: on NATS each has a subject of its own."""
        return self.address.replace("{type}", message.__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """A type of message on a channel, into a service or out of it.

    `others` are at the other end; `is_asked` is set where they have asked for this answer.
    """

    message: type[Message]
    channel: Channel
    is_out: bool
    is_asked: bool
    others: tuple[str, ...]


_Way: TypeAlias = tuple[type[Message], Channel, bool, bool]


def ways_of(service: Service, flow: Flow) -> list[Way]:
    """Return every way into a service and out of it.

    Raises:
        BadSettings: a transport is chosen for a link that is not there.
    """
    found: dict[_Way, list[str]] = defaultdict(list)
    for link in _links(service, flow):
        way = link.message, channel_of(link)
        if link.sender == service.name:
            found[*way, True, link.asks].append(link.reader)
        if link.reader == service.name:
            found[*way, False, link.asks].append(link.sender)
    for from_outside, sender in _from_outside(service, flow):
        found[from_outside].append(sender)
    return [Way(*way, tuple(filter(None, others))) for way, others in found.items()]


def replies_to(asked: Way, ways: Iterable[Way]) -> list[Way]:
    """Return the ways by which the answers to a command come back to those who sent it."""
    return [
        way
        for way in ways
        if way.is_asked
        and way.is_out != asked.is_out
        and issubclass(way.message, Answer)
        and asked.message in (way.message.TO, *way.message.ALSO)
        and not set(way.others).isdisjoint(asked.others)
    ]


def _links(service: Service, flow: Flow) -> Iterator[Link]:
    """Return the links of a flow; what nobody reads goes where most others do."""
    links = flow.links.between({**flow.services, service.name: service})
    yield from links
    read = {link.message for link in links if link.sender == service.name}
    for message in service.sends:
        if message not in read:
            yield Link(service.name, "", message, flow.links.default)


def _from_outside(service: Service, flow: Flow) -> Iterator[tuple[_Way, str]]:
    """Return the ways of commands from outside, and of the answers that lie where they are read."""
    routes = routes_of(service, flow.services, flow.links)
    commands = commands_of(service) if routes.hears_outside else []
    told = routes.publishes.get(NATS, ())
    for sender in (OPERATOR, *flow.external):
        sent = [each for each in commands if may_send(flow.external, sender, each.TYPE)]
        for command in sent:
            yield (command, outside(service), False, False), sender
        for answer in answers_of(service, [command.TYPE for command in sent]):
            if answer.TYPE in told:
                link = Link(service.name, sender, answer, NATS, asks=True)
                yield (answer, channel_of(link), True, True), sender


def outside(service: Service) -> Channel:
    """Return where commands from outside lie for a service."""
    address = subject_to(service.name, "{sender}", "{type}")
    return Channel(f"{NATS}.{EXTERNAL}.command.{service.name}", NATS, EXTERNAL, address)


def channel_of(link: Link) -> Channel:
    """Return where the message of a link lies; an answer over HTTP comes to who posted."""
    if link.transport == KAFKA:
        return Channel(f"{KAFKA}.{link.sender}", KAFKA, link.sender, link.sender)
    if link.transport == HTTP:
        host, path = link.message.OWNER, "feed" if link.kind == "event" else "commands"
        return Channel(f"{HTTP}.{host}.{path}", HTTP, host, f"/{path}")
    what = f"command.{link.message.OWNER}" if link.kind == "command" else "event"
    subject = f"{link.sender}.{what}"
    return Channel(f"{NATS}.{subject}", NATS, link.sender, f"{subject}.{{type}}")
