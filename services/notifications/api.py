"""The HTTP API of notifications."""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromQuery, SkipValidation

from contracts.values import CustomerId
from services.notifications.views import NotificationRow
from stagepost.engine.database import Queries
from stagepost.engine.web import Limit, Page, Position, page_of
from stagepost.engine.web.problems import AnyRequest


@get("/notifications")
async def list_notifications(
    request: AnyRequest,
    queries: SkipValidation[Queries],
    customer_id: FromQuery[CustomerId | None] = None,
    after: Position = 0,
    limit: Limit = 100,
) -> Response[Page[NotificationRow]]:
    """Notifications of all customers, or of one, in the order in which they were asked for.

    The list follows within moments.
    """
    found = await queries.fetch("list_notifications", after, customer_id, limit)
    rows = [NotificationRow.model_validate(dict(row)) for row in found]
    return page_of(request, rows, limit, lambda row: row.position)


ROUTES = (list_notifications,)
