"""A stack that somebody else runs, here or in containers, as its `stack.json` tells."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from stagepost.engine.flow import Flow
from stagepost.engine.operate import read_stack
from stagepost.engine.stack.folder import Passwords
from stagepost.engine.stack.keys import operator_headers
from stagepost.engine.stack.place import names_of


class Running:
    """Where the parts of a stack are, and how each gets in.

    Raises:
        BadSettings: no stack runs on this data.
    """

    def __init__(self, data: Path) -> None:
        self._state = read_stack(data)
        self._passwords = Passwords(data / "secrets.json")
        self.flow = Flow(**self._state["flow"], only=frozenset(self._state["services"]))

    @property
    def names(self) -> tuple[str, ...]:
        """What listens: the services in the order of their ports, then the world around them."""
        return names_of(self.flow)

    @property
    def urls(self) -> Mapping[str, str]:
        """Where each of them is."""
        return {name: self._part(name)["url"] for name in self.names}

    @property
    def audit_dsn(self) -> str:
        """How the auditor reads all databases, as schemas of one."""
        return str(self._state["postgres"]["audit"])

    @cached_property
    def headers(self) -> dict[str, str]:
        """What an operator of this stack says with each request."""
        return operator_headers(self._passwords)

    def dsn(self, name: str) -> str:
        """Return how a service connects to its database."""
        return str(self._part(name)["database"])

    def uses(self, transport: str) -> bool:
        """Tell whether anything goes over this transport."""
        return transport in self._state

    def nats_url(self, user: str) -> str:
        """Return how a service connects to the broker."""
        return str(self._part(user)["nats_url"])

    def _part(self, name: str) -> Mapping[str, Any]:
        part: Mapping[str, Any] = self._state["services"].get(name) or self._state[name]
        return part
