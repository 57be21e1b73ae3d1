"""`stagepost token`: says who somebody is, for as long as they are trusted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from stagepost.engine.cli_common import Left, write
from stagepost.engine.roles import Role
from stagepost.errors import BadSettings

if TYPE_CHECKING:
    from stagepost.engine.tokens import Issuer

NAMED = {Role.CUSTOMER, Role.SERVICE}


def token(
    role: Role = Role.OPERATOR,
    name: str | None = None,
    *,
    days: Annotated[float, Parameter(validator=validators.Number(gt=0, lte=3650))] = 30,
    key: Annotated[bool, Parameter(negative="")] = False,
    data: Left = None,
) -> None:
    """Print a token for the services of a stack on this machine.

    Where STAGEPOST_TOKEN_SECRET is set, that signs it.

    Args:
        role: customer, staff, operator or service.
        name: whose it is: a customer's id or a service's name; a name for the others.
        days: how long it is good.
        key: print the public key instead, with which services check tokens.
    """
    issuer = _issuer(os.environ.get("STAGEPOST_TOKEN_SECRET"), data)
    write(issuer.public_key if key else issuer.token(role, _holder(role, name), days))


def _issuer(secret: str | None, data: Path | None) -> Issuer:
    from stagepost.engine.stack.folder import Passwords
    from stagepost.engine.stack.keys import issuer_of
    from stagepost.engine.stack.reach import default_data
    from stagepost.engine.tokens import Issuer

    if secret is not None:
        return Issuer(secret)
    folder = data or default_data()
    if not (folder / "secrets.json").exists():
        raise BadSettings(
            f"no stack has left data in {folder}: `make up` first, or name the folder of another"
            " (--data, DATA), or give the secret (STAGEPOST_TOKEN_SECRET)"
        )
    return issuer_of(Passwords(folder / "secrets.json"))


def _holder(role: Role, name: str | None) -> str:
    from pydantic import TypeAdapter, ValidationError

    from stagepost.engine.discovery import find_services
    from stagepost.engine.replay.given import one_of
    from stagepost.messages import Id

    if name is None and role in NAMED:
        raise BadSettings(f"say which {role}: stagepost token {role} NAME")
    try:
        TypeAdapter(Id).validate_python(name or role)
    except ValidationError:
        raise BadSettings(
            f"{name!r} is no name: up to 64 letters, digits, dots, underscores and dashes"
        ) from None
    if role is Role.SERVICE:
        one_of("service", str(name), find_services())
    return name or role
