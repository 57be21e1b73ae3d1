"""Where the parts of a stack are: what each of them is told, and what operators need to get in."""

from __future__ import annotations

import json
from typing import Any, Protocol
from urllib.parse import urlsplit

from stagepost.engine.discovery import find_services, find_worlds
from stagepost.engine.external import EXTERNAL, OPERATOR
from stagepost.engine.flow import Flow
from stagepost.engine.links import routes_of
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.folder import Passwords
from stagepost.engine.stack.keys import token_settings
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats_rules import ADMIN


class Place(Protocol):
    """A stack, on one machine or in containers."""

    @property
    def flow(self) -> Flow:
        """How its services work together."""
        ...

    @property
    def databases(self) -> Databases: ...

    @property
    def passwords(self) -> Passwords: ...

    def url(self, name: str) -> str:
        """Return where a service is, or a part of the world around."""
        ...

    def uses(self, transport: str) -> bool:
        """Tell whether anything goes over this transport."""
        ...

    def nats_url(self, user: str) -> str:
        """Return how a service connects to the broker, or whoever else is let in."""
        ...


def names_of(flow: Flow) -> tuple[str, ...]:
    """Return what listens: the services in the order of their ports, then the world around them."""
    return (*flow.services, *find_worlds())


def stores_of(flow: Flow) -> tuple[str, ...]:
    """Return what has a database: also of services that have nothing to do in this style."""
    return (*(find_services() | flow.services), *find_worlds())


def transports_of(flow: Flow) -> set[str]:
    """Return every transport that some link of a flow has, or a message that nobody reads."""
    services, links = flow.services, flow.links
    return {
        transport
        for service in services.values()
        for transport in routes_of(service, services, links).transports
    }


def settings_of(name: str, place: Place) -> dict[str, str]:
    """Return what a service is told, or a part of the world around, by the names of settings."""
    service = place.flow.services.get(name)
    called = service.calls if service else ()
    calls = {part: f"{place.url(world)}/{part}" for world in find_worlds() for part in called}
    nats = service is not None and place.uses(NATS)
    return {
        "STAGEPOST_DATABASE": place.databases.dsn(name),
        "STAGEPOST_CALLS": json.dumps(calls),
        "STAGEPOST_STYLE": place.flow.style,
        "STAGEPOST_LINKS": json.dumps(dict(place.flow.transports)),
        "STAGEPOST_ONLY": json.dumps(sorted(place.flow.only)),
        "STAGEPOST_EXTERNAL": json.dumps(dict(place.flow.external)),
        **(token_settings(place.passwords, name) if service else {}),
        "STAGEPOST_SERVICES": json.dumps({name: place.url(name) for name in place.flow.services}),
        **({"STAGEPOST_NATS_URL": place.nats_url(name)} if nats else {}),
    }


def whereabouts(place: Place) -> dict[str, Any]:
    """Return what an operator needs to reach a stack: `stack.json`, but for its processes."""
    nats = place.uses(NATS)
    services = {
        name: _part(place, name) | ({"nats_url": place.nats_url(name)} if nats else {})
        for name in place.flow.services
    }
    databases = place.databases
    return {
        "services": services,
        **{world: _part(place, world) for world in find_worlds()},
        "postgres": {
            "superuser": databases.server.dsn("postgres"),
            "audit": databases.audit_dsn(),
            "host": databases.server.host,
        },
        "flow": {
            "style": place.flow.style,
            "transports": dict(place.flow.transports),
            "external": dict(place.flow.external),
        },
        **(_broker(place) if nats else {}),
    }


def _broker(place: Place) -> dict[str, Any]:
    """Return how the operator reaches NATS, and how each sender from outside does."""
    senders = (OPERATOR, *place.flow.external)
    return {
        "nats": {"url": place.nats_url(ADMIN)},
        EXTERNAL: {sender: place.nats_url(sender) for sender in senders},
    }


def _part(place: Place, name: str) -> dict[str, Any]:
    return {
        "url": place.url(name),
        "port": urlsplit(place.url(name)).port,
        "database": place.databases.dsn(name),
        "owner_database": place.databases.owner_dsn(name),
        "instances": {},
    }
