"""Writes a decision into `stagepost.toml`: all else in it stays as it is, its comments too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.items import InlineTable, Table

from stagepost.engine.link_file import FILE, Decided, read_links


def write_decision(name: str, decided: Decided, transport: str | None) -> None:
    """Write down what was decided of a link; `transport` where another shall carry it.

    Raises:
        BadSettings: what stands in the file cannot be read.
    """
    read_links()
    content = tomlkit.parse(FILE.read_text() if FILE.exists() else "")
    links: Any = content.setdefault("links", tomlkit.table(is_super_table=True))
    known = next((key for key in links if "".join(key.split()) == name), None)
    said: Any = links[known] if known is not None else None
    fields = {"transport": transport} if transport else {}
    record = decided.model_dump(exclude_none=True)
    if isinstance(said, str):
        links[known] = _inline({"transport": str(said), **fields, "decided": _inline(record)})
    elif said is not None and "decided" in said:
        said.update(fields)
        said["decided"].clear()
        said["decided"].update(record)
    elif said is not None:
        said.update({**fields, "decided": _inline(record)})
    elif isinstance(links, InlineTable):
        links[name] = _inline({**fields, "decided": _inline(record)})
    else:
        links[name] = _table({**fields, "decided": _table(record)})
    _replace(tomlkit.dumps(content))


def _replace(text: str) -> None:
    """Write the file whole or not at all: what people said stands nowhere else."""
    file = FILE.resolve()  # it may be a link to another
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        with unfinished.open("w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if file.exists():
            shutil.copymode(file, unfinished)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _table(values: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for name, value in values.items():
        table[name] = value
    return table


def _inline(values: Mapping[str, Any]) -> InlineTable:
    table = tomlkit.inline_table()
    table.update(values)
    return table
