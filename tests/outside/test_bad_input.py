"""What is not as agreed, or cannot be done: a problem document, and nothing is changed."""

from __future__ import annotations

from io import BytesIO

import pytest

from services.outside.counter import Counter
from tests.outside.world import CHARGES, Outside

TOO_MUCH = 1024 * 1024 + 1


@pytest.mark.parametrize("key", ["", "x" * 201, "käse"])
async def test_without_a_proper_key_nothing_is_done(
    outside: Outside, reference: str, key: str
) -> None:
    status, problem = await outside.charge(reference, key)
    assert status == 400
    assert b"Idempotency-Key" in problem
    assert await outside.money(reference) == []


@pytest.mark.parametrize(
    ("fault", "pointer"),
    [
        ({"amount": -1}, "/amount"),
        ({"amount": 2**63}, "/amount"),
        ({"amount": "12"}, "/amount"),
        ({"amount": 1.5}, "/amount"),
        ({"currency": "euro"}, "/currency"),
        ({"payment_token": None}, "/payment_token"),
        ({"payment_token": "a\x00b"}, "/payment_token"),
        ({"payment_token": "x" * 501}, "/payment_token"),
    ],
)
async def test_a_charge_that_is_not_as_agreed_is_a_problem_and_changes_nothing(
    outside: Outside, key: str, reference: str, fault: dict[str, object], pointer: str
) -> None:
    status, problem = await outside.charge(reference, key, **fault)
    assert status == 400
    assert f'"{pointer}: '.encode() in problem
    assert await outside.money(reference) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", CHARGES, b"", 400),
        ("POST", CHARGES, b'{"order_id":', 400),
        ("POST", CHARGES, b'{"order_id": "\\ud800"}', 400),
        ("POST", CHARGES, b"\xff", 400),
        ("POST", CHARGES, b"x" * TOO_MUCH, 413),
        ("GET", CHARGES, None, 405),
        ("GET", "/nothing", None, 404),
        ("GET", "/provider/ledger?after=x", None, 400),
        ("GET", f"/provider/ledger?after={2**63}", None, 400),
        ("GET", "/provider/ledger?limit=0", None, 400),
    ],
)
async def test_bad_input_is_a_problem_document(
    outside: Outside, method: str, path: str, body: bytes | None, status: int
) -> None:
    headers = {"Idempotency-Key": "bad input"}
    async with outside.http.request(
        method, path, data=body and BytesIO(body), headers=headers
    ) as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        assert (await answer.json())["status"] == status


async def test_without_its_database_the_world_is_closed(
    outside: Outside, key: str, reference: str
) -> None:
    await outside.pool.close()
    assert (await outside.charge(reference, key))[0] == 503
    assert (await outside.http.get("/health/ready")).status == 503
    assert (await outside.http.get("/health/live")).status == 200


async def test_a_fault_of_ours_is_a_problem_document_too(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, key: str, reference: str
) -> None:
    async def fails(*_: object) -> str:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(Counter, "ask", fails)
    status, problem = await outside.charge(reference, key)
    assert status == 500
    assert b'"status":500' in problem
    assert b"secret" not in problem
