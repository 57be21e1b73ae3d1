"""An event store, a transactional outbox, and processes that survive anything."""

from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import (
    Answer,
    Call,
    CallAnswer,
    Command,
    Event,
    Message,
    Refusal,
    Request,
    Timer,
)
from stagepost.process import Process, Reaction, State, ignore, move, stay
from stagepost.view import Recorded, Row, View

__version__ = "0.1.0"

__all__ = [
    "Aggregate",
    "Answer",
    "Call",
    "CallAnswer",
    "Command",
    "Decision",
    "DomainEvent",
    "Event",
    "FirstEvent",
    "Handler",
    "Load",
    "Message",
    "Process",
    "Reaction",
    "Recorded",
    "Refusal",
    "Request",
    "Row",
    "State",
    "Timer",
    "View",
    "event",
    "ignore",
    "move",
    "stay",
    "stream_id",
]
