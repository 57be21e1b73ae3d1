"""Which senders from outside are declared: in `stagepost.toml`, or the environment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from stagepost.engine.discovery import find_services
from stagepost.engine.external import OPERATOR, Senders, commands_of
from stagepost.engine.link_file import FILE, read_file
from stagepost.engine.replay.given import unknown
from stagepost.engine.styles import STYLES
from stagepost.engine.transports.nats_rules import ADMIN
from stagepost.errors import BadSettings

VARIABLE = "STAGEPOST_EXTERNAL"
TABLE = f"[external] in {FILE}"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


def read_senders() -> Senders:
    """Return the senders that are declared: in the environment, else in stagepost.toml.

    Raises:
        BadSettings: names what is wrong with them.
    """
    if (text := os.environ.get(VARIABLE)) is None:
        return _checked(TABLE, read_file().get("external", {}))
    try:
        return _checked(VARIABLE, json.loads(text))
    except ValueError as error:
        raise BadSettings(f"{VARIABLE} is no JSON: {error}") from None


def _checked(where: str, declared: Any) -> Senders:
    if not isinstance(declared, Mapping):
        raise BadSettings(f"{where} must name senders, each with a list of commands")
    services = [service for style in STYLES for service in find_services(style).values()]
    known = sorted({command.TYPE for service in services for command in commands_of(service)})
    taken = {OPERATOR, ADMIN, *(service.name for service in services)}
    for name, commands in declared.items():
        _check_name(where, name, taken)
        if not (isinstance(commands, list) and commands):
            raise BadSettings(
                f'{where}: {name!r} must list commands, such as ["payments.RetrievePayment"]'
            )
        for command in commands:
            if command not in known:
                raise BadSettings(f"{where}: {name}: {unknown('command', str(command), known)}")
    return {name: tuple(commands) for name, commands in declared.items()}


def _check_name(where: str, name: str, taken: set[str]) -> None:
    if name in taken:
        raise BadSettings(f"{where}: a sender cannot be called {name!r}: there is one already")
    if not _NAME.fullmatch(name):
        raise BadSettings(
            f"{where}: a sender cannot be called {name!r}: lower-case letters, digits and dashes,"
            " 32 at most, such as web-shop"
        )
