"""Findings for people and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

from stagepost.engine.findings import Judged
from stagepost.engine.findings.values import Level

WIDTH = 100


def text_of(judged: Sequence[Judged]) -> str:
    """Write findings down, each with its place and the way out, and how many are open."""
    found = [line for one in judged for line in _lines(one)]
    return "\n".join([*found, "", *_sum(judged)]).lstrip()


def _lines(one: Judged) -> Iterator[str]:
    finding = one.finding
    if finding.level is Level.NOTE:
        yield from wrap(f"note: {finding.what}", WIDTH)
        return
    hint = "hint: " if finding.level is Level.HINT else ""
    yield f"{hint}{one.rule}: {finding.place}"
    yield from _indented(finding.what)
    yield from (f"        {line}" for line in finding.drawing)
    last = f"accepted: {one.accepted}" if one.accepted else f"way out: {finding.way_out}"
    yield from _indented(last)
    yield ""


def _indented(text: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ")


def _sum(judged: Sequence[Judged]) -> Iterator[str]:
    unsaid = Counter(one.finding.level for one in judged if one.accepted is None)
    accepted = sum(one.accepted is not None for one in judged)
    parts = [_count(unsaid[level], level) for level in Level if unsaid[level]]
    yield ", ".join([*parts, *([f"{accepted} accepted"] if accepted else [])]) or "nothing found"
    if unsaid[Level.FINDING]:
        yield 'What shall stay is accepted at a link: "sender->reader" = { accepted = "why" }'


def _count(number: int, level: Level) -> str:
    return f"{number} {level}{'s' * (number != 1)}"


def objects_of(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return findings as JSON has them."""
    return [
        {
            "rule": one.rule,
            "level": one.finding.level.value,
            "place": one.finding.place,
            "what": one.finding.what,
            "way_out": one.finding.way_out,
            "links": sorted(one.finding.links),
            "drawing": list(one.finding.drawing),
            "accepted": one.accepted,
        }
        for one in judged
    ]
