"""What customers are told, word for word. The greeting is added where the name is known."""

from __future__ import annotations

from services.notifications.notification import About, Notification

WELCOME = """\
you are our customer now. The law wants you to have this in writing: you may
withdraw from any order within fourteen days, without giving a reason.
Your number is {customer_id}.
"""
CONFIRMED = "your order {reference} is paid, and on its way to you.\n"
REJECTED = """\
we could not fulfill your order {reference} ({why}).
Whatever you have paid for it is given back.
"""

SUBJECTS = {
    About.WELCOME: "Welcome",
    About.CONFIRMED: "Your order {reference} is on its way",
    About.REJECTED: "Your order {reference} could not be fulfilled",
}
TEXTS = {About.WELCOME: WELCOME, About.CONFIRMED: CONFIRMED, About.REJECTED: REJECTED}


def subject_of(notification: Notification) -> str:
    return SUBJECTS[notification.about].format(reference=notification.reference)


def text_of(notification: Notification) -> str:
    return TEXTS[notification.about].format(
        reference=notification.reference,
        customer_id=notification.customer_id,
        why=notification.why,
    )
