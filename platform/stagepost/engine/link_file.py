"""`stagepost.toml`: what people say of links: the transport, what is accepted, what was decided.

Who may send from outside stands there too: see `external_file.py`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stagepost.engine.links import DEFAULT
from stagepost.errors import BadSettings

FILE = Path("stagepost.toml")
TABLES = ("links", "external")

LinkKind = Literal["command", "event", "answer"]


class Decided(BaseModel):
    """What was decided of a link, and why; an answer comes back the way its command went."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: LinkKind
    outcome: str = Field(description="Who answers for what comes of it.")
    transport: str | None = None
    because: str = Field(min_length=1)
    on: date


class Record(BaseModel):
    """What is said of one link; `accepted` says why what is found at it may stay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transport: str | None = None
    accepted: str | None = Field(default=None, min_length=1)
    decided: Decided | None = None


def read_file() -> dict[str, Any]:
    """Return the tables of the file, none where there is no file.

    Raises:
        BadSettings: it cannot be read.
    """
    if not FILE.exists():
        return {}
    try:
        content = tomllib.loads(FILE.read_text())
    except ValueError as error:
        raise BadSettings(f"{FILE} is no TOML: {error}") from None
    if strangers := content.keys() - TABLES:
        there = " and ".join(f"[{table}]" for table in TABLES)
        raise BadSettings(f"{FILE} has a table {min(strangers)!r}: there are only {there}")
    return content


def read_links() -> dict[str, Record]:
    """Return what the file says of links: by `sender->reader` without blanks, and by `default`.

    Raises:
        BadSettings: it cannot be read.
    """
    links = read_file().get("links", {})
    if not isinstance(links, dict):
        raise BadSettings(f"[links] in {FILE} must be a table of links")
    found: dict[str, Record] = {}
    for name, said in links.items():
        link = "".join(name.split())
        if link in found:
            raise BadSettings(f"[links] in {FILE}: there are two of {link!r}: write it once")
        found[link] = _record(name, said)
    return found


def _record(name: str, said: Any) -> Record:
    if isinstance(said, str):
        return Record(transport=said)
    if name == DEFAULT or not isinstance(said, Mapping):
        raise BadSettings(f"[links] in {FILE}: {name!r} must name a transport, such as 'http'")
    try:
        return Record.model_validate(said)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(map(str, fault["loc"]))
        raise BadSettings(f"[links] in {FILE}: {at} of {name!r}: {fault['msg']}") from None
