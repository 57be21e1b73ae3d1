"""What notifications does about each message."""

from __future__ import annotations

from collections.abc import Mapping

from contracts import notifications, ordering
from services.notifications.letters import subject_of, text_of
from services.notifications.mail import Mail, Mailed
from services.notifications.notification import About, Notification, Status
from stagepost.errors import BadMessage
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Message


def send_welcome_letter(command: notifications.SendWelcomeLetter, load: Load) -> Decision:
    """Send the letter, unless it is sent; a repetition hears again what came of it."""
    name = f"welcome/{command.caller}/{command.reference}"
    letter = load.one(Notification, Notification.stream(name))
    if letter is None:
        letter = Notification(
            notification_id=name,
            about=About.WELCOME,
            caller=command.caller,
            reference=command.reference,
            customer_id=command.customer_id,
            why="",
        )
        return Decision((letter,), (_mail(letter),))
    if letter.status is not Status.FAILED:
        return Decision(sends=_outcome(letter))
    letter.request_again()
    return Decision((letter,), (_mail(letter),))


def order_ended(event: ordering.OrderConfirmed | ordering.OrderRejected, load: Load) -> Decision:
    """Tell the customer how the order ended, once."""
    name = f"order/{event.order_id}"
    if load.one(Notification, Notification.stream(name)) is not None:
        return Decision()
    is_rejected = isinstance(event, ordering.OrderRejected)
    notification = Notification(
        notification_id=name,
        about=About.REJECTED if is_rejected else About.CONFIRMED,
        caller=event.OWNER,
        reference=event.order_id,
        customer_id=event.customer_id,
        why=event.reason if isinstance(event, ordering.OrderRejected) else "",
    )
    return Decision((notification,), (_mail(notification),))


def mailed(answer: Mailed, load: Load) -> Decision:
    """Note the proof, or why there is none, and tell whoever wants to know."""
    notification = _notification_of(answer.call, load)
    waits = (Status.REQUESTED, answer.call.attempt)
    if (notification.status, notification.attempt) != waits:
        return Decision()
    if answer.proof is not None:
        notification.send(said=answer.proof.said, sha256=answer.proof.sha256)
    else:
        notification.fail(reason=answer.reason or "refused by the mail server")
    return Decision((notification,), _outcome(notification))


def _mail(notification: Notification) -> Mail:
    return Mail(
        mail=f"{notification.notification_id}/{notification.attempt}",
        notification=notification.notification_id,
        attempt=notification.attempt,
        customer_id=notification.customer_id,
        subject=subject_of(notification),
        text=text_of(notification),
    )


def _outcome(notification: Notification) -> tuple[Message, ...]:
    """Return what is told of a notification, nothing while the mail server has not answered."""
    match notification:
        case Notification(status=Status.REQUESTED):
            return ()
        case Notification(about=About.WELCOME, status=Status.SENT):
            return (
                notifications.WelcomeLetterSent(
                    **_address(notification),
                    said=notification.said,
                    sha256=notification.sha256,
                ),
            )
        case Notification(about=About.WELCOME):
            return (
                notifications.WelcomeLetterFailed(
                    **_address(notification), reason=notification.reason
                ),
            )
        case Notification(status=Status.SENT):
            return (
                notifications.NotificationSent(
                    customer_id=notification.customer_id,
                    order_id=notification.reference,
                    said=notification.said,
                    sha256=notification.sha256,
                ),
            )
        case _:
            return ()


def _address(letter: Notification) -> dict[str, str]:
    """Return what every answer carries: whose letter this is, and for which customer."""
    return {
        "caller": letter.caller,
        "reference": letter.reference,
        "customer_id": letter.customer_id,
    }


def _notification_of(call: Mail, load: Load) -> Notification:
    notification = load.one(Notification, Notification.stream(call.notification))
    if notification is None:
        raise BadMessage(
            f"{call.TYPE} was answered for {call.notification!r}, which was never requested"
        )
    return notification


HANDLERS: Mapping[type[Message], Handler] = {
    notifications.SendWelcomeLetter: send_welcome_letter,
    ordering.OrderConfirmed: order_ended,
    ordering.OrderRejected: order_ended,
    Mailed: mailed,
}
