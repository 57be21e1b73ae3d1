"""Links: who sends what to whom, and over which transport.

All of it follows from what the services declare. Meaning is not transport: a command stays a
command over a broker, an event stays an event over HTTP, and no service knows which it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType

from stagepost.engine.external import Senders, answers_of, commands_of
from stagepost.engine.service import Service
from stagepost.engine.transport_names import HTTP, NATS, TRANSPORTS
from stagepost.errors import BadSettings
from stagepost.messages import Answer, Command, Message

DEFAULT = "default"
ARROW = "->"

CONSUMER = "consumer"
"""Under which name cursors over what others say are kept."""


def relay_name(broker: str) -> str:
    """Return under which name the relay to a broker keeps its cursor over the outbox."""
    return "relay" if broker == NATS else f"relay {broker}"


@dataclass(frozen=True, slots=True)
class Link:
    """One message on its way from a sender to a reader.

    `asks` is set for an answer that its reader asked for.
    """

    sender: str
    reader: str
    message: type[Message]
    transport: str
    asks: bool = False

    @property
    def name(self) -> str:
        """Between whom it is: what settings call it."""
        return f"{self.sender}{ARROW}{self.reader}"

    @property
    def kind(self) -> str:
        """What the message means on this link: command, answer or event."""
        if issubclass(self.message, Command):
            return "command"
        return "answer" if self.asks else "event"

    @property
    def depends(self) -> tuple[str, str]:
        """Who has to know whom: the sender of a command its recipient, the reader what it hears."""
        if self.kind == "command":
            return self.sender, self.reader
        return self.reader, self.sender

    @property
    def outcome(self) -> str:
        """Who answers for what comes of it: who commands, and who reacts."""
        return self.sender if self.kind == "command" else self.reader


@dataclass(frozen=True)
class Links:
    """Which transport every link has.

    `chosen` names it by `sender->reader`. Else `commands` is the one of links that carry commands,
    and `default` the one of all others. `external` is who may send from outside.
    """

    default: str = NATS
    commands: str | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)
    external: Senders = field(default_factory=dict, compare=False)

    @classmethod
    def read(
        cls,
        named: Mapping[str, str],
        *,
        commands: str | None = None,
        external: Senders = MappingProxyType({}),
    ) -> Links:
        """Read what settings say: a transport by `sender->reader`, and by `default`.

        Raises:
            BadSettings: no such transport.
        """
        for name, transport in named.items():
            if transport not in TRANSPORTS:
                known = ", ".join(TRANSPORTS)
                raise BadSettings(f"links: {name!r} cannot be {transport!r}: there are {known}")
        chosen = {"".join(name.split()): how for name, how in named.items() if name != DEFAULT}
        return cls(named.get(DEFAULT, NATS), commands, chosen, external)

    def between(self, services: Mapping[str, Service]) -> list[Link]:
        """Return every link, in the order of senders and readers.

        Raises:
            BadSettings: a transport is chosen for a link that is not there.
        """
        found = list(self._between(services))
        check_names(self.chosen, {link.name for link in found}, services)
        return found

    def _between(self, services: Mapping[str, Service]) -> Iterator[Link]:
        for sender in services.values():
            for reader in services.values():
                for message in sorted(reader.reads_from(sender), key=lambda m: m.TYPE):
                    asks = issubclass(message, Answer) and any(
                        command in reader.sends for command in (message.TO, *message.ALSO)
                    )
                    transport = self._of(sender, reader)
                    if asks and self._of(reader, sender) == HTTP:
                        transport = HTTP
                    yield Link(sender.name, reader.name, message, transport, asks)

    def _of(self, sender: Service, reader: Service) -> str:
        if (chosen := self.chosen.get(f"{sender.name}{ARROW}{reader.name}")) is not None:
            return chosen
        commands = any(issubclass(m, Command) for m in reader.reads_from(sender))
        return self.commands if commands and self.commands is not None else self.default


@dataclass(frozen=True)
class Routes:
    """The links of one service, as the engine needs them.

    `posts` are the recipients whose commands are calls, `publishes` says which types go to which
    broker, `reads` which types come over which transport from which source. `hears_outside`:
    commands from outside come over NATS.
    """

    posts: frozenset[str] = frozenset()
    publishes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    reads: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    hears_outside: bool = False

    @property
    def transports(self) -> frozenset[str]:
        """What this service publishes on or reads from."""
        return frozenset((*self.publishes, *self.reads))


def routes_of(service: Service, services: Mapping[str, Service], links: Links) -> Routes:
    """Return the routes of a service; it hears those that are among these services.

    Raises:
        BadSettings: a transport is chosen for a link that is not there.
    """
    every = links.between({**services, service.name: service})
    ours = [link for link in every if link.sender == service.name]
    posts = {link.reader for link in ours if link.kind == "command" and link.transport == HTTP}
    published = _published(service, ours, links.default)
    read = _read(service, [link for link in every if link.sender in services])
    hears = bool(commands_of(service)) and NATS in {links.default, *published, *read}
    # Who asks from outside reads the answers on NATS, whatever carries them to services.
    asked = (command for commands in links.external.values() for command in commands)
    if hears and (answers := answers_of(service, asked)):
        published[NATS] = published.get(NATS, frozenset()) | {answer.TYPE for answer in answers}
    return Routes(frozenset(posts), published, read, hears)


def _published(service: Service, ours: Iterable[Link], default: str) -> dict[str, frozenset[str]]:
    """Return what goes to which broker; an event that nobody reads goes where most others do."""
    published: dict[str, set[str]] = defaultdict(set)
    for link in ours:
        published[link.transport].add(link.message.TYPE)
    read = {link.message for link in ours}
    published[default].update(m.TYPE for m in service.sends if m not in read)
    return {
        broker: frozenset(types) for broker, types in published.items() if types and broker != HTTP
    }


def _read(service: Service, every: Iterable[Link]) -> Mapping[str, Mapping[str, list[str]]]:
    """Return what comes from where; an answer over HTTP comes to whoever asked, by itself."""
    read: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for link in every:
        carried = link.transport == HTTP and link.kind != "event"
        if link.reader == service.name and not carried:
            read[link.transport][link.sender].append(link.message.TYPE)
    return {transport: dict(sources) for transport, sources in read.items()}


def check_names(names: Iterable[str], there: Collection[str], services: Iterable[str]) -> None:
    """Check that each name is one of the links that are there.

    Raises:
        BadSettings: one is not; it says which may be meant.
    """
    for name in names:
        if name not in there:
            raise BadSettings(_no_such_link(name, there, list(services)))


def _no_such_link(name: str, there: Iterable[str], services: Sequence[str]) -> str:
    sender, arrow, reader = name.partition(ARROW)
    for end in (sender, reader):
        if arrow and end not in services:
            near = get_close_matches(end, services, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(services)}"
            return f"links: {name!r} names a service {end!r} that does not run: {hint}"
    if not arrow:
        return f"links: {name!r} is no link: write it as sender{ARROW}reader"
    return f"links: {sender} sends nothing to {reader}: there are {', '.join(sorted(there))}"
