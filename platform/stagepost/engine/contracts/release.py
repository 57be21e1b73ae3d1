"""Releases contracts: what is new of them becomes a golden file, once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from stagepost.engine.contracts.bare import bare
from stagepost.engine.contracts.golden import Golden
from stagepost.engine.contracts.judge import Ends
from stagepost.engine.contracts.schema import schema_of
from stagepost.errors import BadSettings
from stagepost.messages import Message, encode, example


def unreleased(
    released: Sequence[Golden], messages: Sequence[type[Message]]
) -> list[type[Message]]:
    """Return the messages of which something is new: a version, or a field of one."""
    newest = {(golden.type, golden.version): golden for golden in released}
    return [
        message
        for message in messages
        if (golden := newest.get((message.TYPE, message.VERSION))) is None
        or bare(golden.schema) != bare(schema_of(message))
    ]


def golden_of(
    messages: Sequence[type[Message]], released: Sequence[Golden], ends: Mapping[str, Ends]
) -> Iterator[Golden]:
    """Return messages as they are to be released, with the form that each is of its version.

    Raises:
        BadSettings: a field has no example.
    """
    for message in messages:
        said = (message.TYPE, message.VERSION)
        forms = (golden.form for golden in released if (golden.type, golden.version) == said)
        form = 1 + max(forms, default=0)
        readers = [*ends.get(message.TYPE, Ends()).readers]
        yield Golden(*said, form, readers, schema_of(message), _example(message))


def _example(message: type[Message]) -> dict[str, object]:
    try:
        body: dict[str, object] = json.loads(encode(example(message)))
    except (TypeError, ValueError) as error:
        raise BadSettings(f"{message.TYPE} has no example: {error}") from error
    return body
