"""Idempotency keys: each caller's are their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from types import SimpleNamespace
from typing import cast

from stagepost.engine.roles import Role
from stagepost.engine.tokens import AccessToken
from stagepost.engine.web.once import key_of
from stagepost.engine.web.problems import AnyRequest


def asked_by(role: Role, name: str, days: int = 1) -> AnyRequest:
    token = AccessToken(exp=datetime.now(UTC) + timedelta(days=days), sub=name, role=role)
    return cast("AnyRequest", SimpleNamespace(user=token))


def test_a_caller_has_the_same_key_by_whatever_token() -> None:
    kept = {key_of(asked_by(Role.CUSTOMER, "ada", days), "k") for days in (1, 2)}
    assert len(kept) == 1


def test_no_two_callers_have_the_same_key() -> None:
    asked = [
        (Role.CUSTOMER, "ada", "k"),
        (Role.CUSTOMER, "ada", "l"),
        (Role.CUSTOMER, "bob", "k"),
        (Role.STAFF, "ada", "k"),
        (Role.CUSTOMER, "a", 'b", "c'),
        (Role.CUSTOMER, 'a", "b', "c"),
    ]
    kept = [key_of(asked_by(role, name), key) for role, name, key in asked]
    for one, other in combinations(kept, 2):
        assert one != other


def test_without_a_key_there_is_none() -> None:
    assert key_of(asked_by(Role.CUSTOMER, "ada"), None) is None
