"""Where mails go: what notifications is told when it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.notifications.carriers import MailServer, Spool
from services.notifications.post import PostOffice
from services.notifications.settings import load, open_post_office
from stagepost.engine.settings import Settings
from stagepost.errors import BadSettings

CUSTOMERS = {"customers": "http://127.0.0.1:8006"}


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVER", "SPOOL", "SENDER"):
        monkeypatch.delenv(f"STAGEPOST_MAIL_{name}", raising=False)


async def opened(**settings: object) -> PostOffice:
    given = {"database": "postgresql://here", "services": CUSTOMERS, "token": "t"} | settings
    office = open_post_office(Settings(**given))  # type: ignore[arg-type]
    await office.close()
    return office


async def test_an_empty_setting_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEPOST_MAIL_SERVER", "")  # as docker-compose.yml passes what nobody gave
    assert isinstance((await opened(disk=tmp_path))._carrier, Spool)


async def test_a_server_may_be_named_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGEPOST_SECRETS", str(tmp_path))
    (tmp_path / "stagepost_mail_server").write_text("smtp://shop:secret@mail.example.org")
    assert isinstance((await opened())._carrier, MailServer)


async def test_without_a_server_mails_lie_among_the_data(tmp_path: Path) -> None:
    carrier = (await opened(disk=tmp_path))._carrier
    assert isinstance(carrier, Spool)
    assert carrier._folder == tmp_path / "mail"


async def test_a_spool_that_is_named_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGEPOST_MAIL_SPOOL", str(tmp_path / "out"))
    carrier = (await opened(disk=tmp_path))._carrier
    assert isinstance(carrier, Spool)
    assert carrier._folder == tmp_path / "out"


async def test_a_server_that_is_named_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGEPOST_MAIL_SERVER", "smtp://shop:p%40ss@mail.example.org:587")
    carrier = (await opened(disk=tmp_path))._carrier
    assert isinstance(carrier, MailServer)
    found = (carrier._host, carrier._port, carrier._user, carrier._password, carrier._is_secure)
    assert found == ("mail.example.org", 587, "shop", "p@ss", False)


async def test_a_server_that_talks_tls_has_its_own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEPOST_MAIL_SERVER", "smtps://mail.example.org")
    carrier = (await opened())._carrier
    assert isinstance(carrier, MailServer)
    assert (carrier._port, carrier._is_secure) == (465, True)


async def test_who_is_told_of_no_place_for_mails_does_not_start() -> None:
    with pytest.raises(BadSettings, match="nobody said where mails go: STAGEPOST_MAIL_SERVER"):
        await opened()


async def test_who_is_told_of_no_customers_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="STAGEPOST_SERVICES does not say where customers is"):
        await opened(disk=tmp_path, services={})


@pytest.mark.parametrize(
    "url",
    [
        *(
            "mail.example.org",
            "http://shop:secret@mail",
            "smtp://shop:secret@",
            "smtp://x:secret@y:z",
        ),
        *("smtp://shop:secret/x@mail", "smtp://shop:secret\uff03@mail", "smtp://shop:[secret@mail"),
    ],
)
async def test_what_is_no_mail_server_is_refused_and_not_repeated(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGEPOST_MAIL_SERVER", url)
    with pytest.raises(BadSettings, match="STAGEPOST_MAIL_SERVER") as refused:
        await opened()
    assert "secret" not in str(refused.value)


def test_the_password_of_the_mail_server_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGEPOST_MAIL_SERVER", "smtp://shop:secret@mail.example.org:587")
    told = load()
    assert told.server
    assert "secret" not in f"{told} {told!r} {told.model_dump()} {told.model_dump_json()}"
