"""The outside world's database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.outside.server import Database, make_database, running_server


@pytest.fixture(scope="session")
async def database() -> AsyncIterator[Database]:
    with running_server() as server:
        yield await make_database(server)
