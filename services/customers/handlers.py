"""What customers does about each request. What is refused says why, and nothing personal."""

from __future__ import annotations

from collections.abc import Mapping

from contracts import customers
from services.customers.claim import Claim
from services.customers.customer import Customer, normalised
from services.customers.requests import ChangeCustomer, Kept, RegisterCustomer, Registered
from stagepost.errors import Changed, Conflict, NotFound
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Message


def register_customer(request: RegisterCustomer, load: Load) -> Decision:
    """Know the customer from now on; the same customer once more is the same customer."""
    email = normalised(request.email)
    customer = load.one(Customer, Customer.stream(request.customer_id))
    claim = load.one(Claim, Claim.stream(email))
    if customer is not None:
        return _registered_before(customer, request)
    customer = Customer(customer_id=request.customer_id, name=request.name, email=request.email)
    registered = customers.CustomerRegistered(customer_id=customer.customer_id)
    return Decision(
        (customer, _claimed(claim, email, customer.customer_id)),
        (registered,),
        Registered(customer_id=customer.customer_id),
    )


def change_customer(request: ChangeCustomer, load: Load) -> Decision:
    """Change what the request has, unless the customer is no longer as whoever asks has seen it."""
    customer = load.one(Customer, Customer.stream(request.customer_id))
    if customer is None:
        raise NotFound(f"there is no customer {request.customer_id!r}")
    if request.seen is not None and customer.version not in request.seen:
        raise Changed(f"customer {customer.customer_id!r} has changed: read it again, decide anew")
    name = request.name or customer.name
    email = request.email or customer.email
    claims = _moved(customer, normalised(email), load)
    if (name, email) == (customer.name, customer.email):
        return Decision(answer=Kept(version=customer.version))
    customer.change(name=name, email=email)
    return Decision((customer, *claims), answer=Kept(version=customer.version))


def _registered_before(customer: Customer, request: RegisterCustomer) -> Decision:
    if customer.registered_as != (request.name, request.email):
        raise Conflict(
            f"there is a customer {customer.customer_id!r} already, with other content: "
            "choose another customer_id, or leave it out",
            pointer="/customer_id",
        )
    return Decision(answer=Registered(customer_id=customer.customer_id))


def _moved(customer: Customer, email: str, load: Load) -> tuple[Claim, ...]:
    """Give up a customer's claim and make one to another address, where it is another."""
    before = normalised(customer.email)
    if email == before:
        return ()
    old, new = load.many(Claim, (Claim.stream(before), Claim.stream(email)))
    assert old is not None
    claimed = _claimed(new, email, customer.customer_id)
    old.give_up()
    return old, claimed


def _claimed(claim: Claim | None, email: str, customer_id: str) -> Claim:
    """Claim an address for a customer.

    Raises:
        Conflict: it is somebody else's.
    """
    if claim is None:
        return Claim(email=email, customer_id=customer_id)
    if claim.customer_id is not None:
        raise Conflict("another customer has this e-mail address", pointer="/email")
    claim.make_again(customer_id=customer_id)
    return claim


HANDLERS: Mapping[type[Message], Handler] = {
    RegisterCustomer: register_customer,
    ChangeCustomer: change_customer,
}
