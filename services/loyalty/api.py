"""The HTTP API of loyalty."""

from __future__ import annotations

from litestar import get
from litestar.params import SkipValidation
from pydantic import BaseModel, ConfigDict, Field

from contracts.values import CustomerId
from services.loyalty.account import Account
from stagepost.engine.desk import Desk
from stagepost.engine.web import problems
from stagepost.engine.web.access import CUSTOMERS, may_see
from stagepost.engine.web.problems import AnyRequest
from stagepost.errors import NotFound


class AccountState(BaseModel):
    """A customer's points."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    customer_id: CustomerId
    balance: int = Field(description="Points that were awarded.", examples=[125])


@get("/accounts/{customer_id:str}", opt=CUSTOMERS, responses=problems(404))
async def read_account(
    request: AnyRequest, customer_id: CustomerId, desk: SkipValidation[Desk]
) -> AccountState:
    """How many points a customer has. Who is not registered has no account."""
    account = await desk.find(Account, Account.stream(customer_id))
    if account is None or not account.is_enrolled or not may_see(request, customer_id):
        raise NotFound(f"there is no account of a customer {customer_id!r}")
    return AccountState.model_validate(account)


ROUTES = (read_account,)
