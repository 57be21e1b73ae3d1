"""Changes of messages, as fields before and after: which break somebody, and which do not."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from contracts.values import Address, Amount, Reason
from stagepost.engine.contracts.compare import Rule
from tests.contracts.changed import Fields


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Card(BaseModel):
    kind: Literal["card"]
    number: int


class Cash(BaseModel):
    kind: Literal["cash"]
    coins: int


class OpenCard(BaseModel):
    kind: Literal["card"]
    number: int
    digits: int = 16


class SafeCard(BaseModel):
    kind: Literal["card"]
    number: int = Field(le=9999)


class Node(BaseModel):
    value: int
    nodes: tuple[Node, ...] = ()


class Tree(BaseModel):
    """A Node under another name."""

    value: int
    nodes: tuple[Tree, ...] = ()


class SmallTree(BaseModel):
    value: int = Field(le=9)
    nodes: tuple[SmallTree, ...] = ()


class Outer(BaseModel):
    inner: Inner | None = None


class Inner(BaseModel):
    next: Outer | None = None


class Chain(BaseModel):
    inner: Link | None = None


class Link(BaseModel):
    """What comes next is one like it, where an Inner has an Outer in between."""

    next: Link | None = None


def one(of: Any, **said: Any) -> Fields:
    """Have one field more, `it`."""
    return {"it": (of, Field(**{"examples": [1], **said}))}


def unit(name: str) -> Fields:
    return one(int, json_schema_extra={"x-unit": name})


BOTH_KINDS = Annotated[Card | Cash, Field(discriminator="kind")]
EITHER = Annotated[SafeCard | Cash, Field(discriminator="kind")]
MORE = Annotated[OpenCard | Cash, Field(discriminator="kind")]
CARD: Fields = {"examples": [{"kind": "card", "number": 1}]}
LEAF: Fields = {"examples": [{"value": 1}]}
TEXT: Fields = {"examples": ["a"]}
LIST: Fields = {"examples": [[1]]}
DICT: Fields = {"examples": [{"a": 1}]}

BREAKING: dict[str, tuple[Fields, Fields, str, Rule]] = {
    "removed": ({}, {"amount": None}, "/amount", Rule.REMOVED),
    "renamed": ({}, {"amount": None, "sum": (Amount, ...)}, "/amount", Rule.RENAMED),
    "optional one removed": (one(int, default=1), {}, "/it", Rule.REMOVED),
    "optional one renamed": (
        one(int, default=1),
        {"other": (int, Field(default=1))},
        "/it",
        Rule.RENAMED,
    ),
    "new required": ({}, one(int), "/it", Rule.REQUIRED),
    "without its default": (one(int, default=1), one(int), "/it", Rule.REQUIRED),
    "no longer required": (one(int), one(int, default=1), "/it", Rule.OPTIONAL),
    "other default": (one(int, default=1), one(int, default=2), "/it", Rule.DEFAULT),
    "narrowed number": (one(float), one(int), "/it", Rule.NARROWED),
    "widened number": (one(int), one(float), "/it", Rule.WIDENED),
    "other type": (one(int), one(str, **TEXT), "/it", Rule.CHANGED),
    "from anything": (one(Any), one(int), "/it", Rule.NARROWED),
    "to anything": (one(int), one(Any), "/it", Rule.WIDENED),
    "higher minimum": (one(int, ge=0), one(int, ge=1), "/it", Rule.NARROWED),
    "lower minimum": (one(int, ge=1), one(int, ge=0), "/it", Rule.WIDENED),
    "lower maximum": (one(int, le=9), one(int, le=8), "/it", Rule.NARROWED),
    "higher maximum": (one(int, le=8), one(int, le=9), "/it", Rule.WIDENED),
    "higher bound that is out": (one(int, gt=0), one(int, gt=1), "/it", Rule.NARROWED),
    "lower bound that is out": (one(int, lt=9), one(int, lt=8), "/it", Rule.NARROWED),
    "more names needed": (
        one(dict[str, int], **DICT, min_length=1),
        one(dict[str, int], **DICT, min_length=2),
        "/it",
        Rule.NARROWED,
    ),
    "more names allowed": (
        one(dict[str, int], **DICT, max_length=1),
        one(dict[str, int], **DICT, max_length=2),
        "/it",
        Rule.WIDENED,
    ),
    "new limit": (one(int), one(int, le=8), "/it", Rule.NARROWED),
    "lifted limit": (one(int, le=8), one(int), "/it", Rule.WIDENED),
    "shorter text": (
        one(str, **TEXT, max_length=9),
        one(str, **TEXT, max_length=8),
        "/it",
        Rule.NARROWED,
    ),
    "other pattern": (
        one(str, **TEXT, pattern="a"),
        one(str, **TEXT, pattern="^a$"),
        "/it",
        Rule.CHANGED,
    ),
    "text made a set of words": (
        one(str, **TEXT),
        one(Literal["a", "b"], **TEXT),
        "/it",
        Rule.NARROWED,
    ),
    "shrunk enum": (
        one(Colour, examples=["red"]),
        one(Literal["red"], examples=["red"]),
        "/it",
        Rule.SHRUNK,
    ),
    "grown enum": (
        one(Colour, examples=["red"]),
        one(Literal["red", "blue", "green"], examples=["red"]),
        "/it",
        Rule.GROWN,
    ),
    "other unit": (unit("minor unit"), unit("euro"), "/it", Rule.UNIT),
    "unit taken away": (unit("minor unit"), one(int), "/it", Rule.UNIT),
    "unit of a nullable": (
        one(int | None, json_schema_extra={"x-unit": "gram"}),
        one(int | None, json_schema_extra={"x-unit": "ounce"}),
        "/it",
        Rule.UNIT,
    ),
    "no longer null": (one(int | None), one(int), "/it", Rule.NARROWED),
    "null as well": (one(int), one(int | None), "/it", Rule.WIDENED),
    "limit of a nullable": (
        one(int | None),
        one(Annotated[int, Field(le=9)] | None),
        "/it",
        Rule.NARROWED,
    ),
    "fewer items": (
        one(tuple[int, ...], **LIST, max_length=9),
        one(tuple[int, ...], **LIST, max_length=8),
        "/it",
        Rule.NARROWED,
    ),
    "other items": (one(list[int], **LIST), one(list[float], **LIST), "/it/0", Rule.WIDENED),
    "item of a tuple": (
        one(tuple[int, int], examples=[[1, 1]]),
        one(tuple[int, float], examples=[[1, 1]]),
        "/it/1",
        Rule.WIDENED,
    ),
    "values by name": (
        one(dict[str, float], **DICT),
        one(dict[str, int], **DICT),
        "/it/*",
        Rule.NARROWED,
    ),
    "field of a part": (
        one(Node, **LEAF),
        one(SmallTree, **LEAF),
        "/it/value",
        Rule.NARROWED,
    ),
    "a part in itself begins elsewhere": (
        one(Outer, examples=[{}]),
        one(Chain, examples=[{}]),
        "/it/inner/next",
        Rule.CHANGED,
    ),
    "one kind fewer": (one(BOTH_KINDS, **CARD), one(Card, **CARD), "/it", Rule.NARROWED),
    "one kind more": (one(Card, **CARD), one(BOTH_KINDS, **CARD), "/it", Rule.WIDENED),
    "field of one kind": (
        one(BOTH_KINDS, **CARD),
        one(EITHER, **CARD),
        "/it/number",
        Rule.NARROWED,
    ),
}

HARMLESS: dict[str, tuple[Fields, Fields]] = {
    "nothing": ({}, {}),
    "field with a default": ({}, one(int, default=1)),
    "list with a default": ({}, one(list[int], default_factory=list)),
    "nullable with a default": ({}, one(int | None, default=None)),
    "part with a default": ({}, one(Node, default=Node(value=1))),
    "words": ({}, {"amount": (Amount, Field(description="Euros.", title="T", examples=[7]))}),
    "another order of fields": (
        {"a": (Address, ...), "b": (Reason, ...)},
        {"b": (Reason, ...), "a": (Address, ...)},
    ),
    "another order of an enum": (
        one(Literal["a", "b"], **TEXT),
        one(Literal["b", "a"], **TEXT),
    ),
    "another order of kinds": (one(Card | Cash, **CARD), one(Cash | Card, **CARD)),
    "kinds told apart by a field": (one(Card | Cash, **CARD), one(BOTH_KINDS, **CARD)),
    "part of kinds or null has a field more": (
        one(BOTH_KINDS | None, **CARD),
        one(MORE | None, **CARD),
    ),
    "part under another name": (one(Node, **LEAF), one(Tree, **LEAF)),
    "part of a tuple under another name": (
        one(tuple[Node, int], examples=[[{"value": 1}, 1]]),
        one(tuple[Tree, int], examples=[[{"value": 1}, 1]]),
    ),
    "word as an enum of one": (
        one(Literal["red", "blue"], examples=["red"]),
        one(Colour, examples=["red"]),
    ),
}
