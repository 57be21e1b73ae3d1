"""Who takes a mail out of the house: an SMTP server, or a spool."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import (
    SMTPException,
    SMTPHeloError,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from services.notifications.mail import Proof
from stagepost.errors import CallFailed

PORTS = {"smtp": 25, "smtps": 465}
AT_ONCE = 8
"""Connections to the mail server at most: more than a few are taken for an attack."""
FOR_GOOD = 500
"""From this code on a mail server's refusal is one that asking again will not change."""
NOT_LET_IN = frozenset({530, 534, 535, 538})
"""Codes (RFC 4954) of who has to log in, or in another way: they say nothing of a mail."""


class Sealed(NamedTuple):
    """A mail as it travels; `name` is what it is known by, however often it is handed over."""

    name: str
    sender: str
    to: str
    content: bytes


class NotTakenError(Exception):
    """The mail server will not take this mail, now or later; it says why."""


class Carrier(Protocol):
    """Takes mails."""

    async def take(self, mail: Sealed) -> Proof:
        """Take a mail, once or again; return the proof.

        Raises:
            NotTakenError: it is refused, and will be.
            CallFailed: not known, or not now; hand it over again.
        """
        ...


class MailServer:
    """An SMTP server; `url` says where it is, and who we are there."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname
        self._port = parts.port or PORTS[parts.scheme]
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._is_secure = parts.scheme == "smtps"
        self._timeout = timeout
        self._room = asyncio.Semaphore(AT_ONCE)

    async def take(self, mail: Sealed) -> Proof:
        async with self._room:
            try:
                said = await self._send(mail)
            except SMTPRecipientsRefused as error:
                raise refusal(error.recipients[0], mail.name) from None
            except SMTPResponseException as error:
                raise refusal(error, mail.name) from None
            except (SMTPException, OSError) as error:
                # What these say may name the address.
                what = type(error).__name__
                raise CallFailed(f"the mail server did not take mail {mail.name}: {what}") from None
        return Proof(said=said, sha256=sha256(mail.content).hexdigest())

    async def _send(self, mail: Sealed) -> str:
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._is_secure,
            timeout=self._timeout,
        )
        try:
            await _connect(client)
            _, said = await client.sendmail(mail.sender, [mail.to], mail.content)
            with suppress(SMTPException):
                await client.quit()
        finally:
            client.close()
        return said


async def _connect(client: aiosmtplib.SMTP) -> None:
    """Connect and log in; that we are not let in is no refusal of a mail."""
    try:
        await client.connect()
    except SMTPResponseException as error:
        raise _closed_door(error) from None


def _closed_door(error: SMTPResponseException) -> Exception:
    return CallFailed(f"the mail server does not let us in: it says {error.code}")


def refusal(error: SMTPResponseException, name: str) -> Exception:
    """Return what a mail server's refusal means for a mail.

    Nothing where it is of us, or of the sender that all mails have: that is put right in the
    settings.
    """
    if isinstance(error, SMTPHeloError | SMTPSenderRefused) or error.code in NOT_LET_IN:
        return _closed_door(error)
    if error.code >= FOR_GOOD:
        return NotTakenError(f"{error.code} {error.message}")
    return CallFailed(f"the mail server does not take mail {name} now: it says {error.code}")


class Spool:
    """A folder in which mails lie for somebody else to send: a file for each, written once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def take(self, mail: Sealed) -> Proof:
        try:
            laid = await asyncio.to_thread(self._lay, f"{mail.name}.eml", mail.content)
        except OSError as error:
            why = error.strerror
            raise CallFailed(f"mail {mail.name} cannot be laid into the spool: {why}") from error
        said = f"laid into the spool as {mail.name}.eml"
        return Proof(said=said, sha256=sha256(laid).hexdigest())

    def _lay(self, name: str, content: bytes) -> bytes:
        """Write a file, whole or not at all; return what stands there, which may be from before."""
        file = self._folder / name
        if not file.exists():
            # Only we read it: what lies here has names and addresses.
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished = self._folder / f".{name}"
            with unfinished.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            unfinished.rename(file)
        return file.read_bytes()
