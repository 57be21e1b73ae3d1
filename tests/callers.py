"""Who asks, in tests of something else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stagepost.engine.roles import Role
from stagepost.engine.tokens import AccessToken
from stagepost.engine.web.problems import AnyRequest


def token_of(role: Role, name: str) -> AccessToken:
    return AccessToken(exp=datetime.now(UTC) + timedelta(days=1), sub=name, role=role)


async def an_operator(request: AnyRequest) -> None:
    """Let everybody pass, as an operator."""
    request.scope["user"] = token_of(Role.OPERATOR, "ops")


async def the_reader(request: AnyRequest) -> None:
    """Let everybody pass, as the service that reads payments in the tests of transports."""
    request.scope["user"] = token_of(Role.SERVICE, "fulfillment")


async def the_sender(request: AnyRequest) -> None:
    """Let everybody pass, as the service whose command it is."""
    request.scope["user"] = token_of(Role.SERVICE, request.headers.get("ce-source", "nobody"))
