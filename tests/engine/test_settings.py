"""What a service is told when it starts: whatever is missing or wrong is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stagepost.engine.flow import Flow
from stagepost.engine.settings_read import load_settings
from stagepost.engine.stack.foreground import up
from stagepost.errors import BadSettings

DATABASE = "postgresql://payments:secret@localhost/payments"
NATS = "nats://payments:secret@localhost"


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment with what a service needs, and nothing else."""
    for name in [name for name in os.environ if name.startswith("STAGEPOST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STAGEPOST_DATABASE", DATABASE)
    monkeypatch.setenv("STAGEPOST_NATS_URL", NATS)


def complaint() -> str:
    with pytest.raises(BadSettings) as raised:
        load_settings()
    return str(raised.value)


def test_what_is_needed_is_enough() -> None:
    settings = load_settings()
    assert settings.database.get_secret_value() == DATABASE
    assert settings.nats_url.get_secret_value() == NATS
    assert (settings.host, settings.port, settings.log_level) == ("127.0.0.1", None, "INFO")


def test_each_missing_setting_is_named_with_its_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STAGEPOST_DATABASE")
    said = complaint()
    assert "STAGEPOST_DATABASE: Field required (DSN of the service's own database" in said


@pytest.mark.parametrize(
    ("name", "value", "purpose"),
    [
        ("PORT", "70000", "Port to serve HTTP on"),
        ("PORT", "http", "Port to serve HTTP on"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("LOG_LEVEL", "INFORMATION", "DEBUG, INFO, WARNING or ERROR"),
        ("CALL_TIMEOUT", "0", "Seconds to wait for one answer"),
        ("LEASE_SECONDS", "0.1", "How long an instance holds the lease"),
        ("TIMERS", '{"AnswersDue": "soon"}', "Delays of timers"),
    ],
)
def test_a_wrong_setting_is_named_with_its_purpose(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, purpose: str
) -> None:
    monkeypatch.setenv(f"STAGEPOST_{name}", value)
    said = complaint()
    assert f"STAGEPOST_{name}" in said
    assert purpose in said


@pytest.mark.parametrize("value", ["{", "provider=http://localhost"])
def test_a_setting_that_must_be_json_and_is_not_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("STAGEPOST_CALLS", value)
    said = complaint()
    assert "calls" in said.lower()
    assert "JSON" in said


def test_settings_of_several_parts_are_read_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEPOST_CALLS", '{"provider": "http://localhost/provider"}')
    monkeypatch.setenv("STAGEPOST_TIMERS", '{"AnswersDue": 2}')
    settings = load_settings()
    assert settings.calls == {"provider": "http://localhost/provider"}
    assert settings.timers == {"AnswersDue": 2}


def test_a_name_that_is_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEPOST_LEASE_SECOND", "5")
    assert "STAGEPOST_LEASE_SECOND; did you mean STAGEPOST_LEASE_SECONDS?" in complaint()


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("STAGEPOST_MAIL_SERVR", "STAGEPOST_MAIL_SERVER"),
        ("STAGEPOST_OUTSIDE_SLOW_SECOND", "STAGEPOST_OUTSIDE_SLOW_SECONDS"),
        ("STAGEPOST_TOKEN_SECRETS", "STAGEPOST_TOKEN_SECRET"),
        ("STAGEPOST_PARENTS", "STAGEPOST_PARENT"),
        ("STAGEPOST_OWNER_DATABASES", "STAGEPOST_OWNER_DATABASE"),
        ("STAGEPOST_SECRETS_FOLDER", "STAGEPOST_SECRETS"),
        ("stagepost_databse", "STAGEPOST_DATABASE"),
    ],
)
def test_a_slip_in_what_is_read_elsewhere_is_refused_as_well(
    monkeypatch: pytest.MonkeyPatch, slip: str, meant: str
) -> None:
    monkeypatch.setenv(slip, "5")
    assert f"there is no setting {slip.upper()}; did you mean {meant}?" in complaint()


