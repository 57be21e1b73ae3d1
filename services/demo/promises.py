"""The promises of the design, checked on what is stored: SQL as the auditor, who may only read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from stagepost.engine.database import Connection, read_statements
from stagepost.engine.discovery import find_services
from stagepost.engine.flow import Flow
from stagepost.engine.service import Service
from stagepost.engine.styles import CHOREOGRAPHED
from stagepost.engine.transport_names import HTTP
from stagepost.messages import Answer

SQL = Path(__file__).parent / "sql"
CHECKS = read_statements(SQL / "promises.sql") | read_statements(SQL / "around.sql")
STATEMENTS = read_statements(SQL / "logs.sql") | CHECKS
EACH = read_statements(SQL / "each.sql")
PROMISES = tuple(CHECKS)

SESSION = {"jit": "off", "work_mem": "64MB", "enable_nestloop": "off"}
"""For few and large joins over tables whose sizes the planner does not know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a promise holds, and the figures that prove it."""

    holds: bool
    detail: str


async def connect(dsn: str) -> Connection:
    """Connect as the auditor."""
    connection: Connection = await asyncpg.connect(dsn, server_settings=SESSION)
    return connection


class Audit:
    """What is stored in all databases; the `flow` says who reads which messages, and how."""

    def __init__(
        self,
        connection: Connection,
        flow: Flow = Flow(),  # noqa: B008  # frozen
        accepted: Iterable[str] | None = None,
    ) -> None:
        self.connection = connection
        self._of_all = _of_all(find_services() | flow.services)
        self._known = json.dumps(
            {
                "links": _links(flow),
                "answers": _answers(flow.services.values()),
                "asks": "ordering" if flow.style == CHOREOGRAPHED else "fulfillment",
                "accepted": None if accepted is None else list(accepted),
            }
        )

    async def rows(self, name: str) -> list[asyncpg.Record]:
        """Run a statement over the logs of all services."""
        text = f"{STATEMENTS['logs']}\n{STATEMENTS[name]}".format_map(self._of_all)
        return await self.connection.fetch(text, self._known)

    async def row(self, name: str) -> asyncpg.Record:
        """Run a statement that has exactly one row."""
        (row,) = await self.rows(name)
        return row

    async def check(self, promise: str) -> Finding:
        """Count the violations of one promise in all that is stored."""
        found = dict(await self.row(promise))
        violations, examples = found.pop("violations"), found.pop("examples")
        return _finding(violations, examples, found)

    async def window(self) -> str:
        """Say what the checks have seen."""
        seen = await self.row("window")
        if not seen["messages"]:
            return "nothing is stored yet"
        since, until = (f"{seen[name]:%H:%M:%S}" for name in ("since", "until"))
        return f"all that is stored: {seen['messages']:,} messages from {since} to {until} UTC"


def finding(faults: Sequence[str], figures: Mapping[str, int]) -> Finding:
    """Return what was found: the first few faults stand for all."""
    return _finding(len(faults), "; ".join(faults[:3]), figures)


def _finding(violations: int, examples: str, figures: Mapping[str, int]) -> Finding:
    fault = f"{violations:,} violations, such as: {examples}; " if violations else ""
    return Finding(violations == 0, fault + _in_words(figures))


def _in_words(figures: Mapping[str, int]) -> str:
    """Write figures for a person: `12 on hand, 3 reserved`."""
    return ", ".join(
        f"{figure or 0:,} {name.replace('_', ' ')}" for name, figure in figures.items()
    )


def _of_all(services: Mapping[str, Service]) -> dict[str, str]:
    """Return what is read of each service, of all that have a store, whether or not they run."""
    viewed = [name for name, service in services.items() if service.views]
    return {
        what: "\nUNION ALL\n".join(
            text.format(service=name) for name in (viewed if what == "views" else services)
        )
        for what, text in EACH.items()
    }


def _links(flow: Flow) -> list[dict[str, object]]:
    """Who reads what; `fetched` is an answer over HTTP, which comes to who brought the command."""
    return [
        {
            "source": link.sender,
            "type": link.message.TYPE,
            "reader": link.reader,
            "fetched": link.transport == HTTP and link.kind == "answer",
        }
        for link in flow.links.between(flow.services)
    ]


def _answers(services: Iterable[Service]) -> list[dict[str, str]]:
    """Which messages answer which command."""
    return [
        {"command": message.TO.TYPE, "answer": message.TYPE}
        for service in services
        for message in service.sends
        if issubclass(message, Answer)
    ]
