"""The post office: how a mail leaves the house.

The address is asked from customers for each mail, and kept nowhere. A mail is handed over at least
once: where the answer is lost (a crash between the server's answer and our commit), it is handed
over again, and no mail server can be asked whether it has it already. But its Message-ID comes from
the call that it is, so that the second is known for what it is: a mail program shows one of them,
and the spool has one file for both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from http import HTTPStatus
from typing import NamedTuple

import orjson

from services.notifications.carriers import Carrier, NotTakenError, Sealed
from services.notifications.mail import Mail
from stagepost.engine.calls_rules import UnderWay
from stagepost.engine.http_client import HttpClient
from stagepost.errors import CallFailed

MOST = 200
"""Characters of an answer that are kept."""
NOBODY = "customers knows no such customer"


class Person(NamedTuple):
    """To whom a mail goes."""

    name: str
    email: str


class PostOffice:
    """The Calls port to a mail carrier: each call is one mail.

    `customers` is where they are, `headers` who we are to them.
    """

    def __init__(
        self,
        carrier: Carrier,
        customers: str,
        sender: str,
        timeout: float,
        headers: Mapping[str, str],
    ) -> None:
        self._carrier = carrier
        self._customers = customers
        self._sender = sender
        self._http = HttpClient(timeout, headers)
        self._under_way = UnderWay()

    async def post(self, _to: str, _path: str, body: bytes, idempotency_key: str) -> bytes:
        """Send a mail; return the proof, or why it cannot be sent.

        Raises:
            CallFailed: the carrier or customers does not answer; the mail is tried again.
        """
        with self._under_way:
            answer = await self._send(Mail.model_validate_json(body), idempotency_key)
        return orjson.dumps(answer)

    async def close(self) -> None:
        """Let mails under way end, and disconnect."""
        await self._under_way.close()
        await self._http.close()

    async def _send(self, mail: Mail, name: str) -> dict[str, object]:
        person = await self._find(mail.customer_id)
        if person is None:
            return {"reason": NOBODY}
        content = written(mail, person, self._sender, name)
        try:
            proof = await self._carrier.take(Sealed(name, self._sender, person.email, content))
        except NotTakenError as refusal:
            return {"reason": impersonal(str(refusal), person)}
        return {"proof": {"said": impersonal(proof.said, person), "sha256": proof.sha256}}

    async def _find(self, customer_id: str) -> Person | None:
        """Ask customers. What it answers is told to nobody, whatever it is."""
        request = f"the address of customer {customer_id}"
        answered = await self._http.get(request, f"{self._customers}/customers/{customer_id}")
        if answered.status == HTTPStatus.NOT_FOUND:
            return None
        if answered.status != HTTPStatus.OK:
            raise CallFailed(f"{request} was answered with {answered.status}")
        try:
            found = orjson.loads(answered.body)
            return Person(found["name"], found["email"])
        except (ValueError, KeyError, TypeError):
            raise CallFailed(f"{request} was answered with something else") from None


def written(mail: Mail, person: Person, sender: str, name: str) -> bytes:
    """Write a mail as it travels (RFC 5322)."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = person.email
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{name}@{sender.rpartition('@')[2]}>"
    message.set_content(f"Dear {person.name},\n\n{mail.text}")
    return message.as_bytes()


def impersonal(said: str, person: Person) -> str:
    """Return what a server said, in one line, without any address and the customer's name."""
    line = re.sub(r"\S+@\S+", "(address)", _one_line(said))
    name, local = _one_line(person.name), person.email.partition("@")[0]
    parts = [word for word in name.split() if len(word) > 1]
    for word in filter(None, (name, local, local.partition("+")[0], *parts)):
        line = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "(customer)", line, flags=re.IGNORECASE)
    return line[:MOST] or "nothing"


def _one_line(text: str) -> str:
    return "".join(filter(str.isprintable, " ".join(text.split())))
