"""How the services work together: in which style, and over which transports."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagepost.engine.discovery import find_services
from stagepost.engine.links import DEFAULT, Links
from stagepost.engine.service import Service
from stagepost.engine.styles import ORCHESTRATED, SYNCHRONOUS
from stagepost.engine.transport_names import HTTP
from stagepost.errors import BadSettings

FILE = Path("stagepost.toml")
VARIABLE = "STAGEPOST_LINKS"


@dataclass(frozen=True)
class Flow:
    """A style, and the transports that were named: by `sender->reader`, and by `default`.

    Where some services are named as the `only` ones, no other runs. It is the same flow: what they
    tell the others waits, and whoever joins later reads it.
    """

    style: str = ORCHESTRATED
    transports: Mapping[str, str] = field(default_factory=dict)
    only: frozenset[str] = field(default=frozenset(), compare=False)

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
        return Links.read(self.transports, commands=HTTP if self.style == SYNCHRONOUS else None)

    def is_as(self, other: Flow) -> bool:
        """Tell whether another is the same flow, however it is written."""
        return (self.style, self.links) == (other.style, other.links)

    def __str__(self) -> str:
        named = ", ".join(f"{name} over {how}" for name, how in sorted(self.transports.items()))
        return f"{self.style}, {named}" if named else self.style


def read_flow(style: str, transport: str | None = None, only: frozenset[str] = frozenset()) -> Flow:
    """Return a style with the transports of the environment, else of stagepost.toml.

    `transport` is the default of all links, whatever these say; `only` these services run.

    Raises:
        BadSettings: names what is wrong with them.
    """
    named = named_transports()
    return Flow(style, named | {DEFAULT: transport} if transport else named, only)


def named_transports() -> dict[str, str]:
    """Return the transports that are named in the environment, else in stagepost.toml.

    Raises:
        BadSettings: they cannot be read.
    """
    if (text := os.environ.get(VARIABLE)) is not None:
        return _checked(_json(text), VARIABLE)
    if not FILE.exists():
        return {}
    try:
        content = tomllib.loads(FILE.read_text())
    except ValueError as error:
        raise BadSettings(f"{FILE} is no TOML: {error}") from None
    if strangers := content.keys() - {"links"}:
        raise BadSettings(f"{FILE} has a table {min(strangers)!r}: there is only [links]")
    return _checked(content.get("links", {}), f"[links] in {FILE}")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadSettings(f"{VARIABLE} is no JSON: {error}") from None


def _checked(named: Any, place: str) -> dict[str, str]:
    if not isinstance(named, dict) or not all(isinstance(how, str) for how in named.values()):
        raise BadSettings(f'{place} must name transports, such as "fulfillment->payments": "http"')
    return named
