"""The reading half of a transport over HTTP: each source's own feed, by long polling.

What it cannot do:

- publish: a source's outbox is its feed, and nobody confirms anything;
- push: the reader asks, and is answered as soon as there is something;
- carry commands;
- read what its source does not know that we read: a source that runs with an older declaration of
  us refuses, and is asked again until it has ours;
- read a backlog of several sources in the order of time: each is asked for itself;
- take a hint: where a cursor stands is all that it goes by;
- speak for a source that is gone: what it said waits until it is back;
- keep more than its source does: who comes for what was pruned unread is told so, and stays;
- notice that a source was set back, once its log has grown past the reader's cursor again: unless
  the source itself has noticed, and raised its incarnation;
- tell the instances of a service words.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping

import aiohttp
import structlog

from stagepost.engine.batch import Cursor
from stagepost.engine.envelope import Envelope, Place
from stagepost.engine.follow import end
from stagepost.engine.transports import Received
from stagepost.engine.transports.feed_answer import Answer, read_answer
from stagepost.errors import (
    BadSettings,
    FeedRefused,
    ForeignMessage,
    TransportError,
    TransportUnavailable,
)

LIMIT = 256
"""Events of a page. Of each source no more than two pages lie here."""
MAX_PAGE = 8 << 20
"""Bytes of a page: one without end must not fill our memory. A smaller one is asked for then."""
WAIT_SECONDS = 20
"""How long a source keeps a request that it has nothing for."""
ANSWER_SECONDS = 10.0
"""How long it may take to answer, beyond that."""
FIRST_PAUSE, LAST_PAUSE = 0.2, 5.0
"""Seconds before a source that failed is asked again: at first, and at most."""

log = structlog.get_logger(__name__)


class FeedTransport:
    """The reading half of the `Transport` port. It is made inside a running event loop.

    `urls` says where each source is, `headers` who we are. `refusals` counts by source how often
    it could not tell what comes after our cursor. `lost` is set where reading ended for no reason
    that is known.
    """

    def __init__(self, urls: Mapping[str, str], headers: Mapping[str, str]) -> None:
        self._urls = {source: url.rstrip("/") for source, url in urls.items()}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=WAIT_SECONDS + ANSWER_SECONDS),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._readings: list[_Reading] = []
        self.lost = asyncio.Event()
        self.refusals: Counter[str] = Counter()

    @property
    def connected(self) -> bool:
        """Tell whether each source that is read gave a page when it was asked last."""
        return all(reading.trouble is None for reading in self._readings)

    async def subscribe(
        self,
        reader: str,  # noqa: ARG002  # a feed is the same for everybody
        sources: Mapping[str, Collection[str]],
        cursors: Collection[Cursor],
        wake: Callable[[], None],
    ) -> FeedSubscription:
        """Read these types of events, of each source from where its newest cursor stands.

        Raises:
            BadSettings: nobody said where a source is.
        """
        if nowhere := sorted(sources.keys() - self._urls.keys()):
            raise BadSettings(f"nobody said where the feed of {', '.join(nowhere)} is")
        latest = {c.id.source: c for c in sorted(cursors, key=lambda c: c.id.incarnation)}
        self._readings = [
            _Reading(self, source, types, latest.get(source), wake)
            for source, types in sources.items()
        ]
        return FeedSubscription(self._readings)

    async def ask(
        self, source: str, after: int, limit: int, wait: int, types: Collection[str] = ()
    ) -> Answer:
        """Ask a source for one page of these types of events, of all where none is named.

        Raises:
            TransportUnavailable: it does not answer.
            ForeignMessage: it says what no feed of this source does.
        """
        named = f"&types={','.join(sorted(types))}" if types else ""
        url = f"{self._urls[source]}/feed?after={after}&limit={limit}{named}&wait={wait}"
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > MAX_PAGE:
                        raise PageTooLarge(f"a page of {source} has more than {MAX_PAGE:,} bytes")
                headers = response.headers
                return read_answer(source, after, response.status, headers, bytes(body))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise TransportUnavailable(
                f"the feed of {source} is out of reach: {error!r}"
            ) from error

    async def close(self) -> None:
        await self._session.close()


class FeedSubscription:
    """The reader of several feeds, each in its order."""

    def __init__(self, readings: list[_Reading]) -> None:
        self._readings = readings
        self._tasks = [asyncio.create_task(reading.run()) for reading in readings]
        self._turn = list(readings)

    def take(self, limit: int) -> list[Received]:
        taken: list[Received] = []
        for reading in self._turn:
            taken.extend(reading.take(limit - len(taken)))
        self._turn = [*self._turn[1:], *self._turn[:1]]  # each is first in its turn
        return taken

    async def behind(self) -> bool:
        return any(reading.behind for reading in self._readings)

    async def close(self) -> None:
        await end(self._tasks)
        self._readings.clear()


class PageTooLarge(ForeignMessage):
    """A page is too large."""


class _Reading:
    """One feed: asks for a page ahead of what is taken, and goes on where it ends.

    `trouble` says why the last page did not come. We have read up to `_seen`, of life `_life` of
    the source, and go on after `_after`: where a new life began, that is before what we have seen.
    """

    def __init__(
        self,
        transport: FeedTransport,
        source: str,
        types: Collection[str],
        cursor: Cursor | None,
        wake: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._source = source
        self._types = types
        self._wake = wake
        self._seen = Place(cursor.id.incarnation, cursor.at) if cursor else Place(0, 0)
        self._life = self._seen.incarnation
        self._after = self._seen.position
        self._limit = LIMIT
        self._until: int | None = None
        self._arrived: deque[Envelope] = deque()
        self._room = asyncio.Event()
        self.trouble: str | None = None

    @property
    def behind(self) -> bool:
        """Tell whether events that stood there at first are still to be taken, or not known yet."""
        if self._until is None or self._after < self._until:
            return True
        return bool(self._arrived) and self._arrived[0].position <= self._until

    def take(self, limit: int) -> list[Received]:
        taken = [
            Received(self._arrived.popleft(), 0) for _ in range(min(limit, len(self._arrived)))
        ]
        self._room.set()
        return taken

    async def run(self) -> None:
        """Read until cancelled."""
        pause = FIRST_PAUSE
        while True:
            await self._until_there_is_room()
            try:
                await self._read()
            except TransportError as error:
                self._note(error)
                await asyncio.sleep(LAST_PAUSE if isinstance(error, FeedRefused) else pause)
                pause = min(2 * pause, LAST_PAUSE)
            except Exception:
                self._transport.lost.set()
                raise
            else:
                pause = FIRST_PAUSE

    async def _until_there_is_room(self) -> None:
        while len(self._arrived) >= LIMIT:
            self._room.clear()
            await self._room.wait()

    async def _read(self) -> None:
        """Read the next page, once there is one.

        Raises:
            TransportError: there is none, and why.
        """
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        # At first, and after trouble, we want to know at once how things are.
        is_known = self._until is not None and self.trouble is None
        wait = WAIT_SECONDS if is_known else 0
        after = self._after
        try:
            answer = await self._transport.ask(self._source, after, self._limit, wait, self._types)
        except PageTooLarge:
            self._limit = max(1, self._limit // 4)
            raise
        if self._begins_anew(answer):
            return
        if answer.refusal is not None:
            self._refused(answer, answer.refusal)
            return
        self._arrive(answer)
        if answer.next == after and wait and loop.time() - asked_at < FIRST_PAUSE:
            await asyncio.sleep(FIRST_PAUSE)  # it does not wait: so we do

    def _begins_anew(self, answer: Answer) -> bool:
        """Read all again where the source has a new life: it began before what we have seen.

        Nothing is handled twice: cursors of the former life drop what belongs to it.

        Raises:
            FeedRefused: it has not yet noticed that it was set back to a former life.
        """
        if answer.end.incarnation < self._life:
            self._transport.refusals[self._source] += 1
            raise FeedRefused(
                f"the database of {self._source} was set back: this is its incarnation"
                f" {answer.end.incarnation}, and we have read events of {self._life}"
            )
        if answer.end.incarnation == self._life:
            return False
        self._life = answer.end.incarnation
        if self._after == 0:
            return False
        log.warning(
            "the database of a source was set back: reading its feed again",
            source=self._source,
            incarnation=self._life,
        )
        self._after = 0
        return True

    def _refused(self, answer: Answer, why: str) -> None:
        """Go on at the beginning where nothing that was pruned is of interest, or unread.

        Raises:
            FeedRefused
        """
        unread = [name for name in self._types if answer.pruned.get(name, self._seen) > self._seen]
        if not answer.pruned or unread or answer.begin <= self._after:
            self._transport.refusals[self._source] += 1
            lost = f" ({', '.join(sorted(unread))})" if unread else ""
            raise FeedRefused(f"the feed of {self._source}: {why}{lost}")
        log.info("behind what was pruned, and read", source=self._source, after=answer.begin)
        self._after = answer.begin

    def _arrive(self, answer: Answer) -> None:
        if self._until is None:
            self._until = answer.end.position
        if self.trouble is not None:
            log.info("reading on", source=self._source)
            self.trouble = None
        if len(answer.events) < self._limit:
            self._limit = LIMIT
        if answer.events:
            last = answer.events[-1]
            self._seen = max(self._seen, Place(last.incarnation, last.position))
        self._after = answer.next
        wanted = [event for event in answer.events if event.type in self._types]
        self._arrived.extend(wanted)
        if wanted:
            self._wake()

    def _note(self, error: TransportError) -> None:
        """Say it once, until it is over, or something else is wrong."""
        kind = type(error).__name__
        if kind != self.trouble:
            say = log.error if isinstance(error, FeedRefused) else log.warning
            say("a feed is not read", source=self._source, reason=str(error))
        self.trouble = kind
