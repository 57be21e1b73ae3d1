"""`stagepost contracts check` and `release`: what they print, what they write, how they end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, PlainSerializer

from contracts import payments
from contracts.values import Amount
from stagepost.engine import cli, discovery
from stagepost.engine.contracts import golden
from stagepost.errors import BadSettings
from stagepost.messages import Message
from tests.contracts.cases import one
from tests.contracts.changed import changed

RETRIEVE, RECEIVED = payments.RetrievePayment, payments.PaymentReceived
FILE = "payments.RetrievePayment.v1.json"

Declare = Callable[..., None]
Git = Callable[..., None]


@pytest.fixture(autouse=True)
def folder(registry: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Release into a folder of our own, in which nothing is yet."""
    folder = tmp_path / "contracts" / "golden"
    folder.parent.mkdir()
    monkeypatch.setattr(golden, "golden_folder", lambda: folder)
    return folder


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Let the contracts be these messages."""

    def declare(*messages: type[Message]) -> None:
        monkeypatch.setattr(discovery, "find_messages", lambda: list(messages))

    return declare


def typed(*arguments: str) -> int:
    """Type `stagepost contracts ...`; return its exit status."""
    return int(cli.app(["contracts", *arguments], result_action="return_value") or 0)


def files(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_what_is_new_is_released_once(
    declare: Declare, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(RETRIEVE, RECEIVED)

    assert [typed("check"), typed("release"), typed("release"), typed("check")] == [0, 0, 0, 0]

    assert capsys.readouterr().out.splitlines() == [
        "what is released fits",
        "not released yet (stagepost contracts release):",
        "    payments.RetrievePayment 1",
        "    payments.PaymentReceived 1",
        f"released {FILE}",
        "released payments.PaymentReceived.v1.json",
        "nothing is new",
        "what is released fits",
    ]
    said = json.loads((folder / FILE).read_text())
    assert (said["type"], said["version"], said["readers"]) == (RETRIEVE.TYPE, 1, ["payments"])
    assert said["schema"]["properties"]["amount"]["x-unit"] == "minor unit of the currency"
    assert said["example"]["amount"] == 2598


def test_what_is_released_is_never_written_again(declare: Declare, folder: Path) -> None:
    declare(RETRIEVE)
    typed("release")
    before = files(folder)

    declare(changed(RETRIEVE, one(int, default=1)))
    assert typed("release") == 0

    assert set(files(folder)) == {FILE, "payments.RetrievePayment.v1.2.json"}
    assert files(folder)[FILE] == before[FILE]
    with pytest.raises(BadSettings, match=r"cannot release into .*: File exists"):
        golden.write_golden(golden.read_golden())
    assert set(files(folder)) == {FILE, "payments.RetrievePayment.v1.2.json"}


def test_what_cannot_be_written_whole_is_not_released(declare: Declare, folder: Path) -> None:
    declare(RETRIEVE)
    typed("release")
    before = files(folder)
    (one,) = golden.read_golden()

    with pytest.raises(BadSettings, match="cannot release"):
        golden.write_golden([replace(one, version=2), replace(one, type="payments/Retrieve")])

    assert files(folder) == before


def test_a_form_that_was_lost_is_not_written_anew(declare: Declare, folder: Path) -> None:
    declare(RETRIEVE)
    typed("release")
    declare(changed(RETRIEVE, one(int, default=1)))
    typed("release")
    (folder / FILE).unlink()

    declare(changed(RETRIEVE, one(int, default=1) | {"two": (int, Field(default=2))}))
    typed("release")

    second, third = "payments.RetrievePayment.v1.2.json", "payments.RetrievePayment.v1.3.json"
    assert set(files(folder)) == {second, third}


def test_where_something_breaks_nothing_is_released(
    declare: Declare, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(RETRIEVE)
    typed("release")
    before = files(folder)
    declare(changed(RETRIEVE, {"amount": None}), RECEIVED)
    capsys.readouterr()

    assert [typed("check"), typed("release")] == [1, 1]

    checked, released = capsys.readouterr().out.split("1 thing breaks")[:2]
    assert "payments.RetrievePayment 1 /amount: removed field: gone" in checked
    assert "breaks payments: old readers, new messages (sent by fulfillment)" in checked
    assert checked.strip() == released.strip()
    assert files(folder) == before


def test_a_message_without_an_example_is_not_released(declare: Declare, folder: Path) -> None:
    declare(RECEIVED, changed(RETRIEVE, {"it": (int, ...)}))

    with pytest.raises(BadSettings, match=r"payments\.RetrievePayment has no example: .*int"):
        typed("release")
    assert not folder.exists()


def test_what_its_own_example_would_break_is_not_released(
    declare: Declare, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(changed(RETRIEVE, one(Annotated[int, PlainSerializer(hex)])))

    assert [typed("check"), typed("release")] == [0, 1]

    assert "/it: Input should be a valid integer" in capsys.readouterr().out
    assert not folder.exists()


def test_a_default_that_does_not_fit_is_not_released(
    declare: Declare, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(RETRIEVE)
    typed("release")
    declare(changed(RETRIEVE, {"fee": (Amount, Field(default=-1))}))

    assert [typed("check"), typed("release")] == [1, 1]

    assert "/fee: Input should be greater than or equal to 0" in capsys.readouterr().out
    assert set(files(folder)) == {FILE}


def test_a_damaged_file_is_said_by_name(declare: Declare, folder: Path) -> None:
    declare(RETRIEVE)
    typed("release")
    (folder / FILE).write_text('{"type": "payments.RetrievePayment"}')

    with pytest.raises(BadSettings, match=rf"contracts/golden/{FILE} is damaged: /version: "):
        typed("check")


# Against a revision.


@pytest.fixture
def git(folder: Path) -> Git:
    """The repository that the folder is in."""

    def run(*arguments: str) -> None:
        who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
        subprocess.run(["git", *who, *arguments], cwd=folder.parents[1], check=True)

    run("init", "--quiet", "--initial-branch", "trunk")
    run("commit", "--quiet", "--allow-empty", "--message", "nothing")
    run("tag", "nothing")
    return run


def test_a_revision_is_what_was_released_then_whatever_lies_here(
    git: Git, declare: Declare, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(RETRIEVE)
    typed("release")
    (folder / "README.md").write_text("What is released.")
    git("add", "--all")
    git("commit", "--quiet", "--message", "released")
    (folder / FILE).unlink()
    declare(changed(RETRIEVE, {"amount": None}))

    assert [typed("check"), typed("check", "--against", "trunk")] == [0, 1]

    assert "/amount: removed field" in capsys.readouterr().out


def test_a_revision_that_is_not_there_is_refused_with_the_nearest(git: Git) -> None:
    with pytest.raises(BadSettings, match="no revision 'trnk'; did you mean trunk"):
        typed("check", "--against", "trnk")


def test_a_revision_at_which_nothing_was_released_is_refused(git: Git, folder: Path) -> None:
    (folder.parent / "__init__.py").touch()

    with pytest.raises(BadSettings, match="at nothing nothing was released"):
        typed("check", "--against", "nothing")


def test_where_there_is_no_repository_git_says_so(folder: Path) -> None:
    with pytest.raises(BadSettings, match="not a git repository"):
        typed("check", "--against", "trunk")
