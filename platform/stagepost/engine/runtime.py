"""One instance of a service: serves HTTP always, and does the rest while it holds the lease."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial

import structlog

from stagepost.engine.answers import Answers
from stagepost.engine.batch import LEASE, CursorId, Lease
from stagepost.engine.caller import LAST_RETRY, Caller
from stagepost.engine.calls import Calls
from stagepost.engine.decide import Decider
from stagepost.engine.desk import Desk
from stagepost.engine.external import EXTERNAL, Senders
from stagepost.engine.external_door import item_from_outside
from stagepost.engine.follow import end, first_of, sleep_until, together
from stagepost.engine.ids import Ids
from stagepost.engine.items import Item
from stagepost.engine.links import CONSUMER, relay_name, routes_of
from stagepost.engine.network import Network
from stagepost.engine.news import News
from stagepost.engine.redriver import Redriver
from stagepost.engine.relay import Relay
from stagepost.engine.room import LOOK_SECONDS, Room
from stagepost.engine.service import Service
from stagepost.engine.store import Store
from stagepost.engine.telemetry import Metrics
from stagepost.engine.timers import Timers
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports import Broker, FromOutside, Subscription, Transport
from stagepost.engine.views import Tables, Views
from stagepost.errors import Fenced, StagepostError, TransportError

FREE = "free"
"""What instances are told when the lease was given back; else it is the name of a signal."""
MOMENT = 0.01
"""Seconds after a lease has expired by which it surely has."""
AGAIN = 0.25
"""Seconds before something that failed is started again."""

MEASURE_SECONDS = 5.0
"""How old the figures of the backlog in the metrics are at most."""

DRAIN_SECONDS = 5.0
"""How long a stopping instance waits for what is under way."""

log = structlog.get_logger(__name__)


class Instance:
    """The moving parts of one instance, wired to the ports that it is given."""

    def __init__(
        self,
        service: Service,
        others: Mapping[str, Service],
        *,
        holder: str,
        store: Store,
        tables: Tables,
        network: Network,
        calls: Calls,
        ids: Ids,
        metrics: Metrics,
        delays: Mapping[str, float],
        lease_seconds: float,
        room: Room = Room(),  # noqa: B008  # frozen
    ) -> None:
        self.service = service
        self.metrics = metrics
        self._routes = routes_of(service, others, network.links)
        self._reads: dict[str, Mapping[str, Collection[str]]] = dict(self._routes.reads)
        if network.hears_outside:
            self._reads[NATS] = {**self._reads.get(NATS, {}), EXTERNAL: ()}
        self._senders = network.links.external
        decider = Decider(service, delays, self._routes.posts, self._senders)
        self.desk = Desk(decider, store, ids, service.name, metrics)
        self.answers = Answers(self.desk, store)
        self._holder = holder
        self._store = store
        self._tables = tables
        used = self._routes.transports | self._reads.keys()  # NATS, for those outside alone
        self._transports = {name: network.transports[name] for name in used}
        self._words = network.words
        self._calls = calls
        self._recipients = network.recipients
        self._lease_seconds = lease_seconds
        self._room = room
        self._relays = [relay_name(broker) for broker in self._routes.publishes]
        self._subscriptions: dict[str, Subscription] = {}
        self._lease: Lease | None = None
        self._free = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; then let what is under way end, and give the lease back."""
        desk = asyncio.create_task(self._forever("desk", self._work_desk))
        leading = asyncio.create_task(self._lead_whenever_possible())
        beside = [
            asyncio.create_task(self._forever("words", self._hear)),
            asyncio.create_task(self._forever("room", self._keep_room)),
            asyncio.create_task(self._forever("snapshots", self.desk.snapshots.run)),
            asyncio.create_task(self._forever("answers", self.answers.run)),
        ]
        try:
            await asyncio.wait([leading])
            leading.result()
        finally:
            await end([leading, *beside])
            await self._hand_over()
            await end([desk])

    async def _keep_room(self) -> None:
        """Turn new requests away while there is no room for what follows from them."""
        before: str | None = None
        while True:
            lacking = await self._room.lacking(self._store, self._relays)
            if (lacking is None) != (before is None):
                log.warning("new requests are taken again" if before else lacking)
            before = lacking
            self.desk.no_room = lacking
            self.metrics.has_room.set(lacking is None)
            await asyncio.sleep(LOOK_SECONDS)

    async def _work_desk(self) -> None:
        try:
            await self.desk.run()
        except Exception:
            # What was taken from the transports and not stored must be read again.
            for transport in self._transports.values():
                transport.lost.set()
            raise

    async def _lead_whenever_possible(self) -> None:
        while True:
            self._lease = await self._wait_for_lease()
            log.info("leading", service=self.service.name, epoch=self._lease.epoch)
            self.metrics.leader.set(1)
            try:
                await self._lead(self._lease)
            except (StagepostError, OSError) as error:
                log.warning("no longer leading", reason=str(error))
            self._lease = None
            self.metrics.leader.set(0)
            self.desk.step_down()
            await asyncio.sleep(AGAIN)

    async def _wait_for_lease(self) -> Lease:
        """Take the lease once it is free; till then its holder is told what requests wrote here."""
        telling = [
            asyncio.create_task(self._forever("words", partial(self._tell_of, name, signal)))
            for name, signal in self.desk.signals.named.items()
        ]
        try:
            return await self._take_lease()
        finally:
            await end(telling)

    async def _take_lease(self) -> Lease:
        while True:
            self._free.clear()
            wait = self._lease_seconds / 6
            with contextlib.suppress(StagepostError):
                lease = await self._store.take_lease(LEASE, self._holder, self._lease_seconds)
                if lease is not None:
                    return lease
                stands = await self._store.leadership(LEASE)
                wait = min(self._lease_seconds / 3, stands.expires_in + MOMENT)
            await sleep_until(self._free, wait)

    async def _tell_of(self, name: str, signal: asyncio.Event) -> None:
        while True:
            await signal.wait()
            signal.clear()
            await self._words.tell(self.service.name, name)

    async def _hear(self) -> None:
        await self._words.hear(self.service.name, self._heard)

    def _heard(self, word: str) -> None:
        if word == FREE:
            self._free.set()
        elif self._lease is not None:
            self.desk.signals.wake(word)

    async def _lead(self, lease: Lease) -> None:
        signals = self.desk.signals
        await self._store.put_right(LAST_RETRY)
        cursors = await self._store.cursors(CONSUMER)
        self.desk.lead(lease, cursors.values(), await self._store.parked_keys())
        await together(
            self._keep(lease),
            self._until_fenced(),
            self._forever("figures", self._measure),
            *(
                self._forever(name, partial(self._with_transport, name, transport, lease))
                for name, transport in self._transports.items()
            ),
            self._forever("caller", lambda: self._caller(lease).run(signals.calls)),
            self._forever("views", lambda: self._views().run(signals.events)),
            self._forever("redriver", lambda: Redriver(self._store, self.desk).run(signals.parked)),
            self._forever("timers", lambda: self._timers().run(signals.timers)),
        )

    async def _hand_over(self) -> None:
        """Finish what lies on the desk; then the next may lead."""
        with contextlib.suppress(TimeoutError, StagepostError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.desk.drain()
                await self._store.stop_waiting(LEASE, self._holder)
                if self._lease is not None:
                    await self._store.drop_lease(self._lease)
                    await self._words.tell(self.service.name, FREE)

    async def _keep(self, lease: Lease) -> None:
        """Renew the lease, by a third of its time; once that cannot be, stop."""
        while await self._store.renew_lease(lease, self._lease_seconds):  # noqa: ASYNC110  # by time
            await asyncio.sleep(self._lease_seconds / 3)
        raise Fenced(
            f"another instance of {self.service.name} holds the lease, or the clock is set back"
        )

    async def _measure(self) -> None:
        while True:
            self.metrics.backlog(await self._store.backlog(self._relays))
            await asyncio.sleep(MEASURE_SECONDS)

    async def _until_fenced(self) -> None:
        await self.desk.fenced.wait()
        raise Fenced(f"another instance of {self.service.name} holds the lease")

    async def _with_transport(self, name: str, transport: Transport, lease: Lease) -> None:
        """Relay and consume as long as the connection holds; then begin again with fresh eyes."""
        transport.lost.clear()
        relay = await self._relay(name, transport, lease)
        async with self._reading(name, transport, lease):
            self.metrics.connected(name, is_up=True)
            try:
                relaying = [relay.run(self.desk.signals.relay(name))] if relay else []
                await first_of(*relaying, _until_lost(name, transport))
            finally:
                self.metrics.connected(name, is_up=False)

    async def _relay(self, name: str, transport: Transport, lease: Lease) -> Relay | None:
        """Return the relay to a broker, if we publish there."""
        if (carries := self._routes.publishes.get(name)) is None:
            return None
        assert isinstance(transport, Broker)
        publisher = await transport.publisher(self.service.name)
        cursor = CursorId(relay_name(name), self.service.name)
        return Relay(self._store, publisher, cursor, carries, lease, self.metrics)

    @asynccontextmanager
    async def _reading(self, name: str, transport: Transport, lease: Lease) -> AsyncIterator[None]:
        """Let the desk read from a transport, if any of our sources speak there."""
        if (sources := self._reads.get(name)) is None:
            yield
            return
        cursors = await self._store.cursors(CONSUMER)
        if not await self._store.renew_lease(lease, self._lease_seconds):
            # Who was paused and woke up must not move the consumers of who leads now.
            raise Fenced(f"another instance of {self.service.name} holds the lease")
        subscription = await transport.subscribe(
            self.service.name, sources, cursors.values(), self.desk.wake.set
        )
        self._subscriptions[name] = subscription
        self.desk.read_from(name, partial(_items, subscription, self._senders))
        try:
            yield
        finally:
            self.desk.read_from(name, None)
            del self._subscriptions[name]
            await subscription.close()

    def _caller(self, lease: Lease) -> Caller:
        return Caller(
            self._store,
            self.desk,
            self._calls,
            self._recipients,
            lease=lease,
            metrics=self.metrics,
        )

    def _views(self) -> Views:
        return Views(self.service.views, self._store, self._tables)

    def _timers(self) -> Timers:
        return Timers(self._store, self.desk, self._behind)

    async def _behind(self) -> bool:
        """Tell whether there is more to be read of what stood there when we connected."""
        for name in self._reads:
            subscription = self._subscriptions.get(name)
            if subscription is None or await subscription.behind():
                return True
        return False

    async def _forever(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start again what fails, unless the lease is gone."""
        news = News()
        while True:
            try:
                return await run()
            except Fenced:
                raise
            except Exception as error:  # noqa: BLE001  # whatever it is, the loop must go on
                if news.is_new(reason := _reason(error)):
                    log.warning("starting again", part=name, reason=reason)
            await asyncio.sleep(AGAIN)


async def _until_lost(name: str, transport: Transport) -> None:
    await transport.lost.wait()
    raise TransportError(f"the connection to {name} was lost")


@cache
def _cursor(source: str, incarnation: int) -> CursorId:
    return CursorId(CONSUMER, source, incarnation)


def _items(subscription: Subscription, senders: Senders, limit: int) -> Sequence[Item]:
    return [
        item_from_outside(received, senders)
        if isinstance(received, FromOutside)
        else Item(
            received.message,
            cursor=_cursor(received.message.source, received.message.incarnation),
            hint=received.hint,
        )
        for received in subscription.take(limit)
    ]


def _reason(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_reason(inner) for inner in error.exceptions)
    return str(error) or type(error).__name__


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` at SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
