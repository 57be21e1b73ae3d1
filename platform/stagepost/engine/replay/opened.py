"""Where logs are: of a stack that runs, or of the data that one has left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from stagepost.engine.database import READ_ONLY, open_pool
from stagepost.engine.migrations import check_schema
from stagepost.engine.replay.given import one_of
from stagepost.engine.replay.log import Log
from stagepost.engine.stack.reach import Reach, reach


class Logs:
    """The logs of all services; each is opened when somebody asks for it.

    Sessions are the auditor's, and read only: nothing that a replay runs can have an effect.
    """

    def __init__(self, reached: Reach) -> None:
        self._reached = reached
        self._exits = AsyncExitStack()
        self._logs: dict[str, Log] = {}

    @property
    def names(self) -> list[str]:
        """The services that have a log, in the order of their ports."""
        return list(self._reached.services)

    async def of(self, service: str) -> Log:
        """Return the log of a service.

        Raises:
            BadSettings: there is no such service.
            SchemaTooOld, SchemaTooNew, StoreUnavailable
        """
        one_of("service", service, self.names)
        if service not in self._logs:
            pool = await open_pool(
                self._reached.databases.audit_dsn(service), size=2, settings=READ_ONLY
            )
            self._exits.push_async_callback(pool.close)
            await check_schema(pool, self._reached.services[service].sql)
            self._logs[service] = Log(self._reached.services[service], pool)
        return self._logs[service]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exits.aclose()

    async def __aenter__(self) -> Self:
        return self


@asynccontextmanager
async def open_logs(data: Path | None = None) -> AsyncIterator[Logs]:
    """Open the logs of a stack that runs on this data, or of what one has left there.

    Raises:
        BadSettings: there is none.
        StackError: its PostgreSQL cannot be started.
    """
    async with reach(data) as reached, Logs(reached) as logs:
        yield logs
