"""What travels: commands ask, events tell, answers reply, timers remind, calls leave the house."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json

from stagepost.errors import UnknownMessage, UnknownVersion, UnreadableMessage

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
"""A short line of text: 1 to 200 characters, none of them NUL (PostgreSQL stores none)."""

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""A public id: 1 to 64 letters, digits, dots, underscores and dashes; it can stand in a URL."""

MAX_BIGINT = 2**63 - 1
"""The largest integer that PostgreSQL's bigint holds: every integer that we take has a bound."""


class Kind(StrEnum):
    """What a message means; how it travels is another question."""

    COMMAND = "command"
    EVENT = "event"
    TIMER = "timer"
    CALL = "call"
    REQUEST = "request"
    ANSWER = "answer"


class Message(BaseModel):
    """Anything that can sit in an outbox: a frozen value with an owner, a version and a key.

    The owner is the second part of the module that declares it (`contracts.payments`,
    `services.payments.provider`) unless `OWNER` says otherwise; the type is said with it:
    `payments.PaymentReceived`.
    Messages of one key are handled in the order in which they were sent.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    KIND: ClassVar[Kind]
    KEY: ClassVar[str] = "order_id"
    VERSION: ClassVar[int] = 1
    OWNER: ClassVar[str]
    TYPE: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if cls.__module__ == __name__:
            return
        if "OWNER" not in cls.__dict__:
            cls.OWNER = cls.__module__.split(".")[1]
        cls.TYPE = f"{cls.OWNER}.{cls.__name__}"
        _REGISTRY[cls.TYPE] = cls

    @property
    def key(self) -> str:
        """What this message is about, as text; the order of messages holds per key."""
        return str(getattr(self, self.KEY))


class Command(Message):
    """A request to its owner, in the imperative; it must be answered: done, or refused.

    `caller` and `reference` come back in the answer, so that whoever did not ask ignores it.
    `NEVER_REFUSED` says why where no answer refuses it.
    """

    KIND = Kind.COMMAND
    NEVER_REFUSED: ClassVar[str] = ""
    caller: Text = Field(description="who asks", examples=["fulfillment"])
    reference: Text = Field(description="what for, in the caller's own words", examples=["10248"])


class Event(Message):
    """A fact in the past tense; any number of readers, none needed."""

    KIND = Kind.EVENT


class Answer(Event):
    """An event that answers a command: `class PaymentReceived(Answer, to=RetrievePayment)`.

    `also` names commands that may be answered so too: RejectOrder, where the order is confirmed.
    """

    TO: ClassVar[type[Command]]
    ALSO: ClassVar[tuple[type[Command], ...]] = ()
    REFUSES: ClassVar[bool] = False
    caller: Text = Field(description="who asked", examples=["fulfillment"])
    reference: Text = Field(description="the command's own", examples=["10248"])

    def __init_subclass__(
        cls,
        to: type[Command] | None = None,
        also: tuple[type[Command], ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if to is not None:
            cls.TO, cls.ALSO = to, also


class Refusal(Answer):
    """The answer "no": nothing was done, and the reason says why."""

    REFUSES = True
    reason: Text = Field(examples=["declined by the bank"])


class Timer(Message):
    """A note that a process sends to its own future; `DELAY` is how long it takes, in seconds.

    Settings may give another delay by the timer's name. A timer that comes when nobody
    waits for it any more is ignored by the state, so none needs to be cancelled.
    """

    KIND = Kind.TIMER
    DELAY: ClassVar[float]


class Request(Message):
    """What somebody asks over HTTP: a causation chain begins. It never leaves its service."""

    KIND = Kind.REQUEST


class Call(Message):
    """An HTTP request to the outside world, made until it is answered.

    Calls of one lane (the key, unless `LANE` names another field) are made in order, each with
    the message's id as its idempotency key.

    `TO` names the world's part (settings say where it is), `PATH` is appended to its URL. A 200
    answer's JSON, together with the call itself, becomes the message `ANSWER`. With `SUPERSEDES`
    it makes earlier calls of its lane void that are still waiting for an answer. What is to be done
    `ONCE` in a lane, for whatever cause, has the same key also where it is decided again: after a
    database was set back another message may be the cause.
    """

    KIND = Kind.CALL
    TO: ClassVar[str]
    PATH: ClassVar[str]
    ANSWER: ClassVar[type[CallAnswer]]
    LANE: ClassVar[str | None] = None
    SUPERSEDES: ClassVar[bool] = False
    ONCE: ClassVar[bool] = False

    @property
    def lane(self) -> str:
        """Which calls this one must not overtake."""
        return str(getattr(self, self.LANE or self.KEY))


class CallAnswer(Message):
    """What the outside world answered, with the `call` that asked; its key is the call's."""

    KIND = Kind.ANSWER
    call: Call

    @property
    def key(self) -> str:
        return self.call.key


M = TypeVar("M", bound=Message)
_REGISTRY: dict[str, type[Message]] = {}


def message_type(name: str) -> type[Message]:
    """Return the class of a type name such as `payments.PaymentReceived`.

    Raises:
        UnknownMessage: no contract that this process has loaded declares it.
    """
    try:
        return _REGISTRY[name]
    except KeyError:
        raise UnknownMessage(name) from None


def encode(message: Message) -> bytes:
    """Write a message's body as JSON."""
    return message.__pydantic_serializer__.to_json(message)


def decode(name: str, version: int, body: bytes) -> Message:
    """Read a message's body; an older version is lifted by its class's `upcast_vN_vM` first.

    Raises:
        UnknownMessage, UnknownVersion: this release does not know it.
        UnreadableMessage: the body does not fit the contract.
    """
    cls = message_type(name)
    if version > cls.VERSION:
        raise UnknownVersion(name, version, cls.VERSION)
    try:
        if version == cls.VERSION:
            return cls.model_validate_json(body)
        return cls.model_validate(lift(cls, version, cls.VERSION, from_json(body)))
    except Exception as error:  # whatever a body does to an upcaster, or to a validator
        raise UnreadableMessage(name, first_fault(error)) from error


def lift(cls: type[Any], version: int, target: int, state: dict[str, Any]) -> dict[str, Any]:
    """Bring a stored dict from `version` to `target` with the class's `upcast_vN_vN+1` methods."""
    for step in range(version, target):
        getattr(cls, f"upcast_v{step}_v{step + 1}")(state)
    return state


def example(cls: type[M], **known: object) -> M:
    """Build a message from its fields' examples; `known` fields win."""
    return cast("M", _example(cls, known))


def _example(cls: type[BaseModel], known: dict[str, object]) -> BaseModel:
    values = {
        name: known.get(name, _example_of(field.examples, field.annotation))
        for name, field in cls.model_fields.items()
        if name in known or field.examples or field.is_required()
    }
    return cls.model_validate(values)


def _example_of(examples: list[Any] | None, annotation: object) -> object:
    if examples:
        return examples[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _example(annotation, {})
    raise TypeError(
        f"a required field of type {annotation} has no example: add Field(examples=[...])"
    )


def first_fault(error: Exception) -> str:
    """Say in a line what is wrong with a body."""
    if not isinstance(error, ValidationError):
        return str(error) if isinstance(error, ValueError) else repr(error)
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"/{'/'.join(map(str, fault['loc']))}: {fault['msg']}"


__all__ = [
    "MAX_BIGINT",
    "Answer",
    "Call",
    "CallAnswer",
    "Command",
    "Event",
    "Id",
    "Kind",
    "Message",
    "Refusal",
    "Request",
    "Text",
    "Timer",
    "decode",
    "encode",
    "example",
    "first_fault",
    "message_type",
]
