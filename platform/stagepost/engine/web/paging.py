"""Lists in pages: the client follows `next`, which says where the page ended, not how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeAlias, TypeVar
from urllib.parse import urlencode

from litestar import Response
from litestar.params import QueryParameter
from pydantic import BaseModel, ConfigDict, Field

from stagepost.engine.web.problems import AnyRequest
from stagepost.messages import MAX_BIGINT

T = TypeVar("T")

Limit: TypeAlias = Annotated[
    int,
    Field(ge=1, le=500, description="How many to return at most, up to 500.", examples=[100]),
    QueryParameter(),
]
Position: TypeAlias = Annotated[
    int,
    Field(ge=0, le=MAX_BIGINT, description="Return what comes after this position.", examples=[0]),
    QueryParameter(),
]


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    model_config = ConfigDict(frozen=True)

    items: Sequence[T]
    next: str | None = Field(
        description="Where the list goes on; null at its end. Also in the header Link.",
        examples=["/journal?after=100&limit=100"],
    )


def page_of(
    request: AnyRequest, items: Sequence[T], limit: int, position: Callable[[T], str | int]
) -> Response[Page[T]]:
    """Answer with a page; a full one says that the list goes on after its last item's position."""
    if len(items) < limit:
        return Response(Page(items=items, next=None))
    query = {**request.query_params, "after": position(items[-1])}
    following = f"{request.url.path}?{urlencode(query)}"
    return Response(
        Page(items=items, next=following), headers={"Link": f'<{following}>; rel="next"'}
    )
