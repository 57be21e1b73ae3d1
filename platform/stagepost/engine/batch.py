"""What is written in one transaction: a batch of commits, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from stagepost.engine.envelope import Envelope

BROKER = "broker"
"""The channel of outbox rows that relays publish; every other channel is who is called."""

LEASE = "service"
"""The lease of what only one instance of a service does at a time."""


class Outcome(StrEnum):
    """What became of one commit of a batch."""

    KEPT = "kept"
    CONFLICT = "conflict"
    DUPLICATE = "duplicate"
    BEHIND = "behind"


class Handled(StrEnum):
    """What a service did about a message: the outcome that its inbox records."""

    HANDLED = "handled"
    IGNORED = "ignored"
    REFUSED = "refused"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent.

    A call goes to the channel of its `TO`, a command over HTTP to that of its recipient. Calls of
    one `lane` are made one after the other, and one that `supersedes` makes earlier ones of its
    lane void.
    """

    id: UUID
    type: str
    version: int
    kind: str
    key: str
    body: bytes
    channel: str = BROKER
    recipient: str | None = None
    lane: str | None = None
    supersedes: bool = False


@dataclass(frozen=True, slots=True)
class TimerSet:
    """A timer to be set: due `delay` seconds from now by the store's clock."""

    id: UUID
    type: str
    version: int
    key: str
    body: bytes
    delay: float


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key for its request, a digest of the request, and the answer to be repeated."""

    key: str
    fingerprint: bytes
    response: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """What one message changes: all of it or nothing.

    `cause` is the message that was handled: its id goes into the inbox, and makes the commit a
    duplicate if it is there. `checks` are streams that were read but not changed, with the version
    (0: no such stream) that the decision rests on; they are checked like events, and before them.
    `clears` names a key whose timers are no longer wanted. `call` is the
    outbox position of the call that `cause` answers: the commit is a duplicate where nobody waits
    for that answer any more. `parks` keeps the message as a dead letter; `redrives` is the dead
    letter that was handled after all. `cursor` says which of the batch's cursors this message was
    read with; where it stands in that log, its envelope knows.
    """

    cause: Envelope
    handled: Handled = Handled.HANDLED
    detail: str | None = None
    checks: Sequence[tuple[UUID, int]] = ()
    events: Sequence[StoredEvent] = ()
    sends: Sequence[Outgoing] = ()
    timers: Sequence[TimerSet] = ()
    clears: str | None = None
    call: int | None = None
    parks: bool = False
    redrives: int | None = None
    idempotency: Idempotency | None = None
    cursor: int | None = None


@dataclass(frozen=True, slots=True)
class CursorId:
    """Whose position, in which log."""

    reader: str
    source: str
    incarnation: int = 0
    partition: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position that a batch moves: from where it is believed to stand, to where the batch ends.

    `hint` is where the broker keeps the last message (its stream sequence): it only saves time.
    """

    id: CursorId
    at: int
    to: int
    hint: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to relay, consume, call and fire timers for a service, until it expires.

    The epoch grows with every new holder; a write under an older one is refused.
    """

    name: str
    holder: str
    epoch: int


class Retry(NamedTuple):
    """A call to be made again, in so many seconds.

    One that is `delivered` has reached its recipient, and holds up its lane no longer.
    """

    position: int
    seconds: float
    delivered: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Commits in order, cursors that move with them, and calls to be made again."""

    commits: Sequence[Commit] = ()
    cursors: Sequence[Cursor] = ()
    retries: Sequence[Retry] = ()
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch: an outcome per commit, a position per cursor.

    `responses` holds, by commit, the stored idempotency of a duplicate request.
    """

    outcomes: Sequence[Outcome]
    cursors: Sequence[int] = ()
    responses: dict[int, Idempotency] = field(default_factory=dict)
