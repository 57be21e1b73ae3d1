"""`stagepost links decide`: what it asks, what it writes, and what it says of the code."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from stagepost.engine import cli
from stagepost.engine.link_file import Decided, read_links
from stagepost.errors import BadSettings

PAYMENT = ("fulfillment", "payments")
SAID = ("--no-answer", "--cares", "--owner", "fulfillment", "--reused")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STAGEPOST_LINKS", "STYLE"):
        monkeypatch.delenv(name, raising=False)


def decide(*arguments: str) -> None:
    cli.app(["links", "decide", *arguments], result_action="return_value")


def decision(link: str) -> Decided:
    found = read_links()[link].decided
    assert found is not None
    return found


def test_what_no_option_says_is_asked_in_the_words_of_the_two_services(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\ny\nfulfillment\ny\nn\n"))

    decide(*PAYMENT)

    printed = capsys.readouterr().out
    questions = [
        "Does it answer commands of payments?",
        "Does fulfillment need it to happen?",
        "Who owns the outcome? [fulfillment/payments]",
        "Is payments for many, not for fulfillment alone?",
        "Does somebody wait for its answer?",
        "fulfillment->payments: a command over nats; fulfillment owns the outcome\n",
    ]
    places = [printed.index(question) for question in questions]
    assert places == sorted(places)
    assert decision("fulfillment->payments").kind == "command"


def test_of_an_answer_nothing_else_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    decide("payments", "fulfillment", "--answer")

    assert capsys.readouterr().out.splitlines()[0] == (
        "payments->fulfillment: an answer; fulfillment owns the outcome"
    )


def test_where_nobody_can_answer_it_says_which_option_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    with pytest.raises(BadSettings, match="say --straight or --no-straight"):
        decide(*PAYMENT, *SAID)

    with pytest.raises(BadSettings, match="say --owner fulfillment or --owner payments"):
        decide(*PAYMENT, "--no-answer", "--cares")
    assert not Path("stagepost.toml").exists()


def test_a_command_whose_answer_is_waited_for_goes_over_http_from_then_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    decide(*PAYMENT, *SAID, "--straight")

    assert read_links()["fulfillment->payments"].transport == "http"
    assert "contradicts" not in capsys.readouterr().out


def test_a_link_that_goes_over_what_was_decided_already_names_no_transport() -> None:
    decide(*PAYMENT, *SAID, "--no-straight")

    record = read_links()["fulfillment->payments"]
    assert record.transport is None
    assert record.decided is not None
    assert record.decided.transport == "nats"


def test_a_link_that_need_not_go_straight_is_taken_back_to_the_broker() -> None:
    Path("stagepost.toml").write_text(
        '[links]\ndefault = "kafka"\n"fulfillment->payments" = "http"\n'
    )

    decide(*PAYMENT, *SAID, "--no-straight")

    assert read_links()["fulfillment->payments"].transport == "kafka"


def test_how_answers_on_the_link_of_an_event_come_does_not_matter() -> None:
    """Answers to commands over HTTP come with them."""
    said = ("--no-answer", "--no-cares", "--owner", "fulfillment", "--no-reused", "--no-straight")

    decide("ordering", "fulfillment", *said, "--style", "synchronous")

    assert read_links()["ordering->fulfillment"].transport is None


def test_where_all_goes_over_http_the_broker_is_nats() -> None:
    Path("stagepost.toml").write_text('[links]\ndefault = "http"\n')

    decide(*PAYMENT, *SAID, "--no-straight")

    assert read_links()["fulfillment->payments"].transport == "nats"


def test_code_that_contradicts_is_named_and_keeps_its_transport(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = ("--no-answer", "--cares", "--owner", "ordering", "--no-reused", "--straight")

    decide("ordering", "fulfillment", *said)

    assert (
        "the code contradicts it: the code sends OrderCancellationRequested there as an event"
        in capsys.readouterr().out
    )
    assert decision("ordering->fulfillment").kind == "command"
    assert read_links()["ordering->fulfillment"].transport is None


def test_a_link_is_compared_in_the_style_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = ("--no-answer", "--no-cares", "--owner", "inventory", "--no-reused", "--no-straight")

    decide("payments", "inventory", *said, "--style", "choreographed")
    assert "contradicts" not in capsys.readouterr().out

    decide("payments", "inventory", *said)
    assert "the code sends no event there" in capsys.readouterr().out


def test_what_does_not_go_together_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    decide(*PAYMENT, "--no-answer", "--cares", "--owner", "payments", "--reused", "--no-straight")

    assert "  but who commands owns the outcome: fulfillment now" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("fulfilment", "payments"),
            "there is no service 'fulfilment'; there are: ordering, payments",
        ),
        (("payments", "payments"), "not from payments to itself"),
        ((*PAYMENT, "--owner", "ordering"), "--owner is fulfillment or payments, not 'ordering'"),
    ],
)
def test_a_link_that_cannot_be_is_refused(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(BadSettings) as refused:
        decide(*arguments)
    assert said in str(refused.value)
    assert not Path("stagepost.toml").exists()


def test_a_file_that_cannot_be_read_is_left_as_it_is() -> None:
    Path("stagepost.toml").write_text("[links\n")

    with pytest.raises(BadSettings, match="is no TOML"):
        decide(*PAYMENT, *SAID, "--straight")

    assert Path("stagepost.toml").read_text() == "[links\n"


def test_a_file_that_cannot_be_written_whole_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = '[links]\n"payments->fulfillment" = { accepted = "why" }\n'
    Path("stagepost.toml").write_text(said)

    def fails(_file: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="the disk is full"):
        decide(*PAYMENT, *SAID, "--straight")

    assert Path("stagepost.toml").read_text() == said
    assert [file.name for file in Path().iterdir()] == ["stagepost.toml"]


def test_a_link_that_is_written_twice_is_refused() -> None:
    """Else a decision would be written to the one, and read from the other."""
    said = '[links]\n"fulfillment->payments" = "nats"\n"fulfillment -> payments" = "http"\n'
    Path("stagepost.toml").write_text(said)

    with pytest.raises(BadSettings, match="two of 'fulfillment->payments'"):
        decide(*PAYMENT, *SAID, "--straight")

    assert Path("stagepost.toml").read_text() == said
