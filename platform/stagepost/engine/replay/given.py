"""What a person gives: names and times. What is wrong is said with what there is."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from difflib import get_close_matches

from stagepost.errors import BadSettings

FEW = 12
"""So many names are told where there are more."""


def one_of(what: str, given: str, known: Collection[str]) -> str:
    """Return the name that was given, such as of a service, where there is one.

    Raises:
        BadSettings: there is none; it says what there is, and what is nearest.
    """
    if given not in known:
        raise unknown(what, given, known)
    return given


def unknown(what: str, given: str, known: Iterable[str]) -> BadSettings:
    """Say that there is no such thing, what there is, and what was perhaps meant."""
    names = list(known)
    near = get_close_matches(given, names, 3)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    there = f"there are: {', '.join(names[:FEW])}{more}" if names else "there is none"
    return BadSettings(f"there is no {what} {given!r}{meant or f'; {there}'}")


def moment(text: str) -> datetime:
    """Read a time in ISO 8601, with a zone.

    Raises:
        BadSettings: it is none, or it has no zone.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadSettings(
            f"{text!r} is no time: write it as 2026-11-20T10:00Z, or with another zone, as +01:00"
        ) from None
    if at.tzinfo is None:
        utc = f"{at:%Y-%m-%dT%H:%M}Z"
        raise BadSettings(f"{text!r} has no zone: write {utc} for UTC, or a zone such as +01:00")
    return at
