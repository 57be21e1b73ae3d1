"""The fields of a message for people, one line each, from its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from stagepost.engine.contracts.schema import UNIT

Part: TypeAlias = Mapping[str, Any]

_REF = "#/$defs/"
_NAMES = {"string": "text", "array": "list"}
_RANGES = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", "length "),
    ("minItems", "maxItems", "length "),
)


class Line(NamedTuple):
    """One field: what stands in it, and what it means; `lines[].sku` is one of a list's items."""

    name: str
    what: str
    about: str


def lines_of(schema: Part) -> Iterator[Line]:
    """Return the fields of a message, and behind each those of what stands in it."""
    return _lines(schema, schema.get("$defs", {}), "", ())


def _lines(part: Part, named: Part, before: str, seen: tuple[str, ...]) -> Iterator[Line]:
    required = part.get("required", ())
    for name, field in part.get("properties", {}).items():
        here = f"{before}{name}"
        yield Line(here, _what(field, named), _about(field, is_required=name in required))
        inner = field.get("items", field)
        if (ref := inner.get("$ref")) is not None and ref not in seen:
            here += "[]." if "items" in field else "."
            yield from _lines(named[ref.removeprefix(_REF)], named, here, (*seen, ref))


def _what(field: Part, named: Part) -> str:
    if "$ref" in field:
        return _what(named[field["$ref"].removeprefix(_REF)], named)
    if "anyOf" in field:
        return " or ".join(_what(each, named) for each in field["anyOf"])
    if values := field.get("enum", [field["const"]] if "const" in field else []):
        return " or ".join(map(json.dumps, values))
    kind: str = field.get("type", "anything")
    return ", ".join([_NAMES.get(kind, kind), *_limits(field)])


def _limits(field: Part) -> Iterator[str]:
    for least, most, of in _RANGES:
        match field.get(least), field.get(most):
            case None, None:
                pass
            case low, None:
                yield f"{of}at least {low:,}"
            case None, high:
                yield f"{of}at most {high:,}"
            case low, high:
                yield f"{of}{low:,} to {high:,}"
    if "format" in field:
        yield field["format"]
    if "pattern" in field:
        yield f"like {field['pattern']}"


def _about(field: Part, *, is_required: bool) -> str:
    said = [field["description"]] if "description" in field else []
    if UNIT in field:
        said.append(f"Unit: {field[UNIT]}.")
    if not is_required:
        said.append(f"If left out: {json.dumps(field.get('default'))}.")
    return " ".join(said)
