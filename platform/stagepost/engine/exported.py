"""What an export is: lines of JSON. The first says of what, the last how many they are, and a hash.

Between them stands one row a line, under the name of its table. A body that is JSON stands there as
it is; what would not come back from JSON byte by byte is written as PostgreSQL writes bytes.

An export is all that a service needs to go on: its events, what it has sent and heard (by which it
knows what it has done), how far it has read, and what still waits: calls, timers, dead letters.
Views and snapshots follow from the events, leases belong to who runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import orjson

from stagepost.errors import BadExport

FORMAT = 1

KEYS = {
    "stored_events": "notification_id",
    "outbox": "position",
    "inbox": "position",
    "calls": "position",
    "timers": "timer_id",
    "idempotency": "key",
    "dead_letters": "id",
}
"""The tables that grow, in the order in which they can be filled, each with what it is read by."""

SMALL = ("pruned", "cursors", "incarnation", "flow")
"""Tables of a few rows."""

_BODIES = {
    "stored_events": ["state"],
    "outbox": ["body"],
    "timers": ["body"],
    "dead_letters": ["body"],
    "idempotency": ["fingerprint", "response"],
}
"""Columns of bytes."""


class Writer:
    """Writes the lines of an export, and counts them."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = sha256()

    def first(self, service: str, migrations: Iterable[str]) -> bytes:
        """Return the line that says what this is an export of."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        head = {"export": FORMAT, "service": service, "at": at, "migrations": list(migrations)}
        return self._line(head)

    def row(self, table: str, row: str) -> bytes:
        """Return the line of a row, which PostgreSQL gives as JSON."""
        values: dict[str, Any] = orjson.loads(row)
        for name in _BODIES.get(table, ()):
            values[name] = _readable(values[name])
        self.rows += 1
        return self._line({table: values})

    def last(self) -> bytes:
        """Return the line without which an export is none."""
        return _text({"rows": self.rows, "sha256": self._hash.hexdigest()})

    def _line(self, value: Mapping[str, Any]) -> bytes:
        line = _text(value)
        self._hash.update(line)
        return line


class Reader:
    """Reads the lines of an export, and finds whether they are all there as they were written."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """Begin to read.

        Raises:
            BadExport: it does not begin as one.
        """
        self._lines = enumerate(lines, 1)
        self._hash = sha256()
        self.line = 0
        head = self._next() or {}
        if head.get("export") != FORMAT:
            raise BadExport("this is no export that this release can read: see its first line")
        self.service: str = head["service"]
        self.migrations: list[str] = head["migrations"]

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give each row with its table.

        Raises:
            BadExport: something is missing, or is not as it was written. It says so at the end, so
                nothing counts before.
        """
        rows, before = 0, self._hash.hexdigest()
        while (found := self._next()) is not None:
            if "sha256" in found:
                self._check(found, rows, before)
                return
            ((table, values),) = found.items()
            for name in _BODIES.get(table, ()):
                values[name] = _stored(values.get(name))
            rows, before = rows + 1, self._hash.hexdigest()
            yield table, values
        raise BadExport(
            f"the export is cut off: it ends after {rows:,} rows, without its last line"
        )

    def _check(self, last: Mapping[str, Any], rows: int, digest: str) -> None:
        if last != {"rows": rows, "sha256": digest}:
            raise BadExport(
                f"the export was altered: of {last.get('rows')} rows there are {rows},"
                " or they are not as they were written (their hash is another)"
            )
        if self._next() is not None:
            raise BadExport(f"something stands behind its last line, in line {self.line:,}")

    def _next(self) -> dict[str, Any] | None:
        self.line, line = next(self._lines, (self.line, b""))
        if not line:
            return None
        self._hash.update(line)
        try:
            found = orjson.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BadExport(f"line {self.line:,} is damaged, or the export is cut off there")
        return found


def _text(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _readable(stored: str) -> object:
    """Return a body that is JSON as that, if it comes back as the same bytes."""
    body = bytes.fromhex(stored[2:])
    try:
        value = orjson.loads(body)
    except ValueError:
        return stored
    return value if isinstance(value, dict) and orjson.dumps(value) == body else stored


def _stored(written: object) -> object:
    return rf"\x{orjson.dumps(written).hex()}" if isinstance(written, dict) else written
