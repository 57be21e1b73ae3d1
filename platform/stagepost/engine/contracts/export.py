"""Writes the contracts down for other tools: a folder of files, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from stagepost.engine.contracts.asyncapi import describe
from stagepost.engine.contracts.schema import JsonSchema, schema_of
from stagepost.engine.discovery import find_messages
from stagepost.engine.flow import Flow
from stagepost.errors import BadSettings


def asyncapi_files(flow: Flow) -> dict[str, JsonSchema]:
    """Return the AsyncAPI document of every service, by the path of its file.

    Raises:
        BadSettings: contracts or services do not import, or a message has no example.
    """
    services = flow.services.values()
    return {f"asyncapi/{service.name}.json": describe(service, flow) for service in services}


def jsonschema_files() -> dict[str, JsonSchema]:
    """Return the JSON Schema of every message, by the path of its file.

    Raises:
        BadSettings: contracts do not import.
    """
    messages = sorted(find_messages(), key=lambda message: message.TYPE)
    return {f"jsonschema/{m.TYPE}.v{m.VERSION}.json": schema_of(m) for m in messages}


def write_files(folder: Path, files: Mapping[str, JsonSchema]) -> None:
    """Write files into a folder that is new or empty. They appear in it once all are written.

    Raises:
        BadSettings: it is not empty, or cannot be written to.
    """
    try:
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise BadSettings(f"{folder} is not empty: name a folder that is, or a new one")
        with TemporaryDirectory(dir=folder, prefix=".") as unfinished:
            for path, content in files.items():
                file = Path(unfinished, path)
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(orjson.dumps(content, option=_READABLE))
            for part in Path(unfinished).iterdir():
                part.rename(folder / part.name)
    except OSError as error:
        raise BadSettings(f"cannot write into {folder}: {error.strerror}") from error


_READABLE = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
