"""The outside world, with a database on the server that all tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from services.outside.app import SQL
from stagepost.engine.stack.databases import Databases
from tests.conftest import Database
from tests.outside.world import Outside, started

NAME = "outside_alone"


@pytest.fixture(scope="session")
async def database(databases: Databases) -> Database:
    await databases.provide([NAME])
    await databases.migrate({NAME: SQL})
    return Database(NAME, databases.owner_dsn(NAME), databases.dsn(NAME), databases.audit_dsn(NAME))


@pytest.fixture
async def outside(database: Database) -> AsyncIterator[Outside]:
    async with started(database.service) as world:
        yield world


@pytest.fixture
def key() -> str:
    return str(uuid4())


@pytest.fixture
def reference() -> str:
    return f"fulfillment/{uuid4()}"
