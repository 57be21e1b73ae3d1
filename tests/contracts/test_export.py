"""`stagepost contracts export`: all of it in a folder, or nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stagepost.engine import cli
from stagepost.engine.discovery import find_messages, find_services
from stagepost.errors import BadSettings


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("STAGEPOST_LINKS", "STYLE", "TRANSPORT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def typed(*arguments: str) -> None:
    """Type `stagepost contracts export ...`."""
    cli.app(["contracts", "export", *arguments], result_action="return_value")


def refused(*arguments: str) -> str:
    """Type what is refused: exit status 2. Return what is said."""
    with pytest.raises(BadSettings) as said:
        typed(*arguments)
    return str(said.value)


def files_in(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


ASYNCAPI = {f"asyncapi/{name}.json" for name in find_services()}
JSONSCHEMA = {f"jsonschema/{m.TYPE}.v{m.VERSION}.json" for m in find_messages()}


def test_both_are_written(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed("--asyncapi", "--jsonschema", "out/")

    out = elsewhere / "out"
    assert files_in(out) == ASYNCAPI | JSONSCHEMA
    assert json.loads((out / "asyncapi/payments.json").read_text())["asyncapi"] == "3.1.0"
    said = f"{len(ASYNCAPI)} AsyncAPI documents and {len(JSONSCHEMA)} JSON Schemas in out\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("option", "files"), [("--asyncapi", ASYNCAPI), ("--jsonschema", JSONSCHEMA)]
)
def test_one_of_them_is_written_into_a_folder_that_is_empty(
    elsewhere: Path, option: str, files: set[str]
) -> None:
    typed(option, ".")
    assert files_in(elsewhere) == files


def test_a_style_has_documents_of_the_services_that_it_needs(elsewhere: Path) -> None:
    typed("--asyncapi", "out", "--style", "choreographed")
    assert files_in(elsewhere) == {f"out/asyncapi/{n}.json" for n in find_services("choreographed")}


def test_the_same_is_written_every_time(elsewhere: Path) -> None:
    typed("--asyncapi", "--jsonschema", "one")
    typed("--asyncapi", "--jsonschema", "two")
    for file in ASYNCAPI | JSONSCHEMA:
        assert (elsewhere / "one" / file).read_bytes() == (elsewhere / "two" / file).read_bytes()


# Bad input.


def test_who_does_not_say_what_to_export_is_asked(elsewhere: Path) -> None:
    assert "--asyncapi, --jsonschema, or both" in refused("out")
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_is_not_empty_is_left_as_it_is(elsewhere: Path) -> None:
    (elsewhere / "mine").write_text("mine")
    assert "is not empty" in refused("--asyncapi", str(elsewhere))
    assert files_in(elsewhere) == {"mine"}


@pytest.mark.parametrize("folder", ["nowhere/out", "/proc/out", "mine"])
def test_a_folder_that_cannot_be_made_is_said(folder: str, elsewhere: Path) -> None:
    (elsewhere / "mine").write_text("mine")
    said = refused("--jsonschema", folder)
    assert f"cannot write into {folder}: " in said
    assert files_in(elsewhere) == {"mine"}


def test_a_disk_that_is_full_leaves_nothing_half_written(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Path, content: bytes) -> int:
        if file.name.startswith("payments"):
            raise OSError(28, os.strerror(28))
        return write(file, content)

    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", full)

    said = refused("--asyncapi", "--jsonschema", "out")

    assert "cannot write into out: No space left on device" in said
    assert list((elsewhere / "out").iterdir()) == []
