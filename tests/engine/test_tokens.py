"""Tokens: who made one, for whom, and until when; whatever else comes is none."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from litestar.exceptions import NotAuthorizedException

from stagepost.engine import tokens
from stagepost.engine.roles import Role
from stagepost.engine.tokens import Issuer, Verifier, check_own
from stagepost.errors import BadSettings

SECRET = "a secret of these tests, and of nobody else"
ISSUER = Issuer(SECRET)
ADA = ISSUER.token(Role.CUSTOMER, "ada", days=1)


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(ISSUER.public_key)


def signed(**claims: object) -> str:
    """Sign whatever somebody claims with the issuer's own key."""
    ours = {"sub": "ada", "role": "customer", "iat": 0, "exp": 2**32} | claims
    given = {name: value for name, value in ours.items() if value is not None}
    return jwt.encode(given, ISSUER._key, "EdDSA")


NONE_OF_OURS = "was not signed by whoever STAGEPOST_TOKEN_KEY is of, or has expired"


def unsigned(header: dict[str, str]) -> str:
    parts = header, {"sub": "ada", "role": "operator", "iat": 0, "exp": 2**32}
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*texts, b""]).decode()


def test_a_token_says_who_asks(verifier: Verifier) -> None:
    token = verifier.check(ADA)
    assert (token.role, token.sub) == (Role.CUSTOMER, "ada")


def test_the_same_secret_has_the_same_keys() -> None:
    assert Issuer(SECRET).public_key == ISSUER.public_key
    assert Issuer(f"{SECRET}!").public_key != ISSUER.public_key


@pytest.mark.parametrize(
    "token",
    [
        "",
        "no token",
        "a.b.c",
        ADA[:-4] + "AAAA",
        Issuer("another secret, as long as the first one").token(Role.OPERATOR, "eve", days=1),
        jwt.encode({"sub": "eve", "role": "operator", "exp": 2**32}, ISSUER.public_key, "HS256"),
        unsigned({"alg": "none", "typ": "JWT"}),
        unsigned({"alg": "EdDSA", "typ": "JWT"}),
        signed(exp=1),
        signed(exp=None),
        signed(sub=None),
        signed(sub=""),
        signed(role=None),
        signed(role="queen"),
        signed(role=["operator"]),
        signed(nbf=2**32),
        signed(iat=(datetime.now(UTC) + timedelta(hours=1)).timestamp()),
    ],
)
def test_what_is_no_token_of_ours_is_refused(verifier: Verifier, token: str) -> None:
    with pytest.raises(NotAuthorizedException):
        verifier.check(token)
    assert verifier.known(token) is None


def test_a_token_is_remembered_until_it_expires(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verifier.known(ADA) is None
    token = verifier.check(ADA)
    assert verifier.known(ADA) is token
    monkeypatch.setattr(tokens, "time", token.exp.timestamp)
    assert verifier.known(ADA) is None


def test_no_more_tokens_are_remembered_than_there_is_room_for(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MOST", 3)
    for number in range(10):
        verifier.check(ISSUER.token(Role.CUSTOMER, f"c{number}", days=1))
        assert len(verifier._known) <= 3


def test_a_service_s_own_token_is_taken(verifier: Verifier) -> None:
    check_own(verifier, ISSUER.token(Role.SERVICE, "payments", days=1), "payments")


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("rubbish", NONE_OF_OURS),
        ("", NONE_OF_OURS),
        (Issuer(f"{SECRET}!").token(Role.SERVICE, "payments", days=1), NONE_OF_OURS),
        (signed(role="service", sub="payments", exp=1), NONE_OF_OURS),
        (signed(role="service", sub="shipping"), "is of the service shipping, and this is the"),
        (signed(role="operator", sub="payments"), "is of the operator payments, and this is the"),
    ],
    ids=["none", "empty", "of another secret", "expired", "of another service", "of an operator"],
)
def test_a_service_does_not_start_with_a_token_that_is_not_its_own(
    verifier: Verifier, token: str, said: str
) -> None:
    with pytest.raises(BadSettings) as refused:
        check_own(verifier, token, "payments")
    assert f"cannot start: STAGEPOST_TOKEN {said}" in str(refused.value)
    assert "`stagepost token service payments` prints another" in str(refused.value)
    assert not token or token not in str(refused.value)


def test_a_short_secret_signs_nothing() -> None:
    with pytest.raises(BadSettings, match=r"STAGEPOST_TOKEN_SECRET.* 32 characters or more"):
        Issuer("short")


@pytest.mark.parametrize("key", ["", "00", "no key", ISSUER.public_key[:-2]])
def test_a_key_that_is_none_is_named(key: str) -> None:
    with pytest.raises(BadSettings, match="STAGEPOST_TOKEN_KEY is no public key"):
        Verifier(key)
