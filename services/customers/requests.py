"""What is asked over HTTP, and what is heard at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from contracts.values import CustomerId
from services.customers.customer import Email, PersonName
from stagepost.messages import Request


class RegisterCustomer(Request):
    """Become a customer; the id is the client's own, or was made at the edge."""

    KEY = "customer_id"
    customer_id: CustomerId
    name: PersonName
    email: Email


class ChangeCustomer(Request):
    """Have another name, or another address; what is None stays.

    `seen` are the versions of which the customer must be one, None where it may be any.
    """

    KEY = "customer_id"
    customer_id: CustomerId
    seen: frozenset[int] | None
    name: PersonName | None = None
    email: Email | None = None


class Registered(BaseModel):
    """The customer is known under this id. What is personal is not repeated: answers are kept."""

    model_config = ConfigDict(frozen=True)

    customer_id: CustomerId


class Kept(BaseModel):
    """The customer stands at this version now."""

    model_config = ConfigDict(frozen=True)

    version: int
