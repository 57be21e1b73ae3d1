"""The contracts fit what is released, and every body that was ever released is read."""

from __future__ import annotations

import json

import pytest

from stagepost.engine.contracts.golden import Golden, golden_folder, read_golden
from stagepost.engine.contracts.judge import problems
from stagepost.engine.contracts.release import golden_of
from stagepost.engine.contracts.shown import text_of
from stagepost.engine.discovery import find_messages
from stagepost.messages import decode, encode, message_type

RELEASED = read_golden()


def test_no_contract_breaks_whoever_takes_what_is_released() -> None:
    found = problems(RELEASED, find_messages())

    assert not found, text_of(found)


@pytest.mark.parametrize("golden", RELEASED, ids=lambda golden: golden.file)
def test_what_was_ever_released_is_read_lifted_and_written_again(golden: Golden) -> None:
    message = decode(golden.type, golden.version, json.dumps(golden.example).encode())
    cls = message_type(golden.type)

    assert decode(golden.type, cls.VERSION, encode(message)) == message
    if golden.version == cls.VERSION:
        assert json.loads(encode(message)).items() >= golden.example.items()


def test_every_file_is_called_by_what_is_in_it() -> None:
    assert sorted(one.file for one in RELEASED) == sorted(
        file.name for file in golden_folder().iterdir()
    )


def test_every_message_has_an_example_to_be_released_with() -> None:
    messages = find_messages()

    assert [one.type for one in golden_of(messages, [], {})] == [m.TYPE for m in messages]
