"""The HTTP API of customers."""

from __future__ import annotations

from litestar import Response, get, patch, post
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, SkipValidation

from contracts.values import CustomerId
from services.customers.bodies import CustomerChange, CustomerState, NewCustomer, OnboardingState
from services.customers.customer import Customer
from services.customers.process import onboarding
from services.customers.requests import Kept, Registered
from services.customers.states import Underway
from stagepost.engine.desk import Desk
from stagepost.engine.web import problems
from stagepost.engine.web.access import CUSTOMERS, act_for, customers_and, may_see, own_id
from stagepost.engine.web.etags import IfMatch, IfNoneMatch, etag_of, is_among, versions_of
from stagepost.engine.web.once import IdempotencyKey, answer_as, fingerprint, key_of
from stagepost.engine.web.problems import AnyRequest
from stagepost.errors import NotFound
from stagepost.process import Instance

LOCATION = ResponseHeader(
    name="Location", description="Where the customer is.", documentation_only=True
)
ETAG = ResponseHeader(
    name="ETag", description="Changes whenever the customer does.", documentation_only=True
)


@post("/customers", opt=CUSTOMERS, response_headers=[LOCATION], responses=problems(409, 422))
async def register_customer(
    request: AnyRequest,
    data: JSONBody[NewCustomer],
    desk: SkipValidation[Desk],
    idempotency_key: IdempotencyKey = None,
) -> Response[Registered]:
    """Become a customer.

    An e-mail address is one customer's, in upper case or lower. The same customer under the same id
    is registered once. The welcome letter follows.
    """
    customer = data.as_request(own_id(request) or desk.new_id())
    act_for(request, customer.customer_id)
    key = key_of(request, idempotency_key)
    answer = await desk.request(customer, key, fingerprint(request, data))
    registered = answer_as(Registered, answer)
    return Response(registered, headers={"Location": f"/customers/{registered.customer_id}"})


@get(
    "/customers/{customer_id:str}",
    opt=customers_and("notifications"),
    response_headers=[ETAG],
    responses={304: ResponseSpec(None, description="The customer is as before.")} | problems(404),
)
async def read_customer(
    request: AnyRequest,
    customer_id: CustomerId,
    desk: SkipValidation[Desk],
    if_none_match: IfNoneMatch = None,
) -> Response[CustomerState]:
    """Who a customer is. Of all services only the one that writes letters may ask."""
    _hide_from_others(request, customer_id)
    customer = await desk.find(Customer, Customer.stream(customer_id))
    if customer is None:
        raise _unknown(customer_id)
    headers = {"ETag": etag_of(customer.version)}
    if is_among(headers["ETag"], if_none_match):
        return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]
    return Response(CustomerState.model_validate(customer), headers=headers)


@patch(
    "/customers/{customer_id:str}",
    opt=CUSTOMERS,
    status_code=200,
    response_headers=[ETAG],
    responses=problems(404, 409, 412, 428),
)
async def change_customer(
    request: AnyRequest,
    customer_id: CustomerId,
    data: JSONBody[CustomerChange],
    desk: SkipValidation[Desk],
    if_match: IfMatch = None,
) -> Response[Kept]:
    """Change a customer's name or e-mail address, as they were when whoever asks read them."""
    _hide_from_others(request, customer_id)
    answer = await desk.request(data.as_request(customer_id, versions_of(if_match)))
    kept = answer_as(Kept, answer)
    return Response(kept, headers={"ETag": etag_of(kept.version)})


@get("/customers/{customer_id:str}/onboarding", opt=CUSTOMERS, responses=problems(404))
async def read_onboarding(
    request: AnyRequest, customer_id: CustomerId, desk: SkipValidation[Desk]
) -> OnboardingState:
    """How far the welcome letter has come; it begins moments after the registration."""
    _hide_from_others(request, customer_id)
    instance = await desk.find(Instance, onboarding.stream(customer_id))
    if instance is None and await desk.find(Customer, Customer.stream(customer_id)) is None:
        raise _unknown(customer_id)
    state = onboarding.state_of(instance)
    tries = state.tries if isinstance(state, Underway) else None
    return OnboardingState(customer_id=customer_id, state=type(state).__name__, tries=tries)


def _hide_from_others(request: AnyRequest, customer_id: str) -> None:
    if not may_see(request, customer_id):
        raise _unknown(customer_id)


def _unknown(customer_id: str) -> NotFound:
    return NotFound(f"there is no customer {customer_id!r}")


ROUTES = (register_customer, read_customer, change_customer, read_onboarding)
