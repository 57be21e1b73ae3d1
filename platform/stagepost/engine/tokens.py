"""Tokens: a JWT says who asks. Its issuer signs it, and whoever checks it cannot make one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from time import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from litestar.exceptions import NotAuthorizedException
from litestar.security.jwt import Token

from stagepost.engine.roles import Role
from stagepost.errors import BadSettings

ALGORITHM = "EdDSA"
SHORTEST = 32
"""Characters of a secret from which keys follow."""
CLOCKS_DIFFER = timedelta(minutes=1)
MOST = 10_000
"""Tokens that are remembered; with one more all are checked anew."""


@dataclass
class AccessToken(Token):
    """Who asks: `sub` is a customer's id, a service's name, or whatever a person is called."""

    role: Role = Role.CUSTOMER


class Issuer:
    """Makes tokens. Its key follows from a secret.

    Raises:
        BadSettings: the secret is too short.
    """

    def __init__(self, secret: str) -> None:
        if len(secret) < SHORTEST:
            raise BadSettings(
                f"the secret that signs tokens (STAGEPOST_TOKEN_SECRET) must have {SHORTEST}"
                " characters or more"
            )
        self._key = Ed25519PrivateKey.from_private_bytes(sha256(secret.encode()).digest())

    @property
    def public_key(self) -> str:
        """What whoever checks tokens is told, in hexadecimal digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def token(self, role: Role, name: str, days: float) -> str:
        """Return a token for so many days."""
        now = datetime.now(UTC)
        token = AccessToken(
            exp=now + timedelta(days=days), iat=now - CLOCKS_DIFFER, sub=name, role=role
        )
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return token.encode(pem.decode(), ALGORITHM)


class Verifier:
    """Checks tokens. One that was good is good until it expires: to check it takes 0.1 ms.

    Raises:
        BadSettings: the public key is none.
    """

    def __init__(self, public_key: str) -> None:
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        except ValueError:
            raise BadSettings(
                "cannot start: STAGEPOST_TOKEN_KEY is no public key: `stagepost token --key`"
                " prints it"
            ) from None
        self._pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        self._known: dict[str, tuple[float, AccessToken]] = {}

    def known(self, encoded: str) -> AccessToken | None:
        """Return a token that was good before, and still is."""
        until, token = self._known.get(encoded, (0.0, None))
        return token if until > time() else None

    def check(self, encoded: str) -> AccessToken:
        """Return what a token says.

        Raises:
            NotAuthorizedException: it is none of ours, or has expired.
        """
        token = AccessToken.decode(
            encoded, self._pem, ALGORITHM, require_claims=("exp", "sub", "role")
        )
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[encoded] = token.exp.timestamp(), token
        return token


def check_own(verifier: Verifier, encoded: str, service: str) -> None:
    """Check that a service shows the others a token of its own.

    Raises:
        BadSettings: it is none of ours, has expired, or is somebody else's.
    """
    again = f"`stagepost token service {service}` prints another"
    try:
        token = verifier.check(encoded)
    except NotAuthorizedException:
        raise BadSettings(
            "cannot start: STAGEPOST_TOKEN was not signed by whoever STAGEPOST_TOKEN_KEY is of, or"
            f" has expired: {again}"
        ) from None
    if (token.role, token.sub) != (Role.SERVICE, service):
        raise BadSettings(
            f"cannot start: STAGEPOST_TOKEN is of the {token.role} {token.sub}, and this is the"
            f" service {service}: {again}"
        )


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
