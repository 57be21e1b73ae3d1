"""The caller: works off outbox rows that are addressed to the outside world.

Calls of one lane are made one after the other, several lanes at once. The message's id is the
idempotency key, so that trying again is always safe. The answer comes over the desk, like any
other message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import structlog

from stagepost.engine.calls import Calls
from stagepost.engine.desk import Desk
from stagepost.engine.follow import GATHER, POLL, first_of, follow, sleep_until
from stagepost.engine.ids import derived
from stagepost.engine.items import Item
from stagepost.engine.store import Batch, Envelope, Lease, PendingCall, Store
from stagepost.engine.telemetry import Metrics
from stagepost.errors import CallFailed, StoreError
from stagepost.messages import Call, CallAnswer, Kind, decode, encode

MAX_CALLS = 64
"""Calls under way at once."""

FIRST_RETRY, LAST_RETRY = 0.2, 30.0
"""Seconds before a failed call is made again: doubled each time, up to the last."""

log = structlog.get_logger(__name__)


class Caller:
    """Makes the calls of one service while it holds the lease."""

    def __init__(
        self, store: Store, calls: Calls, desk: Desk, lease: Lease, metrics: Metrics
    ) -> None:
        self._store = store
        self._calls = calls
        self._desk = desk
        self._lease = lease
        self._metrics = metrics
        self._busy: set[str] = set()
        self._failed: list[_Failed] = []
        self._has_failed = asyncio.Event()

    async def run(self, wake: asyncio.Event) -> None:
        """Call until cancelled: calls under way are given up, and made again by the next holder."""
        putting_off = follow(self._take_failed, self._put_off, self._has_failed, limit=MAX_CALLS)
        await first_of(self._call(wake), putting_off)

    async def _call(self, wake: asyncio.Event) -> None:
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                wake.clear()
                room = MAX_CALLS - len(self._busy)
                due, next_in = await self._store.due_calls(room, self._busy) if room else ([], None)
                for call in due:
                    self._busy.add(call.lane)
                    under_way.add(task := asyncio.create_task(self._work_off(call, wake)))
                    task.add_done_callback(under_way.discard)
                if not due:
                    await sleep_until(wake, POLL if next_in is None else min(next_in, POLL))
                elif len(due) > 1:
                    await asyncio.sleep(GATHER)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _work_off(self, call: PendingCall, wake: asyncio.Event) -> None:
        try:
            await self._answer(call, await self._make(call))
        except Exception as error:  # noqa: BLE001  # whatever it is, the other calls must go on
            self._metrics.called(call.channel, "failed")
            await self._later(call, error)
        finally:
            self._busy.discard(call.lane)
            wake.set()

    async def _make(self, call: PendingCall) -> CallAnswer:
        message = call.message
        request = decode(message.type, message.version, message.body)
        assert isinstance(request, Call)
        answer = await self._calls.post(call.channel, request.PATH, message.body, str(message.id))
        self._metrics.called(call.channel, "answered")
        try:
            return request.ANSWER.model_validate({**orjson.loads(answer), "call": request})
        except (ValueError, TypeError) as error:
            raise CallFailed(
                f"{call.channel} answered {message.type} with what was not agreed: {error}"
            ) from error

    async def _answer(self, call: PendingCall, answer: CallAnswer) -> None:
        asked = call.message
        cause = Envelope(
            id=derived(asked.id, "answer"),
            type=answer.TYPE,
            version=answer.VERSION,
            kind=Kind.ANSWER,
            source=call.channel,
            key=asked.key,
            correlation=asked.correlation,
            causation=asked.id,
            body=encode(answer),
            traceparent=asked.traceparent,
        )
        done = asyncio.get_running_loop().create_future()
        self._desk.put(Item(cause, answer, call=call.position, done=done))
        await done

    async def _later(self, call: PendingCall, error: Exception) -> None:
        wait = min(FIRST_RETRY * 2**call.attempt, LAST_RETRY)
        log.warning(
            "call failed",
            to=call.channel,
            type=call.message.type,
            key=call.message.key,
            correlation=str(call.message.correlation),
            attempt=call.attempt + 1,
            reason=str(error) or type(error).__name__,
            again_in=wait,
        )
        failed = _Failed(call.position, wait, asyncio.get_running_loop().create_future())
        self._failed.append(failed)
        self._has_failed.set()
        await failed.noted

    async def _take_failed(self, limit: int) -> list[_Failed]:
        taken, self._failed = self._failed[:limit], self._failed[limit:]
        return taken

    async def _put_off(self, failed: Sequence[_Failed]) -> None:
        """Note when these calls are due again: many at once, for a provider is down for all."""
        try:
            retries = [(call.position, call.wait) for call in failed]
            await self._store.append(Batch(retries=retries, lease=self._lease))
        except StoreError as fault:
            log.warning("calls not put off", reason=str(fault), calls=len(failed))
            await asyncio.sleep(FIRST_RETRY)
        for call in failed:
            if not call.noted.done():
                call.noted.set_result(None)


@dataclass(frozen=True, slots=True)
class _Failed:
    """A call that is to be made again in so many seconds; `noted` once that is stored."""

    position: int
    wait: float
    noted: asyncio.Future[None]
