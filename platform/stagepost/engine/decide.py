"""From a message to a commit: ask the handlers and the processes of a service, touch nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from pydantic import BaseModel
from pydantic_core import from_json

from stagepost.aggregate import Aggregate, stream_id, to_stored
from stagepost.engine.batch import Commit, Handled, Outgoing, TimerSet
from stagepost.engine.cache import Loadable
from stagepost.engine.envelope import Envelope
from stagepost.engine.external import Senders, may_send, sender_of
from stagepost.engine.ids import CALLS, derived
from stagepost.engine.service import Service
from stagepost.engine.snapshots import taken
from stagepost.errors import (
    ForgedSource,
    LoadBeforeChange,
    NotDeclared,
    StrayCommand,
    TooLarge,
    UndeclaredSender,
    UnreadableStream,
)
from stagepost.handler import Decision
from stagepost.messages import Answer, Call, Command, Kind, Message, Refusal, Timer, encode
from stagepost.process import Heard, Instance, Process, Sent

A = TypeVar("A", bound=Aggregate)

MAX_BODY = 900_000
"""Bytes of a message at most: with its headers it must fit what brokers take (NATS: 1 MiB)."""


class NotLoaded(Exception):  # a signal between the desk and `Loaded`, never an error
    """A handler asked for aggregates that are not in memory."""

    def __init__(self, streams: Iterable[UUID]) -> None:
        self.streams = frozenset(streams)


@dataclass
class Loaded:
    """Aggregates in memory, as one handler sees them: what it asked for is noted, with versions."""

    aggregates: Mapping[UUID, Loadable]
    asked: dict[UUID, int] = field(default_factory=dict)

    def one(self, cls: type[A], stream: str) -> A | None:
        return self.many(cls, (stream,))[0]

    def many(self, cls: type[A], streams: Iterable[str]) -> list[A | None]:
        names = [stream_id(stream) for stream in streams]
        if missing := [name for name in names if name not in self.aggregates]:
            self._refuse_changed()
            raise NotLoaded(missing)
        found = [self.aggregates[name] for name in names]
        for name, aggregate in zip(names, found, strict=True):
            if isinstance(aggregate, UnreadableStream):
                raise aggregate
            if aggregate is not None and not isinstance(aggregate, cls):
                raise TypeError(
                    f"the stream of {name} holds {type(aggregate).__name__}, not {cls.__name__}"
                )
            self.asked.setdefault(name, aggregate.version if aggregate else 0)
        return found  # type: ignore[return-value]  # each was checked

    def changed(self) -> list[UUID]:
        """Return the streams whose aggregates are no longer as they were asked for."""
        return [
            name
            for name, version in self.asked.items()
            if isinstance(aggregate := self.aggregates[name], Aggregate)
            and aggregate.version != version
        ]

    def _refuse_changed(self) -> None:
        if self.changed():
            raise LoadBeforeChange(
                "a handler changed an aggregate before it had loaded all it needs"
            )


@dataclass(frozen=True, slots=True)
class Decided:
    """What is to be committed, the answer for whoever asked, and the aggregates it rests on.

    `snapshots` are of what the commit makes of its aggregates: true once it is kept.
    """

    commit: Commit
    answer: BaseModel | None
    touched: Mapping[UUID, Loadable]
    snapshots: Sequence[StoredEvent] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.commit.events or self.commit.sends or self.commit.timers)


class Decider:
    """Everything that a service decides, as one function of a message and what is loaded.

    `delays` are of timers in seconds, by name; commands to the recipients in `posts` are calls;
    `senders` may command from outside.
    """

    def __init__(
        self,
        service: Service,
        delays: Mapping[str, float],
        posts: Collection[str] = (),
        senders: Senders = MappingProxyType({}),
    ) -> None:
        self._service = service
        self._delays = delays
        self._posts = posts
        self._senders = senders
        self._sends = frozenset(service.sends)
        self._processes = _by_message(service.processes)

    def decide(self, cause: Envelope, message: Message, load: Loaded) -> Decided:
        """Decide about one message.

        Raises:
            NotLoaded: load these streams, then ask again.
            Refused: a request that cannot be granted.
            BadMessage: park it.
        """
        refuse_forged(cause, message, self._senders)
        self._refuse_stray(cause, message)
        if isinstance(message, Answer) and not self._is_for_us(message):
            return Decided(Commit(cause, Handled.IGNORED, f"answers {message.caller}"), None, {})
        processes = self._processes.get(type(message), ())
        instances = [load.one(Instance, p.stream(message.key)) for p in processes]
        handler = self._service.handlers.get(type(message))
        decision = handler(message, load) if handler else Decision()
        changed = list(decision.changed)
        sends = list(decision.sends)
        clears = None
        for process, instance in zip(processes, instances, strict=True):
            reaction = process.react(process.state_of(instance), message)
            if not reaction.heeded:
                continue
            changed.append(self._record(process, instance, cause, reaction.state, reaction.sends))
            sends.extend(reaction.sends)
            clears = message.key if process.is_done(reaction.state) else clears
        commit = self._commit(cause, changed, sends, load, clears)
        touched = {name: load.aggregates[name] for name in load.asked}
        snapshots = taken(changed, load.asked)
        return Decided(commit, decision.answer, touched | {a.id: a for a in changed}, snapshots)

    def _refuse_stray(self, cause: Envelope, message: Message) -> None:
        """Make sure that what came as a command is one, and one of ours, which will be answered."""
        is_known = isinstance(message, Command) and type(message) in self._service.reads
        is_ours = is_known and self._service.name == message.OWNER
        if cause.kind == Kind.COMMAND and not is_ours:
            raise StrayCommand(cause.type, self._service.name)

    def _is_for_us(self, answer: Answer) -> bool:
        return answer.caller == self._service.name or type(answer) in self._service.handlers

    def _record(
        self,
        process: Process[Any],
        instance: Instance | None,
        cause: Envelope,
        state: BaseModel,
        sends: Iterable[Message],
    ) -> Instance:
        recorded: dict[str, Any] = {
            "heard": Heard(type=cause.type, version=cause.version, body=from_json(cause.body)),
            "state": type(state).__name__,
            "data": state.__pydantic_serializer__.to_python(state, mode="json"),
            "sent": tuple(Sent(type=m.TYPE, delay=self._delay(m)) for m in sends),
        }
        if instance is None:
            return Instance(process=process.name, key=cause.key, **recorded)
        instance.react(**recorded)
        return instance

    def _delay(self, message: Message) -> float | None:
        if not isinstance(message, Timer):
            return None
        return self._delays.get(type(message).__name__, message.DELAY)

    def _commit(
        self,
        cause: Envelope,
        changed: list[Aggregate],
        sends: list[Message],
        load: Loaded,
        clears: str | None,
    ) -> Commit:
        events = [to_stored(e) for aggregate in changed for e in aggregate.collect_events()]  # type: ignore[arg-type]  # ours
        written = {event.originator_id for event in events}
        outgoing: list[Outgoing] = []
        timers: list[TimerSet] = []
        for ordinal, message in enumerate(sends):
            name = self._name(cause, ordinal, message)
            if isinstance(message, Timer):
                timers.append(self._timer(name, message))
            else:
                outgoing.append(self._outgoing(name, message))
        return Commit(
            cause,
            _handled(sends, changed=bool(events)),
            checks=[(name, version) for name, version in load.asked.items() if name not in written],
            events=events,
            sends=outgoing,
            timers=timers,
            clears=clears,
        )

    def _name(self, cause: Envelope, ordinal: int, message: Message) -> UUID:
        if isinstance(message, Call) and message.ONCE:
            return derived(CALLS, f"{message.TYPE}/{message.lane}")
        # With its type: what is decided otherwise the second time must not pass for the first.
        return derived(cause.id, f"{self._service.name}/{ordinal}/{message.TYPE}")

    def _timer(self, name: UUID, timer: Timer) -> TimerSet:
        delay = self._delays.get(type(timer).__name__, timer.DELAY)
        return TimerSet(name, timer.TYPE, timer.VERSION, timer.key, encode(timer), delay)

    def _outgoing(self, name: UUID, message: Message) -> Outgoing:
        if isinstance(message, Call):
            return _row(
                name,
                message,
                channel=message.TO,
                lane=message.lane,
                supersedes=message.SUPERSEDES,
            )
        if type(message) not in self._sends:
            raise NotDeclared(
                f"{self._service.name} sends {message.TYPE} but does not declare it: "
                "add it to `sends` in its app.py"
            )
        if isinstance(message, Command) and message.OWNER in self._posts:
            to = message.OWNER
            # No lane of the service's own calls: these may make void what waits in theirs.
            lane = f"command/{to}/{message.key}"
            return _row(name, message, recipient=to, channel=to, lane=lane)
        if isinstance(message, Command):
            return _row(name, message, recipient=message.OWNER)
        return _row(name, message)


def refuse_forged(cause: Envelope, message: Message, senders: Senders) -> None:
    """Make sure that a command comes from the caller that it names, an answer from its owner.

    From outside comes only what its sender declares.

    Raises:
        ForgedSource, UndeclaredSender
    """
    sender = sender_of(cause.source)
    if sender is not None and not may_send(senders, sender, cause.type):
        raise UndeclaredSender(cause.type, sender)
    if isinstance(message, Command) and message.caller != (sender or cause.source):
        raise ForgedSource(cause.type, message.caller, sender or cause.source)
    if isinstance(message, Answer) and cause.source != message.OWNER:
        raise ForgedSource(cause.type, message.OWNER, cause.source)


def _row(name: UUID, message: Message, **address: Any) -> Outgoing:
    body = encode(message)
    if len(body) > MAX_BODY:
        raise TooLarge(message.TYPE, len(body), MAX_BODY)
    return Outgoing(name, message.TYPE, message.VERSION, message.KIND, message.key, body, **address)


def _handled(sends: Sequence[Message], *, changed: bool) -> Handled:
    if any(_refuses(type(message)) for message in sends):
        return Handled.REFUSED
    return Handled.HANDLED if sends or changed else Handled.IGNORED


@cache
def _refuses(kind: type[Message]) -> bool:
    return issubclass(kind, Refusal)  # of a model, that is no question for every message


def _by_message(
    processes: Iterable[Process[Any]],
) -> dict[type[Message], tuple[Process[Any], ...]]:
    found: dict[type[Message], tuple[Process[Any], ...]] = {}
    for process in processes:
        for message in {process.starts_on, *process.listens_to}:
            found[message] = (*found.get(message, ()), process)
    return found
