"""New ids, as a port: for what has no cause that its id could derive from."""

from __future__ import annotations

import secrets
import time
from itertools import count
from random import Random
from typing import Protocol
from uuid import UUID


class Ids(Protocol):
    """Gives ids that nobody has had before; later ones sort after earlier ones."""

    def new(self) -> UUID:
        """Return a new id."""
        ...


class SystemIds:
    """UUIDs of version 7 (RFC 9562): the time in steps of a quarter microsecond, then chance."""

    def new(self) -> UUID:
        milliseconds, rest = divmod(time.time_ns(), 1_000_000)
        return _uuid7(milliseconds, rest * 4096 // 1_000_000, secrets.randbits(62))


class SeededIds:
    """UUIDs of the same form that a seed determines: a count stands where the time would."""

    def __init__(self, seed: int) -> None:
        self._count = count(1)
        self._random = Random(seed)  # noqa: S311 - to be repeatable is the point

    def new(self) -> UUID:
        return _uuid7(next(self._count), 0, self._random.getrandbits(62))


def _uuid7(milliseconds: int, fraction: int, chance: int) -> UUID:
    return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | chance)
