"""The HTTP API of ordering."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, JSONBody, SkipValidation

from contracts.values import OrderId
from services.ordering.bodies import NewOrder, OrderState
from services.ordering.order import Order, Status
from services.ordering.requests import CancellationAccepted, OrderAccepted, RequestCancellation
from services.ordering.views import OrderRow
from stagepost.engine.database import Queries
from stagepost.engine.desk import Desk
from stagepost.engine.web import Limit, Page, Position, page_of, problems
from stagepost.engine.web.access import CUSTOMERS, act_for, may_see, own_id
from stagepost.engine.web.etags import IfNoneMatch, etag_of, is_among
from stagepost.engine.web.once import IdempotencyKey, answer_as, fingerprint, key_of
from stagepost.engine.web.problems import AnyRequest
from stagepost.errors import NotFound

LOCATION = ResponseHeader(
    name="Location", description="Where the order is.", documentation_only=True
)
ETAG = ResponseHeader(
    name="ETag", description="Changes whenever the order does.", documentation_only=True
)


@post(
    "/orders",
    opt=CUSTOMERS,
    status_code=202,
    response_headers=[LOCATION],
    responses=problems(409, 422),
)
async def place_order(
    request: AnyRequest,
    data: JSONBody[NewOrder],
    desk: SkipValidation[Desk],
    idempotency_key: IdempotencyKey = None,
) -> Response[OrderAccepted]:
    """Place an order.

    It is accepted at once and fulfilled afterwards: its address tells how it goes. The same order
    under the same id is accepted again and placed once.
    """
    act_for(request, data.customer_id)
    order = data.as_request(desk.new_id())
    key = key_of(request, idempotency_key)
    answer = await desk.request(order, key, fingerprint(request, data))
    accepted = answer_as(OrderAccepted, answer)
    return Response(accepted, headers={"Location": f"/orders/{accepted.order_id}"})


@get(
    "/orders/{order_id:str}",
    opt=CUSTOMERS,
    response_headers=[ETAG],
    responses={304: ResponseSpec(None, description="The order is as it was.")} | problems(404),
)
async def read_order(
    request: AnyRequest,
    order_id: OrderId,
    desk: SkipValidation[Desk],
    if_none_match: IfNoneMatch = None,
) -> Response[OrderState]:
    """How an order stands."""
    order = await _find(request, desk, order_id)
    etag = etag_of(order.version)
    if is_among(etag, if_none_match):
        return Response(None, status_code=304, headers={"ETag": etag})  # type: ignore[arg-type]
    return Response(OrderState.model_validate(order), headers={"ETag": etag})


@get("/orders", opt=CUSTOMERS)
async def list_orders(
    request: AnyRequest,
    queries: SkipValidation[Queries],
    status: FromQuery[Status | None] = None,
    after: Position = 0,
    limit: Limit = 100,
) -> Response[Page[OrderRow]]:
    """Orders in the order in which they were placed, all of them or those of one status.

    Customers see their own. The list follows the orders within moments; one order under its own
    address is never behind.
    """
    if (customer_id := own_id(request)) is None:
        found = await queries.fetch("list_orders", after, status, limit)
    else:
        found = await queries.fetch("list_own_orders", after, status, limit, customer_id)
    rows = [OrderRow.model_validate(dict(row)) for row in found]
    return page_of(request, rows, limit, lambda row: row.position)


@post(
    "/orders/{order_id:str}/cancellation",
    opt=CUSTOMERS,
    status_code=202,
    responses=problems(404, 409),
)
async def cancel_order(
    request: AnyRequest, order_id: OrderId, desk: SkipValidation[Desk]
) -> CancellationAccepted:
    """Ask for an order to be cancelled.

    It is rejected unless the parcel has left; the order's `cancellation` tells.
    """
    if own_id(request) is not None:
        await _find(request, desk, order_id)
    answer = await desk.request(RequestCancellation(order_id=order_id))
    return answer_as(CancellationAccepted, answer)


async def _find(request: AnyRequest, desk: Desk, order_id: str) -> Order:
    order = await desk.find(Order, Order.stream(order_id))
    if order is None or not may_see(request, order.customer_id):
        raise NotFound(f"there is no order {order_id!r}")
    return order


ROUTES = (place_order, read_order, list_orders, cancel_order)
