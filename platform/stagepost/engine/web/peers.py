"""What the other services declare that they have to do with one: over HTTP they get no more."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from litestar.exceptions import PermissionDeniedException

from stagepost.engine.service import Service
from stagepost.messages import Command, Event, Message


@dataclass(frozen=True)
class Peers:
    """Which types of events each service reads of this one, and which commands it sends to it.

    Where nothing is declared nobody is a peer. All services count, also those that do not run: who
    joins later reads what was told till then.
    """

    reads: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sends: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, service: Service, services: Mapping[str, Service]) -> Peers:
        """Return what these services declare of one of them."""
        return cls(
            {name: _types(Event, peer.reads_from(service)) for name, peer in services.items()},
            {name: _types(Command, service.reads_from(peer)) for name, peer in services.items()},
        )

    def check_reader(self, name: str, types: Collection[str]) -> None:
        """Let a service read these types of events, which it has to name.

        What it reads is not left to us: who runs with an older declaration of it than its own
        would leave out what it wants, and it would never know.

        Raises:
            PermissionDeniedException: it does not declare that it reads them.
        """
        declared = self.reads.get(name)
        if not declared:
            raise PermissionDeniedException(f"{name} declares no event of this feed")
        if not types or not declared.issuperset(types):
            raise PermissionDeniedException(
                f"{name} declares of this feed {', '.join(sorted(declared))}:"
                " name in `types` which of them to read"
            )

    def check_sender(self, name: str, command: str) -> None:
        """Let a service bring a command of this type.

        Raises:
            PermissionDeniedException: it does not declare that it sends it here.
        """
        if command not in self.sends.get(name, ()):
            raise PermissionDeniedException(f"{name} does not declare that it sends {command} here")


NOBODY = Peers()


def _types(kind: type[Message], messages: Collection[type[Message]]) -> frozenset[str]:
    return frozenset(message.TYPE for message in messages if issubclass(message, kind))
