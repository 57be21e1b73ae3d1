"""Entity tags: what a client has already is not sent again, and nobody changes what they missed."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from litestar.params import HeaderParameter

from stagepost.errors import Unseen

IfNoneMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-None-Match")]
IfMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="The ETag of what you have read, or * for whatever it is; needed.",
    ),
]


def etag_of(version: int) -> str:
    """Return the tag of an aggregate at a version."""
    return f'"{version}"'


def is_among(etag: str, header: str | None) -> bool:
    """Tell whether If-None-Match names this tag (RFC 9110: compared weakly)."""
    tags = [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]
    return etag in tags or tags == ["*"]


def versions_of(if_match: str | None) -> frozenset[int] | None:
    """Return which versions If-Match names, None where it takes any (RFC 9110: never a weak tag).

    Raises:
        Unseen: whoever asks does not say what they have seen.
    """
    if if_match is None:
        raise Unseen("the header If-Match is missing: send the ETag of what you have read")
    if if_match.strip() == "*":
        return None
    tags = [re.fullmatch(r'"([0-9]{1,18})"', tag.strip()) for tag in if_match.split(",")]
    return frozenset(int(tag[1]) for tag in tags if tag)