def test_what_is_read_elsewhere_is_let_through(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("MAIL_SERVER", "MAIL_SPOOL", "MAIL_SENDER", "OUTSIDE_SLOW_SECONDS", "PARENT"):
        monkeypatch.setenv(f"STAGEPOST_{name}", "1")
    for name in ("OWNER_DATABASE", "TOKEN_SECRET"):
        monkeypatch.setenv(f"STAGEPOST_{name}", "1")
    monkeypatch.setenv("STAGEPOST_SECRETS", str(tmp_path))
    assert load_settings().log_level == "INFO"


async def test_who_starts_the_stack_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STAGEPOST_MAIL_SERVR", "smtp://localhost")
    with pytest.raises(BadSettings, match="did you mean STAGEPOST_MAIL_SERVER"):
        await up(tmp_path / "data", Flow(), 1)
    assert not (tmp_path / "data").exists()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of settings that are files."""
    monkeypatch.setenv("STAGEPOST_SECRETS", str(tmp_path))
    return tmp_path


def test_what_the_environment_does_not_say_a_file_does(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STAGEPOST_DATABASE")
    (files / "stagepost_database").write_text(f"{DATABASE}\n")
    (files / "stagepost_nats_url").write_text("nats://elsewhere")
    (files / "stagepost_timers").write_text('{"AnswersDue": 2}')

    settings = load_settings()

    assert settings.database.get_secret_value() == DATABASE
    assert settings.nats_url.get_secret_value() == NATS
    assert settings.timers == {"AnswersDue": 2}


def test_a_file_that_is_no_setting_is_refused(files: Path) -> None:
    (files / "stagepost_databse").write_text(DATABASE)
    assert "STAGEPOST_DATABSE; did you mean STAGEPOST_DATABASE?" in complaint()


def test_a_file_that_says_something_wrong_is_named(files: Path) -> None:
    (files / "stagepost_port").write_text("secret")
    said = complaint()
    assert "STAGEPOST_PORT" in said
    assert "secret" not in said


def test_a_folder_that_is_not_there_is_named(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEPOST_SECRETS", f"{files}/nowhere")
    assert f"STAGEPOST_SECRETS: there is no folder {files}/nowhere" in complaint()


def test_a_file_that_is_not_ours_to_read_is_named(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError

    (files / "stagepost_port").touch()
    monkeypatch.setattr(Path, "read_text", refuse)  # root may read everything
    assert "STAGEPOST_PORT cannot be read (Port to serve HTTP on" in complaint()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE", "localhost/payments", "it is no URL such as postgresql://"),
        ("DATABASE", f"{DATABASE}?sslmode=verify-full&sslrootcert=/nowhere", "no certificate in"),
        ("DATABASE", f"{DATABASE}?sslrootcert={__file__}", f"no certificate in {__file__}"),
        ("NATS_URL", "localhost:4222", "it is no URL such as nats://"),
        ("NATS_URL", "http://payments:secret@localhost", "it is no URL such as nats://"),
        ("NATS_URL", "nats://payments:secret/x@localhost:4222", "it cannot be read"),
        ("NATS_URL", "nats://payments:[secret@localhost:4222", "it cannot be read"),
        ("NATS_URL", "nats://payments:secret\uff03@localhost:4222", "it cannot be read"),
        ("DATABASE", "postgresql://payments:secret/x@localhost/payments", "it cannot be read"),
        ("NATS_URL", "nats://", "it is no URL such as nats://"),
        ("DATABASE", "postgresql://payments:secret\uff03@localhost/payments", "it cannot be read"),
        ("NATS_CA", "/nowhere", "Path does not point to a file"),
        ("NATS_CA", __file__, f"no certificate in {__file__}"),
    ],
)
def test_an_address_or_a_certificate_that_is_none_is_named_before_anybody_connects(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"STAGEPOST_{name}", value)
    complained = complaint()
    assert f"STAGEPOST_{name}: " in complained
    assert said in complained
    assert "secret" not in complained


def test_a_database_may_have_several_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    several = "postgresql://payments:secret@one:5432,two:5433/payments"
    monkeypatch.setenv("STAGEPOST_DATABASE", several)
    assert load_settings().database.get_secret_value() == several


def test_what_a_service_was_told_is_shown_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STAGEPOST_TOKEN", "a secret token")
    settings = load_settings()
    assert settings.token
    shown = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert "INFO" in shown
    assert "secret" not in shown


def test_a_complaint_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEPOST_PORT", "wrong")
    assert "secret" not in complaint()
