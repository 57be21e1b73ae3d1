"""Every message of the contracts: what it is, who sends it, who reads it, what carries it."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import getdoc
from typing import NamedTuple

from stagepost.engine.contracts.schema import kind_of
from stagepost.engine.discovery import find_messages
from stagepost.engine.flow import Flow
from stagepost.engine.links import Link
from stagepost.messages import Message

HEADS = ("message", "kind", "owner", "version", "key", "senders", "readers", "transports")


class Entry(NamedTuple):
    """One message in a flow; where nobody there sends or reads it, these are empty."""

    type: str
    kind: str
    owner: str
    version: int
    key: str
    senders: tuple[str, ...]
    readers: tuple[str, ...]
    transports: tuple[str, ...]
    doc: str


def catalogue(flow: Flow) -> list[Entry]:
    """Return every message of the contracts by its type, with who sends and reads it in a flow.

    What is sent and nobody reads goes where most others do.

    Raises:
        BadSettings: contracts or services do not import.
    """
    messages = sorted(find_messages(), key=lambda message: message.TYPE)
    services = flow.services
    links = flow.links.between(services)
    senders = {
        message: tuple(name for name, service in services.items() if message in service.sends)
        for message in messages
    }
    return [
        _entry(
            message,
            senders[message],
            [link for link in links if link.message is message],
            flow.links.default,
        )
        for message in messages
    ]


def _entry(
    message: type[Message], senders: tuple[str, ...], links: Sequence[Link], default: str
) -> Entry:
    carried = {link.transport for link in links} or ({default} if senders else set())
    return Entry(
        message.TYPE,
        kind_of(message),
        message.OWNER,
        message.VERSION,
        message.KEY,
        senders,
        tuple(dict.fromkeys(link.reader for link in links)),
        tuple(sorted(carried)),
        getdoc(message) or "",
    )


def cells(entry: Entry) -> list[str]:
    """Return an entry as a row for people, without what its words say."""
    *said, senders, readers, transports, _doc = entry._replace(type=entry.type.split(".")[1])
    lists = (", ".join(names) for names in (senders, readers, transports))
    return [*map(str, said), *lists]
