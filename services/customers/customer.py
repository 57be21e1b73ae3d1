"""The customer: who they are. What stands here is told to nobody but who asks for it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id

PersonName = Annotated[
    str,
    # No control characters, no separators of lines: it stands in a letter's first line.
    StringConstraints(
        min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
    ),
    Field(examples=["Ada Lovelace"], description="How the customer is addressed."),
]

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# No question mark: a local part such as =?utf-8?q?=0A?= is read as an encoded word, and the letter
# would name another address than its envelope, or could not be written at all.
_EMAIL = rf"^[A-Za-z0-9!#$%&'*+/=^_`{{|}}~.-]{{1,64}}@{_LABEL}(\.{_LABEL})+$"

Email = Annotated[
    str,
    StringConstraints(max_length=200, pattern=_EMAIL),
    Field(examples=["ada@example.org"], description="An e-mail address; one customer has it."),
]


def normalised(email: str) -> str:
    """Return under which name an address is one customer's: upper case makes no other address."""
    return email.lower()


class Customer(Aggregate):
    """Who a customer is."""

    TOPIC = "customers.Customer"

    class Registered(FirstEvent):
        """Somebody became a customer."""

        TOPIC = "customers.Customer.Registered"
        customer_id: str
        name: str
        email: str

    class Changed(DomainEvent):
        """The customer has another name, or another address."""

        TOPIC = "customers.Customer.Changed"
        name: str
        email: str

    @staticmethod
    def stream(customer_id: str) -> str:
        return f"customer/{customer_id}"

    @staticmethod
    def create_id(customer_id: str) -> UUID:
        return stream_id(Customer.stream(customer_id))

    @event(Registered)
    def __init__(self, *, customer_id: str, name: str, email: str) -> None:
        self.customer_id = customer_id
        self.name = name
        self.email = email
        self.registered_as = name, email

    @event(Changed)
    def change(self, *, name: str, email: str) -> None:
        self.name = name
        self.email = email
