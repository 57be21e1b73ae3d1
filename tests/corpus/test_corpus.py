"""What any release has stored makes today what it made then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stagepost.aggregate import DomainEvent
from stagepost.process import Instance
from tests.corpus.stored import (
    SERVICES,
    Line,
    newest,
    read,
    released,
    replayed,
    text_of,
    written_now,
)

FILES = [(service, file) for service in SERVICES for file in released(service)]


def events_of(service: str) -> Iterator[type[DomainEvent]]:
    """Every event that a service can store."""
    waiting = list(DomainEvent.__subclasses__())
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        is_ours = cls.__module__.startswith(f"services.{service}.")
        if "TOPIC" in cls.__dict__ and (is_ours or _is_reaction(cls, service)):
            yield cls


def _is_reaction(cls: type[DomainEvent], service: str) -> bool:
    return cls.TOPIC.startswith(Instance.TOPIC) and bool(SERVICES[service].processes)


def version_of(state: dict[str, object]) -> object:
    return state.get("class_version", 1)


@pytest.mark.parametrize(("service", "file"), FILES, ids=lambda it: getattr(it, "stem", it))
def test_what_a_release_has_stored_makes_what_it_made_then(service: str, file: Path) -> None:
    for line in read(file.read_text()):
        now = replayed(service, line.stored)
        assert now.makes == {**now.makes, **line.makes}  # there may be more today
        assert now.rows.keys() == line.rows.keys()
        for view, row in line.rows.items():
            assert now.rows[view] == {**now.rows[view], **row}


@pytest.mark.parametrize("service", SERVICES)
def test_the_newest_corpus_is_what_this_release_stores(service: str) -> None:
    now = text_of(written_now(service))
    assert newest(service) == now, "write the next: python -m tests.corpus"


@pytest.mark.parametrize("service", SERVICES)
def test_every_event_of_a_service_is_in_its_newest_corpus(service: str) -> None:
    lines = read(newest(service))
    stored = {(topic, version_of(state)) for line in lines for topic, state in line.events}
    assert stored == {(cls.TOPIC, cls.class_version) for cls in events_of(service)}


@pytest.mark.parametrize("service", SERVICES)
def test_a_body_with_other_fields_has_another_version(service: str) -> None:
    fields: dict[tuple[str, object], set[str]] = {}
    lines: list[Line] = [line for file in released(service) for line in read(file.read_text())]
    for topic, state in (event for line in lines for event in line.events):
        known = fields.setdefault((topic, version_of(state)), set(state))
        assert known == set(state), f"raise the class_version of {topic}, and add an upcaster"
