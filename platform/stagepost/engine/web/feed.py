"""GET /feed: a service's events in order, as CloudEvents batches (see http-feeds.org).

A page is so many events, less those of types that were not asked for. A full one never changes and
may be kept for ever by whoever may read it, unless this database is set back: what had been told
since then, caches may go on to tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, get
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter, SkipValidation
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from stagepost.engine.envelope import Place
from stagepost.engine.items import Pulse
from stagepost.engine.roles import Role
from stagepost.engine.store import FeedPage, Store
from stagepost.engine.tokens import AccessToken
from stagepost.engine.transports.feed_answer import BEGIN, BEYOND, END, PRUNED, write_place
from stagepost.engine.transports.http_envelope import BATCH, write_batch
from stagepost.engine.web.access import FEED_READERS, caller_of
from stagepost.engine.web.etags import IfNoneMatch, is_among
from stagepost.engine.web.paging import Position
from stagepost.engine.web.peers import Peers
from stagepost.engine.web.problems import (
    PROBLEM_JSON,
    AnyRequest,
    Problem,
    Problems,
    problems,
    respond,
)
from stagepost.errors import StagepostError

LOOK_SECONDS = 0.5
"""Seconds between two looks at what other instances have written, while anybody waits for it."""
FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
NOT_KEPT = {"Cache-Control": "no-store"}

Limit: TypeAlias = Annotated[
    int,
    Field(ge=1, le=1000, description="How many events to look at, at most.", examples=[100]),
    QueryParameter(),
]
Wait: TypeAlias = Annotated[
    float,
    Field(ge=0, le=30, description="Seconds to wait for an event, if there is none.", examples=[0]),
    QueryParameter(),
]
Types: TypeAlias = Annotated[
    str | None,
    Field(
        pattern="^[^, ]+(,[^, ]+)*$",
        max_length=10_000,
        description="Of which types to return events, with commas between them; else of all. A"
        " service names those that it has declared to read.",
        examples=["payments.PaymentReceived,payments.PaymentDeclined"],
    ),
    QueryParameter(),
]


class CloudEvent(BaseModel):
    """An event as CloudEvents 1.0 writes it in JSON. What it has no name for is an extension."""

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"]
    id: UUID
    type: str = Field(examples=["payments.PaymentReceived"])
    source: str = Field(examples=["payments"])
    subject: str = Field(description="The key: the order of events holds per key.")
    time: datetime
    datacontenttype: Literal["application/json"]
    data: dict[str, JsonValue]
    version: str = Field(description="Of the type.", examples=["1"])
    kind: Literal["event"]
    correlationid: UUID
    causationid: UUID
    traceparent: str | None = None
    incarnation: str = Field(description="The life of the database.", examples=["1"])
    position: str = Field(description="Where it stands in the feed.", examples=["4711"])


class Pruned(Problem):
    """Events that were asked for are no longer kept."""

    pruned: dict[str, str] = Field(
        description="`incarnation:position` of the last event of each type that is not: who has"
        " read it, of each type of interest, misses nothing by going on at the beginning.",
        examples=[{"payments.PaymentReceived": "1:4711"}],
    )


class Feed:
    """The feed of one service. Any number may wait for its next event: that costs one look for all.

    Whatever this instance writes wakes them at once.
    """

    def __init__(self, store: Store, written: Callable[[], Pulse], peers: Peers) -> None:
        self._store = store
        self._written = written
        self._peers = peers
        self._waiting = 0
        self._looking: asyncio.Task[None] | None = None
        self.is_ending = False

    async def read(self, after: int, limit: int, wait: float) -> FeedPage:
        """Return a page; where the feed ends at `after`, wait up to so many seconds for more.

        Raises:
            StoreUnavailable
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            beats = self._written().beats
            page = await self._store.feed(after, limit)
            left = until - loop.time()
            if page.messages or after != page.end.position or left <= 0 or self.is_ending:
                return page
            await self._wait(beats, left, page.end)

    def check(self, caller: AccessToken, types: Collection[str]) -> None:
        """Let somebody read these types of events: services what they declare, operators all.

        Raises:
            PermissionDeniedException
        """
        if caller.role is Role.SERVICE:
            self._peers.check_reader(caller.sub, types)

    async def pruned(self) -> dict[str, Place]:
        """Return the last event of each type that is no longer kept.

        Raises:
            StoreUnavailable
        """
        return await self._store.pruned()

    def end(self) -> None:
        """Keep nobody waiting any more."""
        self.is_ending = True
        if self._looking is not None:
            self._looking.cancel()
        if self._waiting:
            self._written().set()

    async def _wait(self, beats: int, seconds: float, end: Place) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(end))
        self._waiting += 1
        try:
            await self._written().after(beats, seconds)
        finally:
            self._waiting -= 1

    async def _look(self, seen: Place) -> None:
        """Find what other instances write, as long as anybody waits for it."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._waiting:
                return
            with suppress(StagepostError):  # who waits finds out by asking
                end = (await self._store.feed(0, 0)).end
                if end != seen:
                    self._written().set()
                seen = end


def _header(name: str, description: str) -> ResponseHeader:
    return ResponseHeader(name=name, description=description, documentation_only=True)


HEADERS = [
    _header("Link", "Where the feed goes on, as `next`."),
    _header("ETag", "The page, where it is full; else it has none."),
    _header("Cache-Control", "A full page never changes; another is not to be kept."),
    _header(BEGIN, "The position up to which events are no longer kept."),
    _header(END, "`incarnation:position`: which life of the database this is, and the last event."),
]


@get(
    "/feed",
    tags=["every service"],
    opt=FEED_READERS,
    media_type=BATCH,
    response_headers=HEADERS,
    responses={
        304: ResponseSpec(None, description="The page is as it was."),
        PRUNED: ResponseSpec(
            Pruned,
            generate_examples=False,
            description="It is no longer kept",
            media_type=PROBLEM_JSON,
        ),
    }
    | problems(BEYOND),
)
async def read_feed(
    *,
    request: AnyRequest,
    feed: SkipValidation[Feed],
    problems: SkipValidation[Problems],
    after: Position = 0,
    limit: Limit = 100,
    wait: Wait = 0,
    types: Types = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Sequence[CloudEvent]] | Response[Problem]:
    """Every event that this service tells, or those of some types, in the order of their commits.

    A CloudEvents batch. Go on with `Link`: where types are named, it leads behind events of others
    too. With `wait`, the page of where the feed ends comes only after so many seconds without any
    event.
    """
    wanted = frozenset(types.split(",") if types else ())
    feed.check(caller_of(request), wanted)
    page = await feed.read(after, limit, wait)
    lies = {BEGIN: str(page.begin), END: write_place(page.end)}
    if feed.is_ending:  # what came before that does not say that it was the last
        lies["Connection"] = "close"
    if not page.begin <= after <= page.end.position:
        return await _outside(problems, feed, page, after, lies)
    last = page.messages[-1].position if page.messages else after
    query = urlencode({**request.query_params, "after": last})
    headers = {**lies, "Link": f'<{request.url.path}?{query}>; rel="next"'}
    batch = write_batch([each for each in page.messages if not wanted or each.type in wanted])
    if len(page.messages) < limit:
        return _batch(batch, 200, headers | NOT_KEPT)
    etag = f'"{blake2b(batch, digest_size=16).hexdigest()}"'
    headers |= FOR_EVER | {"ETag": etag}
    if is_among(etag, if_none_match):
        return _batch(b"", 304, headers)
    return _batch(batch, 200, headers)


def _batch(content: bytes, status: int, headers: dict[str, str]) -> Response[Any]:
    return Response(content, status_code=status, headers=headers, media_type=BATCH)


async def _outside(
    problems: Problems, feed: Feed, page: FeedPage, after: int, headers: dict[str, str]
) -> Response[Problem]:
    if after > page.end.position:
        problem = problems.of(
            BEYOND,
            f"the feed ends at {page.end.position}, {after} is beyond: this database was set back,"
            " or the cursor is that of another service",
        )
    else:
        said = problems.of(
            PRUNED, f"events up to {page.begin} are no longer kept, {after} is before that"
        )
        gone = {name: write_place(place) for name, place in (await feed.pruned()).items()}
        problem = Pruned(**said.model_dump(), pruned=gone)
    return respond(problem, headers | NOT_KEPT)
