"""Entity tags: what a client has already is not sent again."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from litestar.params import HeaderParameter

IfNoneMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-None-Match")]


def is_among(etag: str, header: str | None) -> bool:
    """Tell whether If-None-Match names this tag (RFC 9110: compared weakly)."""
    tags = [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]
    return etag in tags or tags == ["*"]
