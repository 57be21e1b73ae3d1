"""HTTP in one process: the services' own apps, asked without a socket."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from litestar import Litestar
from prometheus_client import CollectorRegistry

from stagepost.engine.answers import Answers
from stagepost.engine.database import Queries
from stagepost.engine.desk import Desk
from stagepost.engine.flow import Flow
from stagepost.engine.ids import SeededIds
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.web import make_app
from tests.simulation.loop import Process, VirtualLoop, here
from tests.simulation.plan import SHOP


class _DeskHere:
    """The desk of the process in which a request is handled; an app is made once for all."""

    def __getattr__(self, name: str) -> Any:
        return getattr(here().node.desk, name)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client gets; a status of 0 where nobody listened, or the answer never came."""

    status: int
    body: Any = None


NOBODY = Reply(0)


@cache
def app_of(service: str) -> Litestar:
    """Make the app of a service; to make one takes longer than to run a seed."""
    return make_app(
        SHOP[service],
        desk=cast("Desk", _DeskHere()),
        queries=cast("Queries", None),
        store=cast("MemoryStore", None),
        ids=SeededIds(0),
        answers=cast("Answers", None),
        probes=[],
        registry=CollectorRegistry(),
        flow=Flow(),
    )


async def ask(
    loop: VirtualLoop,
    process: Process | None,
    method: str,
    path: str,
    body: object = None,
    *,
    key: str | None = None,
    patience: float,
) -> Reply:
    """Send one request to a process, and wait for the answer as long as the client has patience."""
    if process is None or not process.alive:
        return NOBODY
    answered: asyncio.Future[Reply] = loop.create_future()
    app = app_of(process.name.partition("-")[0])
    work = _serve(app, scope_of(method, path, key), body, answered)
    loop.create_task(work, context=process.context)
    try:
        async with asyncio.timeout(patience):
            return await answered
    except TimeoutError:
        return NOBODY


def scope_of(method: str, path: str, key: str | None) -> dict[str, Any]:
    """Write a request as ASGI has it."""
    headers = [(b"content-type", b"application/json")] if method == "POST" else []
    if key is not None:
        headers.append((b"idempotency-key", key.encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "extensions": {},
        "state": {},
    }


async def _serve(
    app: Litestar, scope: dict[str, Any], body: object, answered: asyncio.Future[Reply]
) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    scope["headers"].append((b"content-length", str(len(content)).encode()))
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)  # type: ignore[arg-type]
    text = b"".join(message.get("body", b"") for message in said[1:])
    if not answered.done():
        answered.set_result(Reply(said[0]["status"], json.loads(text) if text else None))
