"""Files are written all together, or not at all."""

from __future__ import annotations

from difflib import ndiff
from pathlib import Path
from string import Template

import pytest
import yaml

from stagepost.engine.scaffold.compose import COMPOSE, with_container
from stagepost.engine.scaffold.lists import with_service, with_words_of
from stagepost.engine.scaffold.service import TEMPLATES, check_name, port_beside
from stagepost.engine.scaffold.written import File, write
from stagepost.errors import BadSettings

ROOT = Path(__file__).parents[2]
NEW = File("services/returns/app.py", "service = ...\n", is_new=True)
CHANGED = File("pyproject.toml", "name = 'new'\n", is_new=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("name = 'old'\n")
    (tmp_path / "services").mkdir()
    return tmp_path


def there(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else ""
        for path in folder.rglob("*")
    }


def test_new_files_are_written_and_others_changed(folder: Path) -> None:
    (folder / "pyproject.toml").chmod(0o640)

    write(folder, [NEW, CHANGED])

    assert there(folder) == {
        "services": "",
        "services/returns": "",
        NEW.path: NEW.text,
        CHANGED.path: CHANGED.text,
    }
    assert (folder / "pyproject.toml").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("last", ["services/returns/app.py", "services"])
def test_what_is_there_is_never_overwritten_and_nothing_is_half_written(
    folder: Path, last: str
) -> None:
    before = there(folder)

    with pytest.raises(BadSettings, match=f"^{last} is there already; nothing was written"):
        write(folder, [NEW, CHANGED, File(last, "", is_new=True)])

    assert there(folder) == before


def test_what_cannot_be_written_leaves_nothing_behind(folder: Path) -> None:
    before = there(folder)

    with pytest.raises(BadSettings, match=r"cannot be written: .+; nothing was written"):
        write(folder, [NEW, CHANGED, File("pyproject.toml/app.py", "", is_new=True)])

    assert there(folder) == before


def test_who_is_interrupted_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = there(folder)

    def interrupted(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(folder, [NEW, CHANGED])

    assert there(folder) == before


def test_the_lists_that_name_every_service_name_one_more_and_are_else_as_they_were() -> None:
    text = (ROOT / "pyproject.toml").read_text()

    changed = with_service("zebras", with_words_of("zebras", text))

    old, new = text.split(), changed.split()
    assert [word for word in new if "zebras" in word] == [
        '"contracts.zebras",',
        '"services.zebras",',
    ]
    assert [word for word in new if "zebras" not in word] == old


def test_a_list_is_filled_as_wide_as_lines_are() -> None:
    text = "banned-from = [\n]\n"
    for n in range(9):
        text = with_words_of(f"service{n}", text)

    assert [line.count("contracts.service") for line in text.splitlines()] == [0, 4, 4, 1, 0]
    assert max(map(len, text.splitlines())) <= 100


def test_a_container_stands_after_the_others_and_the_demonstration_waits_for_it() -> None:
    text = (ROOT / COMPOSE).read_text()
    container = Template((TEMPLATES / "compose.yml.template").read_text()).substitute(
        name="zebras", port=8009
    )

    changed = with_container("zebras", container, text)

    was, now = yaml.safe_load(text)["services"], yaml.safe_load(changed)["services"]
    assert list(now) == [
        each for name in was for each in (("zebras", name) if name == "outside" else (name,))
    ]
    healthy = {"condition": "service_healthy"}
    assert now["demo"]["depends_on"] == {**was["demo"]["depends_on"], "zebras": healthy}
    old, new = text.splitlines(keepends=True), changed.splitlines(keepends=True)
    assert [line for line in ndiff(old, new) if line.startswith("-")] == []


def test_a_file_of_containers_that_is_another_is_left_as_it_is() -> None:
    with pytest.raises(BadSettings, match=r"docker-compose\.yml has no 'outside:"):
        with_container("returns", "  returns: {}\n", "services: {}\n")


def test_without_the_list_nothing_is_changed() -> None:
    with pytest.raises(BadSettings, match=r"pyproject\.toml has no 'banned-from = \['"):
        with_words_of("returns", "[project]\n")


@pytest.mark.parametrize("name", ["order", "q2", "a" * 20])
def test_a_service_is_named_with_small_letters_and_digits(name: str) -> None:
    check_name(name, ROOT)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Returns", "a name such as returns, not 'Returns'"),
        ("re_turns", "such as returns"),
        ("../returns", "such as returns"),
        ("1", "such as returns"),
        ("", "such as returns"),
        ("a" * 21, "such as aaaaaaaaaaaaaaaaaaaa,"),
        ("import", "means something else"),
        ("postgres", "means something else"),
        ("front", "means something else"),
        ("payments", "there is a services/payments already"),
        ("outside", "there is a services/outside already"),
        ("seed", r"there is a services/seed\.py already"),
        ("values", r"there is a contracts/values\.py already"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name: str, said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        check_name(name, ROOT)


def test_what_a_change_of_branches_leaves_does_not_take_the_name(tmp_path: Path) -> None:
    (tmp_path / "services/returns/__pycache__").mkdir(parents=True)

    check_name("returns", tmp_path)


def test_a_port_is_the_next_that_nobody_has() -> None:
    assert port_beside({8001, 8002, 8010}, {8001, 8002}) == 8003
    assert port_beside({8001, 8009, 8010}, {8001, 8009}) == 8011
