"""Messages of the contracts as somebody might change them, and what was released of them before."""

from __future__ import annotations

from typing import Any, cast

from pydantic import create_model

from stagepost.engine.contracts.golden import Golden
from stagepost.engine.contracts.judge import Problem, ends_everywhere, problems
from stagepost.engine.contracts.release import golden_of
from stagepost.messages import Answer, Command, Event, Message, Refusal

Fields = dict[str, Any]
"""Fields by name, as (type, Field); None takes one away."""


def changed(message: type[Message], fields: Fields, **said: Any) -> type[Message]:
    """Declare a message again with other fields; `said` is what its class says, such as VERSION.

    Whoever does so keeps the registry of messages as it was.
    """
    bases: tuple[type[Message], ...] = (Command, Refusal, Answer, Event)
    base = said.pop("base", next(base for base in bases if issubclass(message, base)))
    own = {name: (info.annotation, info) for name, info in message.model_fields.items()}
    wanted = {name: field for name, field in {**own, **fields}.items() if field is not None}
    to = None
    if issubclass(base, Answer) and issubclass(message, Answer):
        to = {"to": said.pop("to", message.TO), "also": message.ALSO}
    make = cast("Any", create_model)
    made: type[Message] = make(
        message.__name__,
        __base__=base,
        __module__=message.__module__,
        __cls_kwargs__=to,
        **{name: field for name, field in wanted.items() if name not in base.model_fields},
    )
    for name, value in {"KEY": message.KEY, **said}.items():
        setattr(made, name, value)
    return made


def released(*messages: type[Message]) -> list[Golden]:
    """Return messages as `stagepost contracts release` writes them."""
    return [*golden_of(messages, [], ends_everywhere())]


def found(message: type[Message], was: Fields, now: Fields, **said: Any) -> list[Problem]:
    """Release a message with some fields, change it to others, and check it."""
    before = released(changed(message, was))
    return problems(before, [changed(message, now, **said)])
