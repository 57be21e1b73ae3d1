"""`stagepost links`: a table, JSON, a picture, dependencies, and what ran."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stagepost.engine import cli, cli_common, cli_links
from stagepost.engine.flow import Flow
from stagepost.engine.links_shown import (
    Observed,
    _compared,
    dependencies,
    picture,
    picture_of_dependencies,
    rows,
)
from stagepost.errors import BadSettings

SYNCHRONOUS = Flow("synchronous")


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STAGEPOST_LINKS", "STYLE", "TRANSPORT", "JSON", "DATA"):
        monkeypatch.delenv(name, raising=False)


def typed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Type `stagepost links ...`; return what it prints."""
    cli.app(["links", *arguments], result_action="return_value")
    return capsys.readouterr().out


def in_columns(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it printed so wide, whatever the terminal is and the environment says of it."""
    console = Console(width=width, force_terminal=False)
    for module in (cli_common, cli_links):
        monkeypatch.setattr(module, "out", console)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(typed(capsys, *arguments, "--json"))
    return found


# What is shown.


def test_a_row_says_who_what_whose_outcome_who_depends_and_how() -> None:
    found = {(row.sender, row.reader, row.message): row for row in rows(SYNCHRONOUS)}
    assert found["fulfillment", "payments", "RetrievePayment"][2:] == (
        *("command", "RetrievePayment", "fulfillment", "fulfillment", "http"),
    )
    assert found["ordering", "fulfillment", "OrderPlaced"][2:] == (
        *("event", "OrderPlaced", "fulfillment", "fulfillment", "nats"),
    )


def test_what_nobody_reads_is_shown_without_a_reader() -> None:
    unread = [row for row in rows(Flow()) if not row.reader]
    assert ("fulfillment", "", "event", "FulfillmentOverdue", "", "", "") in unread
    assert {row.message for row in unread} == {
        *("CustomerOnboarded", "FulfillmentOverdue", "NotificationSent"),
        *("OnboardingOverdue", "PointsAwarded"),
    }


def test_a_command_that_nobody_takes_is_shown_as_one() -> None:
    alone = rows(Flow(only=frozenset({"customers"})))
    assert ("customers", "", "command", "SendWelcomeLetter", "", "", "") in alone


def test_rows_come_by_sender_and_reader() -> None:
    pairs = [(row.sender, row.reader) for row in rows(Flow())]
    assert pairs == sorted(pairs)


def test_the_arrow_of_an_event_turns_in_dependencies() -> None:
    depend = {who for who, on in dependencies(Flow()) if on == "ordering"}
    assert depend == {"fulfillment", "loyalty", "notifications"}
    chain = dependencies(Flow("choreographed"))
    assert "PaymentReceived" in chain["inventory", "payments"]
    assert ("payments", "inventory") not in chain or "PaymentReceived" not in chain[
        "payments", "inventory"
    ]


def test_a_picture_draws_commands_solid_and_what_is_told_dotted() -> None:
    lines = picture(Flow()).splitlines()
    assert lines[0] == "flowchart LR"
    (command,) = (line for line in lines if "RetrievePayment" in line)
    assert command.startswith('  fulfillment -- "')
    assert command.endswith('" --> payments')
    (event,) = (line for line in lines if "OrderPlaced" in line)
    assert event.startswith('  ordering -. "')
    assert event.endswith('" .-> fulfillment')
    solid = [line for line in picture(Flow("choreographed")).splitlines() if "-->" in line]
    assert solid == ['  customers -- "SendWelcomeLetter" --> notifications']


def test_nobody_depends_on_themselves() -> None:
    assert any(row.sender == row.reader for row in rows(Flow()))
    assert not [pair for pair in dependencies(Flow()) if pair[0] == pair[1]]


def test_a_picture_of_dependencies_has_an_arrow_from_who_depends() -> None:
    lines = picture_of_dependencies(Flow("choreographed")).splitlines()
    (line,) = (line for line in lines if line.startswith("  inventory") and "payments" in line)
    assert line.endswith("--> payments")


def test_what_ran_is_compared_with_what_is_declared() -> None:
    declared = {("a", "T", "b"), ("a", "U", "b")}
    heard = {("a", "T", "b"): 3, ("x", "T", "b"): 1}
    assert list(_compared(declared, heard)) == [
        Observed("a", "T", "b", 3, ""),
        Observed("a", "U", "b", 0, "never heard"),
        Observed("x", "T", "b", 1, "not declared"),
    ]


# As it is typed.


def test_json_has_a_stable_shape(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "--style", "synchronous")
    assert all(
        list(row) == ["from", "to", "kind", "message", "whose_outcome", "depends", "transport"]
        for row in found
    )
    assert {
        "from": "fulfillment",
        "to": "payments",
        "kind": "command",
        "message": "RetrievePayment",
        "whose_outcome": "fulfillment",
        "depends": "fulfillment",
        "transport": "http",
    } in found


def test_a_table_has_a_line_for_every_link_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_columns(20, monkeypatch)
    printed = typed(capsys).splitlines()
    assert printed[0].split() == [
        *("from", "to", "kind", "message", "whose", "outcome", "depends", "transport"),
    ]
    assert len(printed) == len(rows(Flow())) + 1


def test_a_picture_can_be_read_by_mermaid_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_columns(20, monkeypatch)
    assert typed(capsys, "--mermaid") == f"{picture(Flow())}\n"
    assert typed(capsys, "--mermaid", "--dependencies") == f"{picture_of_dependencies(Flow())}\n"


def test_dependencies_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "--dependencies", "--style", "choreographed")
    assert {"who", "depends_on", "for"} == set(found[0])
    assert {(row["who"], row["depends_on"]) for row in found} == set(
        dependencies(Flow("choreographed"))
    )


def test_transports_of_the_command_the_environment_and_the_file_are_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def transports(*arguments: str) -> set[str]:
        return {row["transport"] for row in shown(capsys, *arguments)}

    assert transports() == {"nats", ""}
    assert transports("--transport", "kafka") == {"kafka", ""}
    Path("stagepost.toml").write_text('[links]\n"fulfillment->payments" = "http"\n')
    assert transports() == {"nats", "http", ""}
    monkeypatch.setenv("STAGEPOST_LINKS", '{"default": "kafka"}')
    assert transports() == {"kafka", ""}
    assert transports("--style", "synchronous") == {"kafka", "http", ""}


def test_a_link_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEPOST_LINKS", '{"payments->shipping": "http"}')
    with pytest.raises(BadSettings, match="payments sends nothing to shipping"):
        cli.app(["links"], result_action="return_value")


def test_what_ran_needs_a_stack(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no stack runs in"):
        cli.app(["links", "--observed", "--data", str(tmp_path)], result_action="return_value")
