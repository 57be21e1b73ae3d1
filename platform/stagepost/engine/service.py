"""A service as a value: what it is called, what it handles, what it may send."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from litestar.handlers import HTTPRouteHandler

from stagepost.engine.calls import Calls
from stagepost.engine.settings import Settings
from stagepost.handler import Handler
from stagepost.messages import Command, Event, Message
from stagepost.process import Process
from stagepost.view import View


@dataclass(frozen=True)
class Service:
    """Everything that the engine needs to know to run a service; `app.py` of each one makes it.

    `handlers` says what is done about which message, `sends` which commands and events may leave.
    `sql` is the folder with the service's own migrations (`NNN_name.sql`, from 100 upward) and
    `queries.sql`. `calls` names the parts of the outside world that it calls over HTTP;
    `open_calls` is given where it calls in another way, and says how.
    """

    name: str
    about: str
    port: int
    sql: Path
    handlers: Mapping[type[Message], Handler] = field(default_factory=dict)
    processes: Sequence[Process[Any]] = ()
    views: Sequence[View[Any]] = ()
    sends: Sequence[type[Message]] = ()
    calls: Sequence[str] = ()
    open_calls: Callable[[Settings], Calls] | None = None
    routes: Sequence[HTTPRouteHandler] = ()

    @cached_property
    def reads(self) -> frozenset[type[Message]]:
        """What it wants to hear from others: commands to it, and events."""
        heard = {m for p in self.processes for m in (p.starts_on, *p.listens_to)} | set(
            self.handlers
        )
        return frozenset(m for m in heard if issubclass(m, Command | Event))

    def reads_from(self, source: Service) -> frozenset[type[Message]]:
        """Which of `source`'s messages come here: events that it wants, commands to it."""
        return frozenset(
            m
            for m in source.sends
            if m in self.reads and (self.name == m.OWNER or not issubclass(m, Command))
        )
