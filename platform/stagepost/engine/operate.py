"""What an operator does from the command line, on a running stack."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from stagepost.engine.discovery import find
from stagepost.engine.migrations import migrate
from stagepost.engine.prune import Forgotten, prune
from stagepost.engine.service import Service
from stagepost.engine.store import DeadLetter
from stagepost.engine.store_postgres import PostgresStore
from stagepost.errors import BadSettings

DATA = Path(".stagepost")


def read_stack(data: Path) -> dict[str, Any]:
    """Return what `stagepost up` wrote about the stack that runs on this data.

    Raises:
        BadSettings: nothing runs there.
    """
    file = data / "stack.json"
    try:
        stack: dict[str, Any] = json.loads(file.read_text())
        if (pid := stack.get("pid")) is not None:  # none where its parts run apart
            os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        raise BadSettings(
            f"no stack runs in {data}: `make up`, or name the folder of another (--data, DATA)"
        ) from None
    return stack


@asynccontextmanager
async def open_store(data: Path, service: str) -> AsyncIterator[PostgresStore]:
    """Open the store of a service of the running stack."""
    services = read_stack(data)["services"]
    if service not in services:
        raise BadSettings(f"there is no service {service!r}; there are: {', '.join(services)}")
    store = await PostgresStore.connect(services[service]["database"], service)
    try:
        yield store
    finally:
        await store.close()


async def migrate_service(name: str, dsn: str | None, data: Path) -> list[str]:
    """Migrate the database of a service; without a DSN, that of the running stack.

    Raises:
        BadSettings: there is no such service, or nothing says where its database is.
        SchemaTooNew, StoreUnavailable
    """
    service = service_with_store(name)
    return await migrate(dsn or _owner_database(name, data), [service.sql])


async def prune_service(name: str, before: datetime, dsn: str | None, data: Path) -> Forgotten:
    """Forget what a service sent and heard before a time; without a DSN, in the running stack.

    Raises:
        BadSettings: there is no such service, nothing says where its database is, or the time is
            less than 24 hours ago.
        SchemaTooOld, StoreUnavailable
    """
    service = service_with_store(name)
    return await prune(dsn or _owner_database(name, data), service, before)


def service_with_store(name: str) -> Service:
    """Return a service by its name.

    Raises:
        BadSettings: there is none, or what is there is no service.
    """
    service = find(name)
    if not isinstance(service, Service):
        raise BadSettings(f"{name} has no store of ours")
    return service


def _owner_database(name: str, data: Path) -> str:
    return str(read_stack(data)["services"][name]["owner_database"])


async def list_letters(data: Path, service: str) -> list[DeadLetter]:
    async with open_store(data, service) as store:
        return await store.dead_letters(0, 1000)


async def show_letter(data: Path, service: str, letter: int) -> DeadLetter:
    async with open_store(data, service) as store:
        found = await store.dead_letters(letter - 1, 1)
    if not found or found[0].id != letter:
        raise BadSettings(
            f"{service} has no open dead letter {letter}:"
            f" see `stagepost dead-letters list {service}`"
        )
    return found[0]


def in_short(letter: DeadLetter) -> list[str]:
    """Return what a list shows of a dead letter."""
    message, at = letter.message, f"{letter.parked_at:%m-%d %H:%M:%S}"
    tried = str(letter.attempts)
    return [str(letter.id), letter.state, message.type, message.key, tried, at, letter.reason]


def in_full(letter: DeadLetter) -> list[list[str]]:
    """Return all there is to know about a dead letter, by name."""
    message = asdict(letter.message) | {"body": letter.message.body.decode(errors="replace")}
    said = {"reason": letter.reason, "state": letter.state, "attempts": letter.attempts}
    return [[name, str(value)] for name, value in (said | message).items() if value is not None]


async def redrive(data: Path, service: str, letters: Collection[int]) -> int:
    async with open_store(data, service) as store:
        return await store.redrive(letters)


async def discard(data: Path, service: str, letters: Collection[int], reason: str) -> int:
    async with open_store(data, service) as store:
        return await store.discard(letters, reason)
