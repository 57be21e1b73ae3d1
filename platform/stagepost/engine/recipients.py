"""Recipients of commands over HTTP, as a port."""

from __future__ import annotations

from typing import Protocol

from stagepost.engine.envelope import Envelope
from stagepost.errors import CallFailed


class Recipients(Protocol):
    """Brings one command to its recipient, and waits a moment for the answer."""

    async def ask(self, command: Envelope) -> Envelope | None:
        """Deliver a command; return its answer, None where it is not known yet.

        The same command gets the same answer, however often it is brought.

        Raises:
            CallFailed: not delivered, or nobody knows; bring it again.
            GivenUp: it will never be answered.
        """
        ...

    async def close(self) -> None:
        """Let requests under way end, and disconnect."""
        ...


class NoRecipients:
    """Where no command goes over HTTP."""

    async def ask(self, command: Envelope) -> Envelope | None:
        """Refuse: a command written when links were others waits until they are again."""
        raise CallFailed(f"{command.type} was to go over HTTP, and no link does now")

    async def close(self) -> None:
        """Do nothing."""
