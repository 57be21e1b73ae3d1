"""What notifications can be asked, and what it tells: never to which address."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.values import CustomerId, OrderId
from stagepost.messages import Answer, Command, Event, Refusal, Text

Said = Annotated[
    Text,
    Field(examples=["2.0.0 Ok: queued"], description="What the mail server answered."),
]
Sha256 = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{64}$"),
    Field(examples=["0" * 64], description="Hash of the message as it was handed over."),
]


class SendWelcomeLetter(Command):
    """Send a customer the welcome letter, once for (caller, reference).

    After a failure it is sent again where it is asked for again.
    """

    KEY = "customer_id"
    customer_id: CustomerId


class WelcomeLetterSent(Answer, to=SendWelcomeLetter):
    """A mail server took the letter: its answer and the message's hash are the proof."""

    KEY = "customer_id"
    customer_id: CustomerId
    said: Said
    sha256: Sha256


class WelcomeLetterFailed(Refusal, to=SendWelcomeLetter):
    """The letter cannot be sent as things stand: it is refused, or nobody knows the customer."""

    KEY = "customer_id"
    customer_id: CustomerId


class NotificationSent(Event):
    """A mail server took the mail that tells a customer how an order ended."""

    KEY = "customer_id"
    customer_id: CustomerId
    order_id: OrderId
    said: Said
    sha256: Sha256
