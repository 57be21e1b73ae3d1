"""What travels in the bodies of customers' HTTP API."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from contracts.values import CustomerId
from services.customers.customer import Email, PersonName
from services.customers.requests import ChangeCustomer, RegisterCustomer


class NewCustomer(BaseModel):
    """Who wants to be a customer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    customer_id: CustomerId | None = Field(
        default=None,
        description="The client's own id; one that sorts by time is made where none is given.",
    )
    name: PersonName
    email: Email

    def as_request(self, new_id: str) -> RegisterCustomer:
        """Make the request of it; `new_id` is for a customer whose client gives none."""
        return RegisterCustomer(
            customer_id=self.customer_id or new_id, name=self.name, email=self.email
        )


class CustomerChange(BaseModel):
    """What is to be another; what is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: PersonName | None = None
    email: Email | None = None

    def as_request(self, customer_id: str, seen: frozenset[int] | None) -> ChangeCustomer:
        """Make the request of it; `seen` are the versions of which the customer must be one."""
        return ChangeCustomer(customer_id=customer_id, seen=seen, name=self.name, email=self.email)


class CustomerState(BaseModel):
    """A customer, as they are now."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    customer_id: CustomerId
    name: PersonName
    email: Email


class OnboardingState(BaseModel):
    """How far the welcome letter of a customer has come."""

    model_config = ConfigDict(frozen=True)

    customer_id: CustomerId
    state: str = Field(examples=["Onboarded"])
    tries: int | None = Field(
        description="How often the letter was asked for; null before, and once there is proof."
    )
