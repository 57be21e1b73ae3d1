"""The AsyncAPI documents of all services, in every style and over every transport."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stagepost.engine.contracts.asyncapi import describe
from stagepost.engine.flow import Flow
from stagepost.engine.styles import STYLES
from stagepost.engine.transport_names import TRANSPORTS

FLOWS = {
    f"{style} over {how}": Flow(style, {"default": how}) for style in STYLES for how in TRANSPORTS
}
in_every_flow = pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)


def documents(flow: Flow) -> dict[str, dict[str, Any]]:
    """Return the documents of a flow's services, by their names."""
    return {name: describe(service, flow) for name, service in flow.services.items()}


def found_at(document: Any, ref: str) -> Any:
    """Return what a reference leads to."""
    for step in ref.removeprefix("#/").split("/"):
        document = document[step]
    return document


def refs_in(part: Any) -> Iterator[str]:
    """Find every reference in a part of a document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from refs_in(each)
