"""The notification: something that a customer is told by mail, once."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id


class Status(StrEnum):
    """Where a notification stands."""

    REQUESTED = "requested"
    SENT = "sent"
    FAILED = "failed"


class About(StrEnum):
    """What a customer is told."""

    WELCOME = "welcome"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class Notification(Aggregate):
    """What a customer is told, and the proof that it was sent.

    Its id says what it is about, and who wants it under which reference. `attempt` counts the
    mails that were tried for it; `why` is the reason of what it tells.
    """

    TOPIC = "notifications.Notification"

    class Requested(FirstEvent):
        """A customer is to be told."""

        TOPIC = "notifications.Notification.Requested"
        notification_id: str
        about: About
        caller: str
        reference: str
        customer_id: str
        why: str

    class RequestedAgain(DomainEvent):
        """It could not be sent, and is tried once more."""

        TOPIC = "notifications.Notification.RequestedAgain"

    class Sent(DomainEvent):
        """A mail server took it: what it said, and the message's hash."""

        TOPIC = "notifications.Notification.Sent"
        said: str
        sha256: str

    class Failed(DomainEvent):
        """It cannot be sent as things stand."""

        TOPIC = "notifications.Notification.Failed"
        reason: str

    @staticmethod
    def stream(notification_id: str) -> str:
        return f"notification/{notification_id}"

    @staticmethod
    def create_id(notification_id: str) -> UUID:
        return stream_id(Notification.stream(notification_id))

    @event(Requested)
    def __init__(
        self,
        *,
        notification_id: str,
        about: About,
        caller: str,
        reference: str,
        customer_id: str,
        why: str,
    ) -> None:
        self.notification_id = notification_id
        self.about = about
        self.caller = caller
        self.reference = reference
        self.customer_id = customer_id
        self.why = why
        self.status = Status.REQUESTED
        self.attempt = 1
        self.said = ""
        self.sha256 = ""
        self.reason = ""

    @event(RequestedAgain)
    def request_again(self) -> None:
        self.status = Status.REQUESTED
        self.attempt += 1

    @event(Sent)
    def send(self, *, said: str, sha256: str) -> None:
        self.status = Status.SENT
        self.said = said
        self.sha256 = sha256

    @event(Failed)
    def fail(self, *, reason: str) -> None:
        self.status = Status.FAILED
        self.reason = reason
