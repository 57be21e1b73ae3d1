"""What only notifications is told: where mails go. Every name has the prefix STAGEPOST_MAIL_."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.notifications.carriers import PORTS, Carrier, MailServer, Spool
from services.notifications.post import PostOffice
from stagepost.engine.settings import Settings, headers_of, parts_of, secrets_folder
from stagepost.errors import BadSettings

PREFIX = "STAGEPOST_MAIL_"
SPOOL = "mail"
"""The folder of mails in that of all data."""


def _is_mail_server(url: SecretStr) -> SecretStr:
    parts = parts_of(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.port == 0:
        raise ValueError("it is no URL such as smtp://user:password@mail.example.org:587")
    return url


class MailSettings(BaseSettings):
    """Where mails go; where no server is named, into a spool."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True)

    server: Annotated[SecretStr, AfterValidator(_is_mail_server)] | None = Field(
        default=None,
        description="URL of the SMTP server; smtps:// where it talks TLS from the first byte.",
    )
    spool: Path | None = Field(
        default=None,
        description="Folder for mails where no server is named; by default among the data.",
    )
    sender: str = Field(
        default="shop@stagepost.example",
        pattern=r"^[^\s@<>]+@[^\s@<>]+$",
        description="Address that mails come from.",
    )


def open_post_office(settings: Settings) -> PostOffice:
    """Return what sends mails.

    Raises:
        BadSettings: nobody said where to, or where customers is.
    """
    mail = load()
    if (customers := settings.services.get("customers")) is None:
        raise BadSettings("cannot start: STAGEPOST_SERVICES does not say where customers is")
    return PostOffice(
        _carrier(mail, settings),
        customers.rstrip("/"),
        mail.sender,
        settings.call_timeout,
        headers_of(settings),
    )


def _carrier(mail: MailSettings, settings: Settings) -> Carrier:
    if mail.server is not None:
        return MailServer(mail.server.get_secret_value(), settings.call_timeout)
    spool = mail.spool or (settings.disk and settings.disk / SPOOL)
    if spool is None:
        raise BadSettings(
            f"cannot start: nobody said where mails go: {PREFIX}SERVER, or {PREFIX}SPOOL"
        )
    return Spool(spool)


def load() -> MailSettings:
    """Read what notifications alone is told.

    Raises:
        BadSettings: names what is wrong.
    """
    try:
        return MailSettings(_secrets_dir=secrets_folder())
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        name = f"{PREFIX}{str(fault['loc'][0]).upper()}"
        raise BadSettings(f"cannot start: {name}: {fault['msg']}") from None
