"""What notifications asks of the mail server, and what comes back.

No address stands here, and no name: whoever sends asks customers for them, and forgets them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from contracts import notifications
from stagepost.messages import Call, CallAnswer, Text


class Mail(Call):
    """Send this text to that customer; a mail is one try to deliver a notification."""

    TO = "mail"
    PATH = ""
    KEY = "customer_id"
    LANE = "mail"
    ONCE = True
    mail: str
    notification: str
    attempt: int
    customer_id: str
    subject: str
    text: str


class Proof(BaseModel):
    """What proves that a mail server took a mail."""

    model_config = ConfigDict(frozen=True)

    said: notifications.Said
    sha256: notifications.Sha256


class Mailed(CallAnswer):
    """A mail server took the mail, and this is the proof; or it cannot be sent, and why."""

    call: Mail
    proof: Proof | None = None
    reason: Text | None = None


Mail.ANSWER = Mailed
