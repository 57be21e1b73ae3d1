"""`stagepost.toml`: a link as a transport's name, or as a table that also says why."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from stagepost.engine.flow import read_flow
from stagepost.engine.link_file import Decided, Record, read_links
from stagepost.errors import BadSettings


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STAGEPOST_LINKS", raising=False)


def write(text: str) -> None:
    Path("stagepost.toml").write_text(text)


def test_a_link_is_a_transport_or_a_table_of_what_is_said_of_it() -> None:
    write(
        """
[links]
default = "nats"
"ordering -> fulfillment" = { accepted = "known" }

[links."fulfillment->payments"]
transport = "http"
decided = { kind = "command", outcome = "fulfillment", because = "it cares", on = 2026-11-23 }
"""
    )
    decided = Decided(
        kind="command", outcome="fulfillment", because="it cares", on=date(2026, 11, 23)
    )
    assert read_links() == {
        "default": Record(transport="nats"),
        "ordering->fulfillment": Record(accepted="known"),
        "fulfillment->payments": Record(transport="http", decided=decided),
    }


def test_only_transports_are_told_to_those_who_run_the_services() -> None:
    write(
        '[links]\n"ordering->fulfillment".accepted = "known"\n'
        '"fulfillment->payments" = { transport = "http", accepted = "known" }\n'
    )
    assert read_flow("orchestrated").transports == {"fulfillment->payments": "http"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"a->b" = { acepted = "x" }', "acepted of 'a->b': Extra inputs are not permitted"),
        ('"a->b" = { accepted = "" }', "accepted of 'a->b': String should have at least 1"),
        ('"a->b" = { accepted = true }', "accepted of 'a->b': Input should be a valid string"),
        ('"a->b" = { decided = { kind = "wish" } }', "decided.kind of 'a->b': Input should be"),
        ('default = { transport = "http" }', "'default' must name a transport"),
        ('"a->b" = ["http"]', "'a->b' must name a transport"),
    ],
)
def test_what_cannot_be_said_of_a_link_is_refused_with_its_place(text: str, said: str) -> None:
    write(f"[links]\n{text}\n")
    with pytest.raises(BadSettings) as refused:
        read_links()
    assert str(refused.value).startswith("[links] in stagepost.toml: ")
    assert said in str(refused.value)
