"""Lists in `pyproject.toml` that name every service, or all who own words."""

from __future__ import annotations

from textwrap import fill

from stagepost.engine.scaffold.written import PYPROJECT
from stagepost.errors import BadSettings

WIDTH = 100


def with_words_of(owner: str, text: str) -> str:
    """Return the file with one more whose words are spoken with their owner."""
    return _with(text, ("banned-from = [\n",), f"contracts.{owner}")


def with_service(name: str, text: str) -> str:
    """Return the file with one more service that must not know the engine."""
    return _with(text, ('id = "thinking"', "source_modules = [\n"), f"services.{name}")


def _with(text: str, marks: tuple[str, ...], item: str) -> str:
    """Return a text with one item more in the list that begins after these marks.

    Raises:
        BadSettings: there is no such list.
    """
    at = 0
    for mark in marks:
        found = text.find(mark, at)
        if found < 0:
            raise BadSettings(f"{PYPROJECT} has no {mark.strip()!r}: {item} cannot be added")
        at = found + len(mark)
    end = text.index("]", at)
    items = f'{text[at:end]} "{item}",'
    lines = fill(
        " ".join(items.split()),
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{text[:at]}{lines}\n{text[end:]}"
