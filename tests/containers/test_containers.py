"""What stands before the services start in containers: who is told what, and what is made."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import nats
import pytest

from stagepost.engine.discovery import find_services, find_worlds
from stagepost.engine.flow import Flow
from stagepost.engine.roles import Role
from stagepost.engine.settings_read import load_settings
from stagepost.engine.stack import containers
from stagepost.engine.stack.containers import prepare, provide
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.nats import start_nats
from stagepost.engine.stack.place import stores_of
from stagepost.engine.stack.ports import free_port
from stagepost.engine.stack.postgres import Postgres
from stagepost.engine.stack.processes import Supervisor
from stagepost.engine.stack.rolling import rolling_restart
from stagepost.engine.stack.running import Running
from stagepost.engine.tokens import Verifier
from stagepost.engine.transports.nats_api import ask
from stagepost.errors import BadSettings

SERVICES = find_services()
TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")
FLOW = Flow()


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("STAGEPOST_")]:
        monkeypatch.delenv(name)


def test_each_service_is_told_what_it_needs_and_where_the_others_are(tmp_path: Path) -> None:
    prepare(tmp_path, FLOW)

    for name, service in SERVICES.items():
        settings = load_settings(tmp_path / "secrets" / name)
        assert settings.database.get_secret_value().startswith(f"postgresql://{name}:")
        assert settings.nats_url
        assert settings.nats_url.get_secret_value().endswith("@nats:4222")
        assert settings.token
        assert settings.token_key
        token = Verifier(settings.token_key).check(settings.token.get_secret_value())
        assert (token.role, token.sub) == (Role.SERVICE, name)
        assert settings.services == {n: f"http://{n}:{s.port}" for n, s in SERVICES.items()}
        assert settings.calls == {part: f"http://outside:8010/{part}" for part in service.calls}


def test_nobody_but_its_own_user_reads_what_a_part_is_told(tmp_path: Path) -> None:
    prepare(tmp_path, FLOW)

    ports = {name: service.port for name, service in SERVICES.items()}
    owners = ports | {"outside": find_worlds()["outside"][0], "postgres": 999, "nats": 0}
    for part in (tmp_path / "secrets").iterdir():
        for path in (part, *part.iterdir()):
            found = path.stat()
            assert stat.S_IMODE(found.st_mode) & 0o077 == 0
            if os.geteuid() == 0:
                assert (found.st_uid, found.st_gid) == (owners[part.name], owners[part.name])


def test_no_service_is_told_a_password_of_anothers(tmp_path: Path) -> None:
    prepare(tmp_path, FLOW)

    passwords = json.loads((tmp_path / "secrets.json").read_text())
    for name in SERVICES:
        files = (tmp_path / "secrets" / name).iterdir()
        text = "\n".join(file.read_text() for file in files)
        assert {who for who, password in passwords.items() if password in text} == {
            *(name, f"nats {name}")
        }


def test_nobody_but_a_service_is_given_a_token_unasked(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "stagepost", "containers", "prepare"],
        env=os.environ | {"DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert TOKEN.search(ended.stdout + ended.stderr) is None

    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    made = {file: token for file in files for token in TOKEN.findall(file.read_text())}
    assert made.keys() == {tmp_path / "secrets" / name / "stagepost_token" for name in SERVICES}
    for file, token in made.items():
        key = load_settings(file.parent).token_key
        assert key
        assert Verifier(key).check(token).role is Role.SERVICE


def test_preparing_again_keeps_passwords(tmp_path: Path) -> None:
    prepare(tmp_path, FLOW)
    every = [path for path in tmp_path.rglob("*") if path.is_file()]
    files = [path for path in every if path.name != "stagepost_token"]  # those are made anew
    before = [path.read_text() for path in files]

    prepare(tmp_path, FLOW)

    assert [path.read_text() for path in files] == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STAGEPOST_LOG_LEVEL", "LOUD"),
        ("STAGEPOST_TIMERS", "{soon}"),
        ("STAGEPOST_TIMERS", '{"AnswersDue": -1}'),
        ("STAGEPOST_TIMERS", '{"AnswerDue": 2}'),
        ("STAGEPOST_OUTSIDE_SLOW_SECONDS", "slow"),
        ("STAGEPOST_MAIL_SERVER", "ftp://mail"),
        ("STAGEPOST_MAIL_SENDER", "nobody"),
        ("STAGEPOST_MAIL_SERVR", "smtp://mail"),
        ("STAGEPOST_OUTSIDE_SLOW", "3"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings, match=name):
        prepare(tmp_path, FLOW)
    assert not (tmp_path / "stack.json").exists()


def test_who_prepares_ends_with_a_status_that_nothing_else_starts_after(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "stagepost", "containers", "prepare"],
        env=os.environ | {"STAGEPOST_LOG_LEVEL": "LOUD", "DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "STAGEPOST_LOG_LEVEL" in ended.stderr


async def test_who_runs_in_containers_is_restarted_by_who_started_it(tmp_path: Path) -> None:
    prepare(tmp_path, FLOW)
    with pytest.raises(BadSettings, match="docker compose restart"):
        await anext(rolling_restart(tmp_path))


@pytest.fixture
def passwords(postgres: Postgres, databases: Databases, folder: Path) -> dict[str, str]:
    """Those of the roles on a server on which other tests are, too."""
    for name in stores_of(FLOW):
        databases.dsn(name), databases.owner_dsn(name), databases.audit_dsn(name)
    kept: dict[str, str] = json.loads((folder / "secrets.json").read_text())
    return kept | {"postgres": postgres.password}


@pytest.fixture
async def provided(
    tmp_path: Path,
    postgres: Postgres,
    passwords: dict[str, str],
    supervisor: Supervisor,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Running]:
    """A stack with servers, and nothing else; they are at other places than in containers."""
    monkeypatch.setattr(containers, "POSTGRES", str(postgres.sockets))
    monkeypatch.setattr(containers, "BROKER", "127.0.0.1")
    monkeypatch.setattr(containers, "BROKER_PORT", port := free_port())
    monkeypatch.setattr(containers, "BROKER_STORE", tmp_path / "store")
    monkeypatch.setattr(containers, "BROKER_HEALTH", f"127.0.0.1:{free_port()}")
    monkeypatch.setattr(containers, "OWNERS", {str(postgres.sockets): 999, "127.0.0.1": 0})
    (tmp_path / "secrets.json").write_text(json.dumps(passwords))
    prepare(tmp_path, FLOW)
    config = tmp_path / "secrets" / "127.0.0.1" / "nats.conf"
    await start_nats(supervisor, config, port, tmp_path / "nats.log")
    await provide(tmp_path, FLOW)
    yield Running(tmp_path)
    await supervisor.stop(["nats"], 10)


async def test_every_service_gets_into_its_database_and_its_streams_are_there(
    provided: Running, tmp_path: Path
) -> None:
    await provide(tmp_path, FLOW)  # as every start does

    for name in provided.names:
        connection = await asyncpg.connect(provided.dsn(name))
        assert await connection.fetchval("SELECT count(*) FROM migrations") > 0
        await connection.close()
    for name in SERVICES:
        client = await nats.connect(provided.nats_url(name), inbox_prefix=f"_INBOX_{name}".encode())
        assert (await ask(client, f"STREAM.INFO.{name}"))["config"]["name"] == name
        await client.close()


async def test_the_auditor_reads_all_of_them(provided: Running) -> None:
    auditor = await asyncpg.connect(provided.audit_dsn)
    for name in SERVICES:
        assert await auditor.fetchval(f"SELECT count(*) FROM {name}.outbox") == 0
    await auditor.close()
