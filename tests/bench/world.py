"""A build of a service for the bench: the outside world is a port in its process.

`python -m tests.bench.world NAME DSN` runs the service as `stagepost run NAME` does, but for one
port: where that wires calls over HTTP, this wires the memory adapter, whose routes are the rules of
`services.outside` over books in memory. What they write down goes to the world's database
(DSN) all the same, a moment later, many entries at once: there the promises are checked.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar
from unittest.mock import patch

import uvloop

import services.outside
from services.outside.behaviour import GRANTS, Behaviour, of_address, of_token
from services.outside.carrier import Dispatch, ParcelEntry, dispatch
from services.outside.entry import Entry
from services.outside.provider import Charge, ChargeEntry, Refund, charge, refund
from stagepost.engine import serve
from stagepost.engine.calls_memory import MemoryCalls, Reply
from stagepost.engine.database import open_pool, read_statements
from stagepost.engine.settings_read import load_settings

SLOW_SECONDS = 3
"""How long slow ones take, as in the process of its own."""
WRITE_SECONDS = 0.1
"""How long entries gather before they are written down."""
CLOSED = Reply(b"closed: nothing was done", 503)
SQL = read_statements(Path(services.outside.__file__).parent / "sql" / "queries.sql")

E = TypeVar("E", bound=Entry)


class Books(Generic[E]):
    """One ledger in memory; `table` is where it is written down."""

    def __init__(self, table: str, dsn: str) -> None:
        self._table = table
        self._dsn = dsn
        self._by_key: dict[str, E] = {}
        self._by_reference: defaultdict[str, list[E]] = defaultdict(list)
        self._lost: Counter[str] = Counter()
        self._unwritten: list[E] = []
        self._writing: asyncio.Task[None] | None = None

    async def ask(
        self, key: str, reference: str, behaviour: Behaviour, decide: Callable[[Sequence[E]], E]
    ) -> Reply:
        """Answer as the process of its own does.

        Raises:
            ConnectionResetError: all was done, and the answer is lost.
        """
        if behaviour.down:
            return CLOSED
        if behaviour.late and key not in self._by_key:
            await asyncio.sleep(SLOW_SECONDS)
        entry = self._by_key.get(key) or self._record(key, reference, decide)
        if self._lost[key] < behaviour.lost_answers:
            self._lost[key] += 1
            raise ConnectionResetError
        return Reply(entry.answer.encode())

    def _record(self, key: str, reference: str, decide: Callable[[Sequence[E]], E]) -> E:
        past = self._by_reference[reference]
        entry = decide(past)
        past.append(entry)
        self._by_key[key] = entry
        self._unwritten.append(entry)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return entry

    async def _write(self) -> None:
        pool = await open_pool(self._dsn, size=1)
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            if self._unwritten:
                entries, self._unwritten = self._unwritten, []
                rows = f"[{','.join(entry.model_dump_json() for entry in entries)}]"
                await pool.execute(SQL[f"record_{self._table}"], rows)


def calls(dsn: str, _urls: Mapping[str, str], timeout: float) -> MemoryCalls:
    """Make the port: provider and carrier, both inside."""
    charges: Books[ChargeEntry] = Books("charges", dsn)
    parcels: Books[ParcelEntry] = Books("parcels", dsn)

    async def take(body: bytes, key: str) -> Reply:
        asked = Charge.model_validate_json(body)
        behaviour = of_token(asked.payment_token)
        return await charges.ask(key, asked.reference, behaviour, partial(charge, asked, key))

    async def give_back(body: bytes, key: str) -> Reply:
        asked = Refund.model_validate_json(body)
        return await charges.ask(key, asked.reference, GRANTS, partial(refund, asked, key))

    async def carry(body: bytes, key: str) -> Reply:
        asked = Dispatch.model_validate_json(body)
        behaviour = of_address(asked.ship_to)
        return await parcels.ask(key, asked.reference, behaviour, partial(dispatch, asked, key))

    routes = {
        ("provider", "/charges"): take,
        ("provider", "/refunds"): give_back,
        ("carrier", "/parcels"): carry,
    }
    return MemoryCalls(routes, timeout)


def main(name: str, dsn: str) -> None:
    """Run the service."""
    with patch.object(serve, "HttpCalls", partial(calls, dsn)):
        uvloop.run(serve.run(name, load_settings()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
