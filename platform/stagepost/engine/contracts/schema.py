"""What a message says as JSON Schema 2020-12: its body and its units, its version, kind and key.

A field that has a unit says so in its metadata (`json_schema_extra={UNIT: "minor unit"}`), so that
the unit stands beside the type.
"""

from __future__ import annotations

from typing import TypeAlias

from stagepost.messages import Answer, Message, Refusal

JsonSchema: TypeAlias = dict[str, object]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ANSWERS, KEY, KIND = "x-answers", "x-key", "x-kind"
UNIT, VERSION = "x-unit", "x-version"


def schema_of(message: type[Message]) -> JsonSchema:
    """Return the schema of a message's body, with its kind, key, version and what it answers."""
    answers = {ANSWERS: _answered(message)} if issubclass(message, Answer) else {}
    return {
        "$schema": DIALECT,
        **message.model_json_schema(),
        KIND: kind_of(message),
        **answers,
        KEY: message.KEY,
        VERSION: message.VERSION,
    }


def _answered(answer: type[Answer]) -> list[str]:
    return sorted(command.TYPE for command in (answer.TO, *answer.ALSO))


def kind_of(message: type[Message]) -> str:
    """Return what a message is declared as: command, event, answer or refusal."""
    if issubclass(message, Answer):
        return "refusal" if issubclass(message, Refusal) else "answer"
    return message.KIND.value
