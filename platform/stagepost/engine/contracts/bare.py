"""A JSON Schema without its words: what is left decides which bodies fit it, and what they mean.

References are followed, so that two schemas are compared by what they say and not by what their
parts are called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from stagepost.engine.contracts.schema import ANSWERS, KEY, KIND, UNIT, JsonSchema

Bare: TypeAlias = dict[str, Any]

_WORDS = frozenset({"title", "description", "examples", "deprecated", "discriminator"})
_MEANT = frozenset({ANSWERS, KEY, KIND, UNIT})
_ALIKE = {"const": "enum", "oneOf": "anyOf"}


def bare(schema: JsonSchema) -> Bare:
    """Return what a schema says, in one form, however it is written.

    Where a part has itself in it, that says how many parts further out it begins.
    """
    return _node(schema, schema, ())


def _node(node: Mapping[str, Any], root: JsonSchema, within: tuple[str, ...]) -> Bare:
    said = {
        _ALIKE.get(name, name): _said(name, value, root, within)
        for name, value in node.items()
        if not _is_word(name)
    }
    return _target(str(node["$ref"]), root, within) | said if "$ref" in node else said


def _is_word(name: str) -> bool:
    return name in _WORDS or (name.startswith(("$", "x-")) and name not in _MEANT)


def _target(ref: str, root: JsonSchema, within: tuple[str, ...]) -> Bare:
    if ref in within:
        return {"begins": len(within) - within.index(ref)}
    parts: Any = root["$defs"]
    return _node(parts[ref.rpartition("/")[2]], root, (*within, ref))


def _said(name: str, value: Any, root: JsonSchema, within: tuple[str, ...]) -> Any:
    match name, value:
        case "const", _:
            return [value]
        case (("enum" | "required"), _):
            return sorted(value, key=text_of)
        case (("properties" | "patternProperties"), _):
            return {part: _node(node, root, within) for part, node in value.items()}
        case "prefixItems", _:
            return [_node(node, root, within) for node in value]
        case (("anyOf" | "oneOf" | "allOf"), _):
            return sorted((_node(node, root, within) for node in value), key=text_of)
        case (("items" | "additionalProperties" | "propertyNames"), dict()):
            return _node(value, root, within)
    return value


def text_of(value: object) -> str:
    """Write a value as JSON; equal ones are written alike."""
    return json.dumps(value, sort_keys=True)
