"""The claim to an e-mail address: a stream of its own, so that no two customers can have it.

It is appended in the commit of the registration that makes it, at the version that was seen. Of two
registrations at once, at two instances even, the second to be stored is decided again, and refused.
"""

from __future__ import annotations

from uuid import UUID

from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id


class Claim(Aggregate):
    """Whose an address is; nobody's, while `customer_id` is None."""

    TOPIC = "customers.Claim"

    class Made(FirstEvent):
        """An address is a customer's, for the first time."""

        TOPIC = "customers.Claim.Made"
        email: str
        customer_id: str

    class GivenUp(DomainEvent):
        """The customer has another address now."""

        TOPIC = "customers.Claim.GivenUp"

    class MadeAgain(DomainEvent):
        """An address that was given up is a customer's again."""

        TOPIC = "customers.Claim.MadeAgain"
        customer_id: str

    @staticmethod
    def stream(email: str) -> str:
        """Return the name of an address's stream; the address is normalised."""
        return f"email/{email}"

    @staticmethod
    def create_id(email: str) -> UUID:
        return stream_id(Claim.stream(email))

    @event(Made)
    def __init__(self, *, email: str, customer_id: str) -> None:
        self.email = email
        self.customer_id: str | None = customer_id

    @event(GivenUp)
    def give_up(self) -> None:
        self.customer_id = None

    @event(MadeAgain)
    def make_again(self, *, customer_id: str) -> None:
        self.customer_id = customer_id
