"""Aggregates on the `eventsourcing` library: explicit, frozen event classes with stable topics.

This is the form that the library's next major version keeps: each event is a class of its own,
bound to the method that decides it with `@event(Class)`. Time and ids arrive as arguments; when
an event was recorded is a column of the store, not a field of the event.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from eventsourcing.domain import BaseAggregate, CanInitAggregate, CanMutateAggregate, event
from eventsourcing.persistence import StoredEvent
from eventsourcing.utils import TopicError, resolve_topic
from pydantic import BaseModel, ConfigDict

from stagepost.errors import Misuse, UnreadableEvent
from stagepost.messages import first_fault, lift

STREAMS = uuid5(NAMESPACE_URL, "stagepost:streams")


@lru_cache(maxsize=4_000)  # as many as work is under way on; the UUIDs are what fills memory
def stream_id(name: str) -> UUID:
    """Return the UUID under which the stream `order/10248` is stored (RFC 9562, version 5)."""
    return uuid5(STREAMS, name)


class DomainEvent(BaseModel, CanMutateAggregate[UUID]):
    """What happened to one aggregate. `TOPIC` is its name in the store, for ever."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TOPIC: ClassVar[str]
    class_version: ClassVar[int] = 1
    # The library wants a time on every event; ours is the store's `recorded_at`.
    timestamp: ClassVar[None] = None  # type: ignore[misc,assignment]

    originator_id: UUID
    originator_version: int

    @staticmethod
    def create_timestamp() -> None:  # type: ignore[override]  # see `timestamp`
        return None


class FirstEvent(DomainEvent, CanInitAggregate[UUID]):
    """The event with which an aggregate begins."""

    originator_topic: str

    def _as_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "timestamp": None}


class Aggregate(BaseAggregate[UUID]):
    """State that is the fold of its events, kept consistent by the decisions of its methods.

    A subclass names its stream: `stream(...)` takes the arguments of `__init__` that identify it
    and returns a name such as `payment/fulfillment/10248`.
    """

    Event = DomainEvent
    TOPIC: ClassVar[str]
    SNAPSHOT_EVERY: ClassVar[int] = 0
    """Events after which the state is kept as well; 0: never. For plain values in long streams."""
    class_version: ClassVar[int] = 1
    """Raise it where the attributes or what events do to them change: older snapshots are void."""
    _is_held: ClassVar[bool] = False

    def trigger_event(self, event_class: type[CanMutateAggregate[UUID]], **kwargs: Any) -> None:
        """Have something happen to this aggregate, unless all are `held`."""
        if Aggregate._is_held:
            raise Held
        super().trigger_event(event_class, **kwargs)


class Held(Exception):  # a signal to whoever holds, never an error
    """Something would have happened to an aggregate."""


@contextmanager
def held() -> Iterator[None]:
    """Let nothing happen to any aggregate in here: what tries is stopped by `Held`.

    For code that does not wait: somebody wants to know only what a decision would look at.
    """
    Aggregate._is_held = True  # noqa: SLF001  # ours
    try:
        yield
    finally:
        Aggregate._is_held = False  # noqa: SLF001  # ours


__all__ = [
    "Aggregate",
    "DomainEvent",
    "FirstEvent",
    "Held",
    "event",
    "from_snapshot",
    "from_stored",
    "held",
    "read_event",
    "stream_id",
    "to_snapshot",
    "to_stored",
]


def to_stored(happened: DomainEvent) -> StoredEvent:
    """Write an event for the store: ids stay in columns, the version is kept when above 1."""
    state = happened.__pydantic_serializer__.to_json(happened, exclude=IN_COLUMNS)
    if happened.class_version > 1:
        state = b'{"class_version":%d,%s' % (happened.class_version, state[1:])
    return StoredEvent(happened.originator_id, happened.originator_version, happened.TOPIC, state)


def from_stored(stored: StoredEvent) -> DomainEvent:
    """Read an event from the store, as `read_event` does."""
    return read_event(stored.originator_id, stored.originator_version, stored.topic, stored.state)


def read_event(stream: UUID | str, version: int, topic: str, body: bytes) -> DomainEvent:
    """Read an event from its columns: upcast the dict, then validate.

    Raises:
        UnreadableEvent: this release does not know its topic or its version, or it is damaged.
    """
    try:
        cls = _class_of(topic)
        state = orjson.loads(body)
        stored_as = state.pop("class_version", 1)
        if stored_as != cls.class_version:
            _lift(cls, stored_as, state)
        state["originator_id"] = stream
        state["originator_version"] = version
        return cls.__pydantic_validator__.validate_python(state)  # type: ignore[no-any-return]  # it says Any
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        where = f"version {version} of the stream {stream}"
        raise UnreadableEvent(topic, where, first_fault(error)) from error


@cache
def _class_of(topic: str) -> type[DomainEvent]:
    try:
        cls = resolve_topic(topic)
    except TopicError:
        cls = None
    if isinstance(cls, type) and issubclass(cls, DomainEvent):
        return cls
    raise ValueError("this release does not know it: deploy the release that wrote it")


def _lift(cls: type[DomainEvent], version: int, state: dict[str, Any]) -> None:
    if version > cls.class_version:
        raise ValueError(
            f"it has version {version}, this release knows up to {cls.class_version}: "
            "deploy the release that wrote it"
        )
    lift(cls, version, cls.class_version, state)


def to_snapshot(aggregate: Aggregate) -> StoredEvent:
    """Write what an aggregate is at its version, for the store.

    Raises:
        Misuse: JSON would not give back exactly this.
    """
    values = {name: value for name, value in vars(aggregate).items() if name not in _OF_THE_LIBRARY}
    try:
        state = orjson.dumps({"class_version": aggregate.class_version, "values": values})
        is_exact = repr(orjson.loads(state)["values"]) == repr(values)
    except TypeError:
        is_exact = False
    if not is_exact:
        raise Misuse(
            f"{type(aggregate).__name__} holds more than JSON gives back: "
            "keep plain values in its attributes, or leave SNAPSHOT_EVERY at 0"
        )
    return StoredEvent(aggregate.id, aggregate.version, aggregate.TOPIC, state)


def from_snapshot(stored: StoredEvent) -> Aggregate:
    """Read what an aggregate was at a version.

    Raises:
        Exception: it is of no use (ValueError: its class has changed since). Fold all events.
    """
    cls = resolve_topic(stored.topic)
    state = orjson.loads(stored.state)
    if state["class_version"] != cls.class_version:
        raise ValueError(f"{stored.topic} is at version {cls.class_version} of its class")
    aggregate: Aggregate = cls.__new__(cls)
    aggregate.__base_init__(stored.originator_id, stored.originator_version, None)  # type: ignore[arg-type]  # see `timestamp`
    vars(aggregate).update(state["values"])
    return aggregate


IN_COLUMNS = {"originator_id", "originator_version"}
_OF_THE_LIBRARY = {"_id", "_version", "_created_on", "_modified_on", "_pending_events"}
