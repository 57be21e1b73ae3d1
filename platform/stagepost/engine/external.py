"""Senders from outside: the operator, and foreign clients that stagepost.toml declares.

They have no outbox. What they say stands in a stream of its own, whose subjects name the sender:
the broker lets nobody write there in another's name. They command, and read the answers; an event
is told by its owner alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from stagepost.engine.service import Service
from stagepost.messages import Answer, Command

EXTERNAL = "EXTERNAL"
"""The stream."""

OPERATOR = "operator"
"""Who sends by hand (`stagepost send`); declared from the beginning, for every command."""

Senders = Mapping[str, Collection[str]]
"""Which types of commands each declared sender may send; of the operator nothing is said."""


def source_of(sender: str) -> str:
    """Return what messages of a sender from outside name as their source."""
    return f"{EXTERNAL}.{sender}"


def sender_of(source: str) -> str | None:
    """Return which sender from outside a source is, None where it is a service."""
    stream, dot, sender = source.partition(".")
    return sender if dot and stream == EXTERNAL else None


def may_send(senders: Senders, sender: str, command: str) -> bool:
    """Tell whether a sender from outside declares this type of command."""
    return sender == OPERATOR or command in senders.get(sender, ())


def commands_of(service: Service) -> list[type[Command]]:
    """Return the commands that a service takes."""
    ours = (m for m in service.reads if issubclass(m, Command) and service.name == m.OWNER)
    return sorted(ours, key=lambda m: m.TYPE)


def answers_of(service: Service, commands: Iterable[str]) -> list[type[Answer]]:
    """Return what a service says in answer to commands of these types."""
    asked = frozenset(commands)
    return [
        message
        for message in service.sends
        if issubclass(message, Answer)
        and not asked.isdisjoint(m.TYPE for m in (message.TO, *message.ALSO))
    ]
