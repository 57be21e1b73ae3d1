"""What customers tells. Nobody commands it, and personal data stays there: messages name an id."""

from __future__ import annotations

from pydantic import Field

from contracts.values import CustomerId
from stagepost.messages import Event


class CustomerRegistered(Event):
    """Somebody is a customer from now on."""

    KEY = "customer_id"
    customer_id: CustomerId


class CustomerOnboarded(Event):
    """The customer has the welcome letter that the law asks for; there is proof of it."""

    KEY = "customer_id"
    customer_id: CustomerId


class OnboardingOverdue(Event):
    """The customer has no welcome letter after so many tries: it is for a person to see to it."""

    KEY = "customer_id"
    customer_id: CustomerId
    tries: int = Field(ge=1, examples=[3])
