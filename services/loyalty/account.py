"""A customer's points. What was bought before we heard of the customer waits, and is not lost."""

from __future__ import annotations

from uuid import UUID

from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id


class Account(Aggregate):
    """The points of one customer: `balance` is awarded, `waiting` is for their enrolment."""

    TOPIC = "loyalty.Account"

    class Opened(FirstEvent):
        """We heard of the customer for the first time, from whomever."""

        TOPIC = "loyalty.Account.Opened"
        customer_id: str

    class Enrolled(DomainEvent):
        """The customer is registered: points are awarded from now on."""

        TOPIC = "loyalty.Account.Enrolled"

    class PutAside(DomainEvent):
        """Points for somebody who is not registered, as far as we know."""

        TOPIC = "loyalty.Account.PutAside"
        points: int

    class Awarded(DomainEvent):
        """The customer has so many points more."""

        TOPIC = "loyalty.Account.Awarded"
        points: int

    @staticmethod
    def stream(customer_id: str) -> str:
        return f"account/{customer_id}"

    @staticmethod
    def create_id(customer_id: str) -> UUID:
        return stream_id(Account.stream(customer_id))

    @event(Opened)
    def __init__(self, *, customer_id: str) -> None:
        self.customer_id = customer_id
        self.is_enrolled = False
        self.balance = 0
        self.waiting = 0

    @event(Enrolled)
    def enrol(self) -> None:
        self.is_enrolled = True

    @event(PutAside)
    def put_aside(self, *, points: int) -> None:
        self.waiting += points

    @event(Awarded)
    def award(self, *, points: int) -> None:
        self.balance += points
        self.waiting = 0
