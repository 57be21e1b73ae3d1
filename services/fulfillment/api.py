"""The HTTP API of fulfillment: where every order stands, and what an operator can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, TypedDict

from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter, SkipValidation
from pydantic import BaseModel, ConfigDict, Field

from contracts.values import CustomerId, OrderId
from services.fulfillment.process import Cancel, Retry, order_fulfillment
from stagepost.engine.database import Queries
from stagepost.engine.desk import Desk
from stagepost.engine.store import JournalEntry
from stagepost.engine.web import Limit, Page, Position, page_of, problems
from stagepost.engine.web.problems import AnyRequest
from stagepost.errors import Conflict, NotFound
from stagepost.explore import examples_of, remaining, waits_for, walk
from stagepost.process import Instance, State

EXAMPLES = examples_of(order_fulfillment)
JOURNAL_PAGE = 500

_NAMES = "|".join(state.__name__ for state in order_fulfillment.states)
StateName = Annotated[
    str,
    Field(pattern=f"^({_NAMES})$", examples=["Shipping"], description="Where the order can stand."),
]


class ProcessSummary(BaseModel):
    """Where an order stands."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    order_id: OrderId
    customer_id: CustomerId
    state: StateName
    reason: str | None = Field(description="Why the order is being undone, or was rejected.")
    position: int
    started_at: datetime
    due_at: datetime
    ended_at: datetime | None
    overdue: bool


class WayOn(TypedDict):
    """What a state waits for, and what remains to be heard until the order has ended."""

    waits_for: list[str]
    remaining: list[str]


class ProcessState(BaseModel):
    """Where an order stands, how it came there, and how it can go on."""

    model_config = ConfigDict(frozen=True)

    order_id: OrderId
    state: StateName
    waits_for: list[str] = Field(
        description="The messages of which one comes next.", examples=[["shipping.GoodsShipped"]]
    )
    remaining: list[str] = Field(
        description="The messages that end it soonest, if nobody refuses.",
        examples=[["shipping.GoodsShipped", "ordering.OrderConfirmed"]],
    )
    times: ProcessSummary | None = Field(
        description="As the list has it; null within moments of the start."
    )
    journal: list[JournalEntry] = Field(description="Every message that came in or went out.")


class Asked(BaseModel):
    """The operator's request was carried out; this is where the order stands now."""

    model_config = ConfigDict(frozen=True)

    order_id: OrderId
    state: StateName


@get("/processes")
async def list_processes(
    *,
    request: AnyRequest,
    queries: SkipValidation[Queries],
    in_state: Annotated[StateName | None, QueryParameter(name="state")] = None,
    overdue: FromQuery[bool | None] = None,
    after: Position = 0,
    limit: Limit = 100,
) -> Response[Page[ProcessSummary]]:
    """All processes, those of one state, or overdue ones, in the order in which they started.

    The list follows the processes within moments; one under its own address is never behind.
    """
    found = await queries.fetch("list_processes", after, in_state, overdue, limit)
    rows = [ProcessSummary.model_validate(dict(row)) for row in found]
    return page_of(request, rows, limit, lambda row: row.position)


@get("/processes/{order_id:str}", responses=problems(404))
async def read_process(
    order_id: OrderId, desk: SkipValidation[Desk], queries: SkipValidation[Queries]
) -> ProcessState:
    """Where an order stands, what it waits for, and every message that came in or went out."""
    state = type(await _find(desk, order_id))
    row = await queries.fetchrow("find_process", order_id)
    return ProcessState(
        order_id=order_id,
        state=state.__name__,
        **_way_on(state),
        times=None if row is None else ProcessSummary.model_validate(dict(row)),
        journal=await _journal(desk, order_id),
    )


@post("/processes/{order_id:str}/retry", status_code=202, responses=problems(404, 409))
async def retry_process(order_id: OrderId, desk: SkipValidation[Desk]) -> Asked:
    """Ask everything again that is not answered yet.

    It does no harm: what was done already is answered again, and not done again.
    """
    return await _ask(desk, Retry(order_id=order_id))


@post("/processes/{order_id:str}/cancel", status_code=202, responses=problems(404, 409))
async def cancel_process(order_id: OrderId, desk: SkipValidation[Desk]) -> Asked:
    """Give an order up, as if the customer had cancelled it.

    Without effect once the parcel left, or where the order is being undone already.
    """
    return await _ask(desk, Cancel(order_id=order_id))


async def _ask(desk: Desk, request: Retry | Cancel) -> Asked:
    state = await _find(desk, request.order_id)
    if order_fulfillment.is_done(state):
        raise Conflict(f"order {request.order_id!r} has ended: {type(state).__name__}")
    await desk.request(request)
    state = await _find(desk, request.order_id)
    return Asked(order_id=request.order_id, state=type(state).__name__)


async def _find(desk: Desk, order_id: str) -> State:
    instance = await desk.find(Instance, order_fulfillment.stream(order_id))
    if instance is None:
        raise NotFound(f"there is no process for order {order_id!r}")
    return order_fulfillment.state_of(instance)


@cache
def _way_on(kind: type[State]) -> WayOn:
    """Run the process from such a state, once for all orders: it is the same way for each."""
    state = next(a.source for a in walk(order_fulfillment, EXAMPLES) if type(a.source) is kind)
    return {
        "waits_for": waits_for(order_fulfillment, state, EXAMPLES),
        "remaining": remaining(order_fulfillment, state, EXAMPLES),
    }


async def _journal(desk: Desk, order_id: str) -> list[JournalEntry]:
    entries: list[JournalEntry] = []
    page: Sequence[JournalEntry] = await desk.journal(order_id, 0, JOURNAL_PAGE)
    while page:
        entries += page
        page = await desk.journal(order_id, page[-1].position, JOURNAL_PAGE)
    return entries


ROUTES = (list_processes, read_process, retry_process, cancel_process)
