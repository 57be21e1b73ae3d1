"""The HTTP API of inventory."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, JSONBody, SkipValidation
from pydantic import BaseModel, ConfigDict, Field

from contracts.values import MAX_AMOUNT, Sku
from services.inventory.requests import Declaration, DeclareSku, ReceiveStock, StockLevel
from services.inventory.stock import StockItem
from stagepost.engine.database import Queries
from stagepost.engine.desk import Desk
from stagepost.engine.web import Limit, Page, page_of, problems
from stagepost.engine.web.access import STAFF
from stagepost.engine.web.once import IdempotencyKey, answer_as, fingerprint, key_of
from stagepost.engine.web.problems import AnyRequest
from stagepost.errors import NotFound
from stagepost.messages import Text


class Receipt(BaseModel):
    """Units that came in, or a count that is corrected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: Annotated[int, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT)] = Field(
        description="Units to add; negative where there are fewer than was thought.", examples=[100]
    )
    note: Text | None = Field(default=None, examples=["delivery of 4 July"])


@get("/stock", opt=STAFF)
async def list_stock(
    request: AnyRequest,
    queries: SkipValidation[Queries],
    after: FromQuery[Sku | None] = None,
    limit: Limit = 100,
) -> Response[Page[StockLevel]]:
    """All SKUs by name, with where their units are.

    The list follows what happens within moments; one SKU under its own address is never behind.
    """
    found = await queries.fetch("list_stock", after, limit)
    levels = [StockLevel.model_validate(dict(row)) for row in found]
    return page_of(request, levels, limit, lambda level: level.sku)


@get("/stock/{sku:str}", opt=STAFF, responses=problems(404))
async def read_stock(sku: Sku, desk: SkipValidation[Desk]) -> StockLevel:
    """Where the units of one SKU are."""
    item = await desk.find(StockItem, StockItem.stream(sku))
    if item is None:
        raise NotFound(f"there is no SKU {sku!r}")
    return StockLevel.model_validate(item)


@put(
    "/stock/{sku:str}",
    opt=STAFF,
    responses={
        201: ResponseSpec(StockLevel, description="The SKU is new.", generate_examples=False)
    },
)
async def declare_sku(sku: Sku, desk: SkipValidation[Desk]) -> Response[StockLevel]:
    """Declare a SKU: it can be received and ordered from now on.

    It says nothing about quantities; a SKU that is declared already stays as it is.
    """
    declared = answer_as(Declaration, await desk.request(DeclareSku(sku=sku)))
    return Response(declared.stock, status_code=201 if declared.is_new else 200)


@post("/stock/{sku:str}/receipts", opt=STAFF, status_code=200, responses=problems(404, 422))
async def receive_stock(
    request: AnyRequest,
    sku: Sku,
    data: JSONBody[Receipt],
    desk: SkipValidation[Desk],
    idempotency_key: IdempotencyKey = None,
) -> StockLevel:
    """Put units of a SKU on the shelf, or correct the count of what is on hand."""
    receipt = ReceiveStock(sku=sku, quantity=data.quantity, note=data.note)
    key = key_of(request, idempotency_key)
    answer = await desk.request(receipt, key, fingerprint(request, data))
    return answer_as(StockLevel, answer)


ROUTES = (list_stock, read_stock, declare_sku, receive_stock)
