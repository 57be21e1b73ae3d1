"""How the services work together: in which style, and over which transports."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stagepost.engine.discovery import find_services
from stagepost.engine.external import Senders
from stagepost.engine.external_file import read_senders
from stagepost.engine.link_file import read_links
from stagepost.engine.links import DEFAULT, Links
from stagepost.engine.service import Service
from stagepost.engine.styles import ORCHESTRATED, STYLES, SYNCHRONOUS
from stagepost.engine.transport_names import HTTP
from stagepost.errors import BadSettings

VARIABLE = "STAGEPOST_LINKS"


@dataclass(frozen=True)
class Flow:
    """A style, and the transports that were named: by `sender->reader`, and by `default`.

    Where some services are named as the `only` ones, no other runs. It is the same flow: what they
    tell the others waits, and whoever joins later reads it. Nor is it another where others may
    send from outside (`external`).
    """

    style: str = ORCHESTRATED
    transports: Mapping[str, str] = field(default_factory=dict)
    only: frozenset[str] = field(default=frozenset(), compare=False)
    external: Senders = field(default_factory=dict, compare=False)

    @property
    def services(self) -> dict[str, Service]:
        """The services as they are in this style, those that it needs.

        Raises:
            BadSettings: there is no such style.
        """
        every = find_services(self.style)
        return {name: each for name, each in every.items() if not self.only or name in self.only}

    @property
    def links(self) -> Links:
        """The transports of all links; who works synchronously commands over HTTP.

        Raises:
            BadSettings: there is no such transport.
        """
        commands = HTTP if self.style == SYNCHRONOUS else None
        return Links.read(self.transports, commands=commands, external=self.external)

    def is_as(self, other: Flow) -> bool:
        """Tell whether another is the same flow, however it is written."""
        return (self.style, self.links) == (other.style, other.links)

    def __str__(self) -> str:
        named = ", ".join(f"{name} over {how}" for name, how in sorted(self.transports.items()))
        return f"{self.style}, {named}" if named else self.style


def read_flow(style: str, transport: str | None = None, only: frozenset[str] = frozenset()) -> Flow:
    """Return a style with the transports of the environment, else of stagepost.toml.

    `transport` is the default of all links, whatever these say. They may name links of any style.
    `only` these services run. Who may send from outside is read there too.

    Raises:
        BadSettings: names what is wrong with them.
    """
    named = _between(Flow(style, only=only).services, named_transports())
    named |= {DEFAULT: transport} if transport else {}
    return Flow(style, named, only, read_senders())


def named_transports() -> dict[str, str]:
    """Return the transports that are named in the environment, else in stagepost.toml.

    Raises:
        BadSettings: they cannot be read.
    """
    if (text := os.environ.get(VARIABLE)) is not None:
        return _checked(_json(text))
    links = read_links().items()
    return {name: said.transport for name, said in links if said.transport is not None}


def _between(services: Mapping[str, Service], named: dict[str, str]) -> dict[str, str]:
    """Leave out the links that there are, but not between these services."""
    elsewhere = all_links() - {link.name for link in Links().between(services)}
    return {name: how for name, how in named.items() if "".join(name.split()) not in elsewhere}


def all_links() -> frozenset[str]:
    """Return the links of all styles, as `sender->reader`."""
    every = (link for style in STYLES for link in Links().between(find_services(style)))
    return frozenset(link.name for link in every)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadSettings(f"{VARIABLE} is no JSON: {error}") from None


def _checked(named: Any) -> dict[str, str]:
    if not isinstance(named, dict) or not all(isinstance(how, str) for how in named.values()):
        example = '{"fulfillment->payments": "http"}'
        raise BadSettings(f"{VARIABLE} must name transports, such as {example}")
    return named
