"""The routes that every service has: journal, dead letters, health, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, SkipValidation
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from stagepost.engine.batch import LEASE
from stagepost.engine.store import DeadLetter, JournalEntry, Leadership, Store
from stagepost.engine.web.access import OPEN
from stagepost.engine.web.paging import Limit, Page, Position, page_of
from stagepost.engine.web.problems import (
    PROBLEM_JSON,
    RETRY,
    AnyRequest,
    Problem,
    Problems,
    respond,
)
from stagepost.errors import StagepostError
from stagepost.messages import Id

TAGS = ["every service"]
PROBE_SECONDS = 2.0
LOOK_SECONDS = 1.0
"""For how long a look at everything is remembered, from its beginning."""
EXPOSITION = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")  # Litestar adds it again


class Health(StrEnum):
    """How a part of the service is, from best to worst."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


class Check(BaseModel):
    """How one thing is that the service needs. Only `down` keeps requests away."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(examples=["database"])
    health: Health = Field(examples=[Health.OK])
    detail: str | None = Field(default=None, examples=["schema 104"])


class Readiness(BaseModel):
    """Whether the service can take requests: the worst of its checks."""

    model_config = ConfigDict(frozen=True)

    health: Health
    checks: tuple[Check, ...]


class NotReady(Problem):
    """The service cannot take requests; one of its checks is down."""

    checks: tuple[Check, ...]


class ParkedMessage(BaseModel):
    """A message that could not be handled, or that waits behind one of its key."""

    model_config = ConfigDict(frozen=True)

    id: int
    state: str = Field(examples=["parked"])
    reason: str
    attempts: int
    parked_at: datetime
    message_id: UUID
    type: str = Field(examples=["payments.PaymentReceived"])
    version: int
    kind: str
    source: str
    key: str
    correlation: UUID
    causation: UUID | None
    body: str = Field(description="As it came, even where it is no JSON.")


@dataclass(frozen=True, slots=True)
class Probe:
    """Looks at one thing that the service needs: `look` raises where it is not well.

    Without what is `vital` the service takes no requests; without the rest it is degraded.
    """

    name: str
    look: Callable[[], Awaitable[object]]
    vital: bool


class Watch:
    """Looks at all probes at once, and remembers what it saw for a while.

    Anybody may ask whether the service is ready, and as often as they want: a probe takes a
    connection that requests need.
    """

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._probes = probes
        self._look: asyncio.Task[tuple[Check, ...]] | None = None
        self._until = 0.0

    async def checks(self) -> tuple[Check, ...]:
        """Return how everything is, or was within LOOK_SECONDS: one look is for all who ask."""
        now = asyncio.get_running_loop().time()
        if self._look is None or (self._look.done() and now >= self._until):
            self._look = asyncio.create_task(self._look_at_all())
            self._until = now + LOOK_SECONDS
        return await asyncio.shield(self._look)  # who hangs up takes it from nobody else

    async def _look_at_all(self) -> tuple[Check, ...]:
        return tuple(await asyncio.gather(*map(_look, self._probes)))


@get("/journal", tags=TAGS)
async def read_journal(
    request: AnyRequest,
    store: SkipValidation[Store],
    order_id: FromQuery[Id | None] = None,
    after: Position = 0,
    limit: Limit = 100,
) -> Response[Page[JournalEntry]]:
    """Every message that this service sent or handled.

    In the order in which it was committed; with `order_id`, those about one order (more exactly:
    of one key).
    """
    entries = await store.journal(order_id, after, limit)
    return page_of(request, entries, limit, lambda entry: entry.position)


@get("/dead-letters", tags=TAGS)
async def list_dead_letters(
    request: AnyRequest, store: SkipValidation[Store], after: Position = 0, limit: Limit = 100
) -> Response[Page[ParkedMessage]]:
    """Messages that could not be handled, and those that wait behind them."""
    letters = [_parked(letter) for letter in await store.dead_letters(after, limit)]
    return page_of(request, letters, limit, lambda letter: letter.id)


@get("/lease", tags=TAGS)
async def read_lease(store: SkipValidation[Store]) -> Leadership:
    """Which instance of this service leads, and which wait to take over.

    All of them answer requests; who leads also relays, consumes, calls and fires timers.
    """
    return await store.leadership(LEASE)


@get("/health/live", tags=TAGS, opt=OPEN)
async def live() -> Check:
    """Whether the process answers at all."""
    return Check(name="process", health=Health.OK)


@get(
    "/health/ready",
    tags=TAGS,
    opt=OPEN,
    responses={
        503: ResponseSpec(
            NotReady,
            generate_examples=False,
            description="The service cannot take requests",
            media_type=PROBLEM_JSON,
        )
    },
)
async def ready(
    watch: SkipValidation[Watch], problems: SkipValidation[Problems]
) -> Response[Readiness] | Response[Problem]:
    """Whether the service can take requests, or could a second ago.

    Without the broker it can: what it has to tell waits in its outbox. That is `degraded`.
    """
    checks = await watch.checks()
    if down := [check.name for check in checks if check.health is Health.DOWN]:
        why = problems.of(503, f"not well: {', '.join(down)}")
        return respond(NotReady(checks=checks, **why.model_dump()), RETRY)
    well = all(check.health is Health.OK for check in checks)
    return Response(Readiness(health=Health.OK if well else Health.DEGRADED, checks=checks))


@get("/metrics", tags=TAGS, media_type=EXPOSITION)
async def read_metrics(registry: SkipValidation[CollectorRegistry]) -> bytes:
    """Figures for Prometheus."""
    return generate_latest(registry)


COMMON_ROUTES: list[HTTPRouteHandler] = [
    read_journal,
    list_dead_letters,
    read_lease,
    live,
    ready,
    read_metrics,
]


async def _look(probe: Probe) -> Check:
    try:
        await asyncio.wait_for(probe.look(), PROBE_SECONDS)
    except TimeoutError:
        detail = f"no answer within {PROBE_SECONDS:g} s"
    except (StagepostError, OSError) as error:
        detail = str(error)
    else:
        return Check(name=probe.name, health=Health.OK)
    return Check(
        name=probe.name, health=Health.DOWN if probe.vital else Health.DEGRADED, detail=detail
    )


def _parked(letter: DeadLetter) -> ParkedMessage:
    message = letter.message
    return ParkedMessage(
        id=letter.id,
        state=letter.state,
        reason=letter.reason,
        attempts=letter.attempts,
        parked_at=letter.parked_at,
        message_id=message.id,
        type=message.type,
        version=message.version,
        kind=message.kind,
        source=message.source,
        key=message.key,
        correlation=message.correlation,
        causation=message.causation,
        body=message.body.decode(errors="replace"),
    )
