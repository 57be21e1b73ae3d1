"""Tokens of a stack on this machine: the folder's secrets sign them."""

from __future__ import annotations

from stagepost.engine.roles import Role
from stagepost.engine.stack.folder import Passwords
from stagepost.engine.tokens import Issuer, bearer

OPERATOR_DAYS, SERVICE_DAYS = 30, 3650
"""How long they are good; those of services are made anew at every start."""


def issuer_of(passwords: Passwords) -> Issuer:
    """Return who makes the tokens of a stack."""
    return Issuer(passwords.of("tokens"))


def operator_headers(passwords: Passwords) -> dict[str, str]:
    """Return what whoever develops on this machine says with each request."""
    return bearer(issuer_of(passwords).token(Role.OPERATOR, "development", OPERATOR_DAYS))


def token_settings(passwords: Passwords, name: str) -> dict[str, str]:
    """Return what a service is told about tokens: how to check them, and its own."""
    issuer = issuer_of(passwords)
    return {
        "STAGEPOST_TOKEN_KEY": issuer.public_key,
        "STAGEPOST_TOKEN": issuer.token(Role.SERVICE, name, SERVICE_DAYS),
    }
