"""The caller: works off outbox rows that are addressed to somebody: the world, or a recipient.

Calls of one lane are made one after the other, several lanes at once. The message's id is the
idempotency key, so that trying again is always safe. The answer comes over the desk, like any
other message. A command that its recipient has, but has not answered yet, is brought again under
its id, and no longer holds up those behind it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson
import structlog

from stagepost.engine.answers import is_answer
from stagepost.engine.batch import Batch, Commit, Handled, Lease, Retry
from stagepost.engine.calls import Calls
from stagepost.engine.desk import Desk
from stagepost.engine.envelope import Envelope
from stagepost.engine.follow import GATHER, POLL, first_of, follow, sleep_until
from stagepost.engine.ids import derived
from stagepost.engine.items import Item
from stagepost.engine.recipients import Recipients
from stagepost.engine.store import PendingCall, Store
from stagepost.engine.telemetry import Metrics
from stagepost.errors import BadMessage, CallFailed, GivenUp, StoreError
from stagepost.messages import Call, CallAnswer, Kind, decode, encode

MAX_CALLS = 256
"""Calls under way at once to one recipient, or part of the world: who is slow holds up no other."""

FIRST_RETRY, LAST_RETRY = 0.2, 30.0
"""Seconds before a failed call is made again: doubled each time, up to the last."""

DOUBLED = 10
"""So many doublings lead beyond the longest wait: what is tried for days must not count further."""

LAST_LOOK = 2.0
"""Seconds before a command is brought again, at most: its recipient is one of us."""

log = structlog.get_logger(__name__)


class Caller:
    """Makes the calls of one service while it holds the lease."""

    def __init__(
        self,
        store: Store,
        desk: Desk,
        calls: Calls,
        recipients: Recipients,
        *,
        lease: Lease,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._calls = calls
        self._recipients = recipients
        self._desk = desk
        self._lease = lease
        self._metrics = metrics
        self._busy: set[str] = set()
        self._under_way: Counter[str] = Counter()
        self._later: list[_Later] = []
        self._has_later = asyncio.Event()

    async def run(self, wake: asyncio.Event) -> None:
        """Call until cancelled: calls under way are given up, and made again by the next holder."""
        putting_off = follow(self._take_later, self._note, self._has_later, limit=MAX_CALLS)
        await first_of(self._call(wake), putting_off)

    async def _call(self, wake: asyncio.Event) -> None:
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                wake.clear()
                full = [to for to, calls in self._under_way.items() if calls >= MAX_CALLS]
                most = max((n for n in self._under_way.values() if n < MAX_CALLS), default=0)
                due, next_in = await self._store.due_calls(MAX_CALLS - most, self._busy, full)
                for call in due:
                    self._busy.add(call.lane)
                    self._under_way[call.channel] += 1
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
            await self._try(call)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other calls must go on
            self._metrics.called(call.channel, "failed")
            await self._fail(call, error)
        finally:
            self._busy.discard(call.lane)
            self._under_way[call.channel] -= 1
            wake.set()

    async def _try(self, call: PendingCall) -> None:
        try:
            make = self._ask if call.message.kind == Kind.COMMAND else self._make
            item = await make(call)
        except GivenUp as error:
            self._metrics.called(call.channel, "given up")
            await self._end(call, str(error))
            return
        if item is None:
            self._metrics.called(call.channel, "delivered")
            await self._put_off(call, _wait(call, LAST_LOOK), delivered=True)
        else:
            self._metrics.called(call.channel, "answered")
            item.done = asyncio.get_running_loop().create_future()
            self._desk.put(item)
            await item.done

    async def _end(self, call: PendingCall, reason: str) -> None:
        """Ask no more, and keep in the journal why: whoever waits for the answer waits in vain."""
        log.error("command given up", **_about(call), reason=reason)
        commit = Commit(_no_answer(call), Handled.REFUSED, reason, call=call.position)
        await self._store.append(Batch([commit], lease=self._lease))

    async def _ask(self, call: PendingCall) -> Item | None:
        """Bring a command to its recipient; None where it has it, and no answer yet."""
        answer = await self._recipients.ask(call.message)
        if answer is None:
            return None
        if answer.source != call.channel or not _may_answer(answer, call.message):
            raise CallFailed(
                f"{call.channel} answered {call.message.type} with {answer.type}"
                f" of {answer.source}, which answers something else"
            )
        return Item(answer, call=call.position)

    async def _make(self, call: PendingCall) -> Item:
        message = call.message
        request = decode(message.type, message.version, message.body)
        assert isinstance(request, Call)
        said = await self._calls.post(call.channel, request.PATH, message.body, str(message.id))
        try:
            answer = request.ANSWER.model_validate({**orjson.loads(said), "call": request})
        except (ValueError, TypeError) as error:
            raise CallFailed(
                f"{call.channel} answered {message.type} with what was not agreed: {error}"
            ) from error
        return Item(_cause(call, answer), answer, call=call.position)

    async def _fail(self, call: PendingCall, error: Exception) -> None:
        most = LAST_LOOK if call.message.kind == Kind.COMMAND else LAST_RETRY
        wait = _wait(call, most)
        log.warning(
            "call failed",
            **_about(call),
            attempt=call.attempt + 1,
            reason=str(error) or type(error).__name__,
            again_in=wait,
        )
        await self._put_off(call, wait)

    async def _put_off(self, call: PendingCall, wait: float, *, delivered: bool = False) -> None:
        """Have a call made again, in so many seconds."""
        noted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._later.append(_Later(Retry(call.position, wait, delivered), noted))
        self._has_later.set()
        await noted

    async def _take_later(self, limit: int) -> list[_Later]:
        taken, self._later = self._later[:limit], self._later[limit:]
        return taken

    async def _note(self, later: Sequence[_Later]) -> None:
        """Note when these calls are due again: many at once, for a provider is down for all."""
        try:
            await self._store.append(
                Batch(retries=[call.retry for call in later], lease=self._lease)
            )
        except StoreError as fault:
            log.warning("calls not put off", reason=str(fault), calls=len(later))
            await asyncio.sleep(FIRST_RETRY)
        for call in later:
            if not call.noted.done():
                call.noted.set_result(None)


def _wait(call: PendingCall, most: float) -> float:
    """Return in how many seconds a call is made again."""
    return min(FIRST_RETRY * 2.0 ** min(call.attempt, DOUBLED), most)


def _about(call: PendingCall) -> dict[str, str]:
    """Return what the log says about a call."""
    asked = call.message
    return {
        "to": call.channel,
        "type": asked.type,
        "key": asked.key,
        "correlation": str(asked.correlation),
    }


def _no_answer(call: PendingCall) -> Envelope:
    """Return what stands in the place of an answer that will never be."""
    asked = call.message
    return replace(
        asked,
        id=derived(asked.id, "answer"),
        kind=Kind.ANSWER,
        source=call.channel,
        causation=asked.id,
        recipient=None,
        incarnation=0,
        position=0,
    )


def _may_answer(answer: Envelope, command: Envelope) -> bool:
    """Tell whether an answer fits its command; one that this release cannot read is parked."""
    asked = decode(command.type, command.version, command.body)
    try:
        return is_answer(decode(answer.type, answer.version, answer.body), asked)
    except BadMessage:
        return True


def _cause(call: PendingCall, answer: CallAnswer) -> Envelope:
    asked = call.message
    return Envelope(
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


@dataclass(frozen=True, slots=True)
class _Later:
    """A call that is to be made again; `noted` once that is stored."""

    retry: Retry
    noted: asyncio.Future[None]
