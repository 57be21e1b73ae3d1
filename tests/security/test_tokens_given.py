"""Who is given a token: whoever starts the stack, whoever asks on its machine, and each service."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from stagepost.engine.roles import Role
from stagepost.engine.tokens import AccessToken, Issuer, Verifier, bearer
from tests.journeys.test_cli import Said, stagepost

SECRET = "a secret of these tests, and of nobody else"


@dataclass(frozen=True)
class Up:
    """A stack that somebody started at the command line, and what they were told."""

    data: Path
    token: str

    @property
    def services(self) -> dict[str, Any]:
        return dict(json.loads((self.data / "stack.json").read_text())["services"])

    def environment(self, service: str) -> dict[str, str]:
        """Return what the process of a service was told."""
        said = Path(f"/proc/{self.services[service]['pid']}/environ").read_text()
        return dict(pair.split("=", 1) for pair in said.split("\0") if pair)

    async def token_of(self, *arguments: str) -> AccessToken:
        """Type `stagepost token`, and read what it prints as a service does."""
        said = await stagepost("token", *arguments, data=self.data)
        assert (said.status, said.err) == (0, "")
        return self.verifier.check(said.out.strip())

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.environment("ordering")["STAGEPOST_TOKEN_KEY"])


@pytest.fixture(scope="module")
async def up() -> AsyncIterator[Up]:
    data = Path(tempfile.mkdtemp(prefix="stagepost tests ", dir="/tmp"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stagepost", "up"),
        env=os.environ | {"DATA": str(data)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    token = ""
    try:
        async with asyncio.timeout(90):  # it prints one, or never will
            async for line in process.stdout:
                name, _, token = line.decode().strip().partition(": Bearer ")
                if name == "Authorization":
                    break
        yield Up(data, token)
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()
        shutil.rmtree(data)


async def test_who_starts_the_stack_is_told_a_token_of_an_operator(up: Up) -> None:
    for name, service in up.services.items():
        async with httpx.AsyncClient(base_url=service["url"], headers=bearer(up.token)) as client:
            assert (await client.get("/journal")).status_code == 200, name
    assert up.verifier.check(up.token).role is Role.OPERATOR


async def test_each_service_has_a_token_of_its_own_and_nothing_that_makes_one(up: Up) -> None:
    secret = json.loads((up.data / "secrets.json").read_text())["tokens"]
    for name in up.services:
        told = up.environment(name)
        token = up.verifier.check(told["STAGEPOST_TOKEN"])
        assert (token.role, token.sub) == (Role.SERVICE, name)
        assert "STAGEPOST_TOKEN_SECRET" not in told
        assert not any(secret in value for value in told.values())


async def test_others_are_made_on_the_machine_of_the_stack(up: Up) -> None:
    assert (await up.token_of()).role is Role.OPERATOR
    ada = await up.token_of("customer", "ada", "--days", "1")
    assert (ada.role, ada.sub) == (Role.CUSTOMER, "ada")
    assert 0.9 < (ada.exp - ada.iat).total_seconds() / 86_400 < 1.1
    payments = await up.token_of("service", "payments")
    assert (payments.role, payments.sub) == (Role.SERVICE, "payments")
    key = await stagepost("token", "--key", data=up.data)
    assert key.out.strip() == up.environment("ordering")["STAGEPOST_TOKEN_KEY"]


async def test_where_there_is_no_stack_a_secret_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEPOST_TOKEN_SECRET", SECRET)
    key, token = [await typed("token", *more) for more in (["--key"], ["staff"])]
    assert Verifier(key.out.strip()).check(token.out.strip()).role is Role.STAFF


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("customer",), "say which customer: stagepost token customer NAME"),
        (("service", "payment"), "did you mean payments"),
        (("customer", "a b"), "'a b' is no name"),
        (("queen",), "customer"),
        (("staff", "--days", "0"), "Must be > 0"),
    ],
)
async def test_what_is_no_token_is_not_made(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setenv("STAGEPOST_TOKEN_SECRET", SECRET)
    refused = await typed("token", *arguments)
    assert (refused.status, refused.out) == (2, "")
    assert said in refused.err, refused.err
    assert SECRET not in refused.err


async def test_without_a_stack_and_a_secret_there_is_no_token(tmp_path: Path) -> None:
    refused = await stagepost("token", data=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert "no stack has left data in" in refused.err


# A service that is given what is none


async def test_a_service_does_not_start_with_a_token_that_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start_with(monkeypatch, "rubbish")
    refused = await typed("run", "payments")
    assert refused.status == 2
    assert "cannot start: STAGEPOST_TOKEN was not signed by whoever" in refused.err, refused.err
    assert "rubbish" not in refused.out + refused.err


async def test_a_service_starts_with_its_own_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stops it is what comes next: there is no database."""
    start_with(monkeypatch, Issuer(SECRET).token(Role.SERVICE, "payments", days=1))
    refused = await typed("run", "payments")
    assert "STAGEPOST_TOKEN" not in refused.err
    assert "STAGEPOST_DATABASE" in refused.err


def start_with(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """Tell a service what it needs, and of a database that is none."""
    for name in [name for name in os.environ if name.startswith("STAGEPOST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STAGEPOST_DATABASE", "postgresql://nobody@localhost/x?sslmode=no")
    monkeypatch.setenv("STAGEPOST_TOKEN_KEY", Issuer(SECRET).public_key)
    monkeypatch.setenv("STAGEPOST_PORT", "0")
    monkeypatch.setenv("STAGEPOST_TOKEN", token)


async def typed(*arguments: str) -> Said:
    """Type a command in an environment as it is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stagepost", *arguments, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    return Said(process.returncode, out.decode(), err.decode())
