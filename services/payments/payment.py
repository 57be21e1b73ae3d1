"""The payment: money taken once for (caller, reference), or given back and never taken again."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id


class Status(StrEnum):
    """Where a payment stands."""

    REQUESTED = "requested"
    RECEIVED = "received"
    DECLINED = "declined"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    BARRED = "barred"


class Payment(Aggregate):
    """What became of the money for one (caller, reference)."""

    TOPIC = "payments.Payment"

    class Requested(FirstEvent):
        """A caller wants this amount; the provider is asked to charge it."""

        TOPIC = "payments.Payment.Requested"
        caller: str
        reference: str
        order_id: str
        amount: int
        currency: str
        payment_token: str

    class Barred(FirstEvent):
        """A refund was asked for before any charge: none will be made."""

        TOPIC = "payments.Payment.Barred"
        caller: str
        reference: str
        order_id: str

        def apply(self, aggregate: Payment) -> None:
            aggregate.status = Status.BARRED

    class Received(DomainEvent):
        """The provider charged the amount: the money is ours."""

        TOPIC = "payments.Payment.Received"
        charge_id: str | None

    class Declined(DomainEvent):
        """The provider will not charge the amount."""

        TOPIC = "payments.Payment.Declined"
        reason: str

    class RefundRequested(DomainEvent):
        """The provider is asked to give back what it charged, and to charge no more."""

        TOPIC = "payments.Payment.RefundRequested"
        class_version = 2
        reason: str

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Say that nobody wrote down why."""
            state["reason"] = "not recorded"

    class Refunded(DomainEvent):
        """The provider gave this back; 0 where the charge had not reached it."""

        TOPIC = "payments.Payment.Refunded"
        amount: int

    @staticmethod
    def stream(caller: str, reference: str) -> str:
        return f"payment/{caller}/{reference}"

    @staticmethod
    def create_id(caller: str, reference: str) -> UUID:
        return stream_id(Payment.stream(caller, reference))

    @event(Requested)
    def __init__(
        self,
        *,
        caller: str,
        reference: str,
        order_id: str,
        amount: int = 0,
        currency: str = "",
        payment_token: str = "",
    ) -> None:
        self.caller = caller
        self.reference = reference
        self.order_id = order_id
        self.amount = amount
        self.currency = currency
        self.payment_token = payment_token
        self.status = Status.REQUESTED
        self.reason = ""
        self.charge_id: str | None = None
        self.refunded = 0

    @classmethod
    def bar(cls, *, caller: str, reference: str, order_id: str) -> Self:
        """Begin with the end: whatever is asked for this reference later, no money is taken."""
        return cls._create(cls.Barred, caller=caller, reference=reference, order_id=order_id)

    @event(Received)
    def receive(self, *, charge_id: str | None) -> None:
        self.status = Status.RECEIVED
        self.charge_id = charge_id

    @event(Declined)
    def decline(self, *, reason: str) -> None:
        self.status = Status.DECLINED
        self.reason = reason

    @event(RefundRequested)
    def request_refund(self, *, reason: str) -> None:  # noqa: ARG002  # it stands in the event
        self.status = Status.REFUNDING

    @event(Refunded)
    def refund(self, *, amount: int) -> None:
        self.status = Status.REFUNDED
        self.refunded = amount
