"""A real SMTP server in this process, that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class MailServer:
    """Takes mails into `taken`; what it is to refuse or to lose stands in the other fields."""

    taken: list[Envelope] = field(default_factory=list)
    password: str | None = None
    """Who logs in with it may send; where there is none nobody can log in, and all may."""
    refuses_sender: str | None = None
    """What it says to who sends."""
    refuses: str | None = None
    """What it says to every recipient."""
    refused: dict[str, list[str]] = field(default_factory=dict)
    """By address: what it says, one time after the other; then it takes what comes."""
    says: str = "250 2.0.0 Ok: queued"
    loses_answers: int = 0
    """How many mails it takes and does not answer: the connection is cut."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def to(self, address: str) -> list[EmailMessage]:
        """Return what it has taken for an address."""
        return [mail for mail in self.mails if mail["To"] == address]

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(e.content, policy=policy.default) for e in self.taken]  # type: ignore[arg-type,misc]

    def log_in(
        self,
        _server: SMTP,
        _session: Session,
        _envelope: Envelope,
        _mechanism: str,
        given: LoginPassword,
    ) -> AuthResult:
        return AuthResult(success=given.password.decode() == self.password, handled=False)

    async def handle_MAIL(  # noqa: N802  # as aiosmtpd calls it
        self,
        _server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if self.password is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        if self.refuses_sender is not None:
            return self.refuses_sender
        envelope.mail_from = address
        return "250 Ok"

    async def handle_RCPT(  # noqa: N802
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if self.refuses is not None:
            return self.refuses
        if self.refused.get(address):
            return self.refused[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 Ok"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope)
        if self.loses_answers:
            self.loses_answers -= 1
            assert server.transport is not None
            server.transport.abort()
        return self.says


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """Run one on a port of its own."""
    server = MailServer()
    loop = asyncio.get_running_loop()

    def answer() -> SMTP:
        return SMTP(
            server,
            hostname="mail.example.org",
            loop=loop,
            auth_require_tls=server.password is None,  # it talks no TLS: then nobody can log in
            authenticator=server.log_in,
        )

    listening = await loop.create_server(answer, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
