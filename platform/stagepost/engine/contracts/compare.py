"""Compares what a message was with what it is, for old readers of new messages and the reverse.

Both happen at once while a change is rolled out: whatever allows more than before breaks readers of
before, whatever allows less breaks readers of now. A field more, with a default, does neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from stagepost.engine.contracts.bare import Bare, bare, text_of
from stagepost.engine.contracts.schema import ANSWERS, KEY, KIND, UNIT, JsonSchema


class Rule(StrEnum):
    """What may not be done within a version."""

    REMOVED = "removed field"
    RENAMED = "renamed field"
    REQUIRED = "new required field"
    OPTIONAL = "field no longer required"
    DEFAULT = "changed default"
    NARROWED = "narrowed type"
    WIDENED = "widened type"
    CHANGED = "changed type"
    SHRUNK = "shrunk enum"
    GROWN = "grown enum"
    UNIT = "changed unit"
    KIND = "changed kind"
    KEY = "changed key"
    ANSWERS = "answers another command"


OF_BEFORE = frozenset({Rule.REMOVED, Rule.OPTIONAL, Rule.WIDENED, Rule.GROWN})
"""What breaks readers of before alone: those of now can live with it."""

OF_NOW = frozenset({Rule.REQUIRED, Rule.NARROWED, Rule.SHRUNK})
"""What breaks readers of now alone: those of before can live with it."""

_LEAST = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_MOST = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_INSIDE = {"items": "0", "additionalProperties": "*", "propertyNames": "*"}
_MEANT = frozenset({ANSWERS, KEY, KIND, UNIT})
_LOOKED_AT = _MEANT | {"type", "enum", "properties", "required", "prefixItems"}


@dataclass(frozen=True)
class Change:
    """What breaks somebody: the JSON pointer of the field in the body, by which rule, and how."""

    pointer: str
    rule: Rule
    what: str


def changes(was: JsonSchema, now: JsonSchema) -> list[Change]:
    """Return what cannot be done to a message within its version."""
    old, new = bare(was), bare(now)
    return [
        *_meaning(KIND, Rule.KIND, "", old, new),
        *_meaning(KEY, Rule.KEY, "", old, new),
        *_answered(old, new),
        *_place("", old, new),
    ]


def _answered(was: Bare, now: Bare) -> Iterator[Change]:
    """Compare what answers answer; who was none, or is none now, has changed its kind as well."""
    if ANSWERS in was and ANSWERS in now:
        yield from _meaning(ANSWERS, Rule.ANSWERS, "", was, now)


def _meaning(name: str, rule: Rule, at: str, was: Bare, now: Bare) -> Iterator[Change]:
    if was.get(name) != now.get(name):
        yield Change(at, rule, _shift(name, was, now))


def _shift(name: str, was: Bare, now: Bare) -> str:
    is_, before = (text_of(node[name]) if name in node else "none" for node in (now, was))
    return f"{is_}, was {before}"


def _place(at: str, was: Bare, now: Bare) -> Iterator[Change]:
    """Compare what may stand at one place of the body: one thing, or any of several."""
    old, new = _alternatives(was), _alternatives(now)
    gone = [node for node in old if node not in new]
    come = [node for node in new if node not in old]
    for before in list(gone):
        is_the_only = len(old) == len(new) == 1
        after = next((node for node in come if is_the_only or _mark(node) == _mark(before)), None)
        if after is not None:
            gone.remove(before)
            come.remove(after)
            yield from _one(at, before, after)
    yield from (Change(at, Rule.NARROWED, f"{_name(node)} may not stand here now") for node in gone)
    yield from (Change(at, Rule.WIDENED, f"{_name(node)} may stand here now") for node in come)


def _alternatives(node: Bare) -> list[Bare]:
    beside = {name: value for name, value in node.items() if name not in {"anyOf", "default"}}
    if "anyOf" not in node:
        return [beside]
    each = (other for one in node["anyOf"] for other in _alternatives(one))
    return [one if one == {"type": "null"} else {**beside, **one} for one in each]


def _mark(node: Bare) -> tuple[str, ...]:
    """Return what tells things apart of which any may stand at a place: type, discriminator."""
    fields: dict[str, Bare] = node.get("properties", {})
    fixed = {
        name: field["enum"] for name, field in fields.items() if len(field.get("enum", ())) == 1
    }
    return (node.get("type", "anything"), *(f"{k} {text_of(v[0])}" for k, v in fixed.items()))


def _name(node: Bare) -> str:
    kind, *fixed = _mark(node)
    return f"{kind} with {', '.join(fixed)}" if fixed else kind


def _one(at: str, was: Bare, now: Bare) -> Iterator[Change]:
    """Compare one thing with what has become of it."""
    yield from _meaning(UNIT, Rule.UNIT, at, was, now)
    if was.get("type") != now.get("type"):
        yield _retyped(at, was, now)
        return
    yield from _enum(at, was, now)
    yield from _fields(at, was, now)
    for number, (old, new) in enumerate(
        zip(was.get("prefixItems", ()), now.get("prefixItems", ()), strict=False)
    ):
        yield from _place(f"{at}/{number}", old, new)
    for name in was | now:
        if name not in _LOOKED_AT:
            yield from _limit(at, name, was, now)


def _retyped(at: str, was: Bare, now: Bare) -> Change:
    what = _shift("type", was, now)
    match was.get("type"), now.get("type"):
        case ("integer", "number") | (_, None):
            return Change(at, Rule.WIDENED, what)
        case ("number", "integer") | (None, _):
            return Change(at, Rule.NARROWED, what)
    return Change(at, Rule.CHANGED, what)


def _enum(at: str, was: Bare, now: Bare) -> Iterator[Change]:
    if "enum" not in was or "enum" not in now:
        yield from _limit(at, "enum", was, now)
        return
    old, new = ({text_of(value) for value in node["enum"]} for node in (was, now))
    if old - new:
        yield Change(at, Rule.SHRUNK, f"without {', '.join(sorted(old - new))}")
    if new - old:
        yield Change(at, Rule.GROWN, f"with {', '.join(sorted(new - old))}")


def _fields(at: str, was: Bare, now: Bare) -> Iterator[Change]:
    old: dict[str, Bare] = was.get("properties", {})
    new: dict[str, Bare] = now.get("properties", {})
    added = [name for name in new if name not in old]
    for name, field in old.items():
        here = f"{at}/{name}"
        if name in new:
            yield from _required(here, name, was, now)
            yield from _place(here, field, new[name])
            continue
        same = next((one for one in added if new[one] == field), None)
        if same is None:
            yield Change(here, Rule.REMOVED, "gone")
        else:
            added.remove(same)
            yield Change(here, Rule.RENAMED, f"{same} now")
    for name in added:
        if name in now.get("required", ()):
            yield Change(f"{at}/{name}", Rule.REQUIRED, "new, and without a default")


def _required(at: str, name: str, was: Bare, now: Bare) -> Iterator[Change]:
    was_needed, is_needed = (name in node.get("required", ()) for node in (was, now))
    if is_needed and not was_needed:
        yield Change(at, Rule.REQUIRED, "without its default")
    elif was_needed and not is_needed:
        yield Change(at, Rule.OPTIONAL, "it may be left out")
    else:
        old, new = was["properties"][name], now["properties"][name]
        yield from _meaning("default", Rule.DEFAULT, at, old, new)


def _limit(at: str, name: str, was: Bare, now: Bare) -> Iterator[Change]:
    """Compare what a keyword of JSON Schema demands; what none of the rules knows is a change."""
    old, new = was.get(name), now.get(name)
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict) and name in _INSIDE:
        yield from _place(f"{at}/{_INSIDE[name]}", old, new)
        return
    what = f"{name} {_shift(name, was, now)}"
    if old is None or new is None:
        yield Change(at, Rule.NARROWED if old is None else Rule.WIDENED, what)
    elif name in _LEAST | _MOST:
        is_less = (new > old) == (name in _LEAST)
        yield Change(at, Rule.NARROWED if is_less else Rule.WIDENED, what)
    else:
        yield Change(at, Rule.CHANGED, what)
