"""A walk-through as steps: the blocks of a document in which somebody types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Typed:
    """A command in a shell."""

    command: str


@dataclass(frozen=True)
class Whole:
    """A file with all that is in it."""

    path: str
    text: str

    def type_in(self, folder: Path) -> None:
        (folder / self.path).write_text(self.text)


@dataclass(frozen=True)
class Changes:
    """What changes in a file, place by place, as `diff` shows it."""

    path: str
    places: tuple[str, ...]

    def type_in(self, folder: Path) -> None:
        text = (folder / self.path).read_text()
        for place in self.places:
            was, becomes = _side(place, "-"), _side(place, "+")
            assert text.count(was) == 1, f"{self.path} has not, or more than once:\n{was}"
            text = text.replace(was, becomes)
        (folder / self.path).write_text(text)


def _side(place: str, sign: str) -> str:
    lines = place.splitlines(keepends=True)
    return "".join(line[1:] if line.strip() else line for line in lines if line[0] in f" {sign}\n")


def steps(text: str) -> Iterator[Typed | Whole | Changes]:
    """Yield what is typed, in order.

    Raises:
        ValueError: a block is none that can be typed.
    """
    for language, path, body in BLOCK.findall(text):
        match language, path:
            case "sh", "":
                yield from map(Typed, body.splitlines())
            case "python", str():
                yield Whole(path, body)
            case "diff", str():
                yield Changes(path, tuple(body.split("@@\n")))
            case _:
                raise ValueError(f"nobody can type a block of {language} {path}")
