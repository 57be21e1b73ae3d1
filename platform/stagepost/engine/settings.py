"""Settings of one service process, from the environment: each is named, explained and checked."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    DirectoryPath,
    Field,
    FilePath,
    NonNegativeFloat,
    SecretStr,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from stagepost.engine.styles import ORCHESTRATED, STYLES
from stagepost.engine.tokens import bearer
from stagepost.errors import BadSettings

PREFIX = "STAGEPOST_"
SECRETS = f"{PREFIX}SECRETS"
"""A folder with settings as files, each with the name of one, in small letters; the environment
goes before them."""

T = TypeVar("T")


def _unique() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _is_certificate(file: Path) -> Path:
    try:
        ssl.create_default_context(cafile=file)
    except OSError:  # ssl.SSLError is one
        raise ValueError(f"there is no certificate in {file}") from None
    return file


def parts_of(url: SecretStr) -> SplitResult:
    """Take a URL apart.

    Raises:
        ValueError: it is none. What Python says of it may be a part of the password.
    """
    try:
        parts = urlsplit(url.get_secret_value())
        if "," not in parts.netloc:  # several servers have several ports
            _ = parts.port
    except ValueError:
        raise ValueError("it cannot be read: in a password, / is %2F, # is %23, @ is %40") from None
    return parts


def _is_postgres(dsn: SecretStr) -> SecretStr:
    parts = parts_of(dsn)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ValueError("it is no URL such as postgresql://user:password@host:5432/database")
    for file in parse_qs(parts.query).get("sslrootcert", ()):
        _is_certificate(Path(file))
    return dsn


def _is_nats(url: SecretStr) -> SecretStr:
    parts = parts_of(url)
    if parts.scheme not in {"nats", "tls"} or not parts.hostname:
        raise ValueError("it is no URL such as nats://user:password@host:4222, or tls://...")
    return url


class Settings(BaseSettings):
    """What a service is told when it starts; every name has the prefix STAGEPOST_."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    database: Annotated[SecretStr, AfterValidator(_is_postgres)] = Field(
        description="DSN of the service's own database, as its own role."
    )
    style: str = Field(
        default=ORCHESTRATED,
        pattern=f"^({'|'.join(STYLES)})$",
        description=f"How the services work together: {', '.join(STYLES)}.",
    )
    links: dict[str, str] = Field(
        default_factory=dict,
        description="The transport of each link, and the default of the others:"
        ' {"default": "nats", "fulfillment->payments": "http"}.',
    )
    only: frozenset[str] = Field(
        default=frozenset(),
        description="The services that run, where not all do: nobody else is listened to.",
    )
    external: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Who may send which commands from outside, beside the operator:"
        ' {"webshop": ["payments.RetrievePayment"]}.',
    )
    nats_url: Annotated[SecretStr, AfterValidator(_is_nats)] | None = Field(
        default=None, description="URL of the NATS server, with the service's user and password."
    )
    kafka: Path | None = Field(
        default=None,
        description="File that says how to reach Kafka: JSON with librdkafka's properties, such as"
        ' {"bootstrap.servers": "127.0.0.1:9092"}.',
    )
    services: dict[str, str] = Field(
        default_factory=dict,
        description='Where services are, for links over HTTP: {"payments": "http://127.0.0.1:8002"}.',
    )
    nats_ca: Annotated[FilePath, AfterValidator(_is_certificate)] | None = Field(
        default=None,
        description="Certificate of whoever vouches for the NATS server, where its URL is tls://...",
    )
    token_key: str | None = Field(
        default=None, description="Public key of whoever makes tokens: `stagepost token --key`."
    )
    token: SecretStr | None = Field(
        default=None,
        description="The service's own token, to ask others: `stagepost token service NAME`.",
    )
    rate_limit: int = Field(
        default=100,
        ge=1,
        description="Requests a second that a customer may make of one instance, and new tokens"
        " that an address may bring.",
    )
    instance: str = Field(
        default_factory=_unique,
        description="Name of this instance, unique among those of its service: one that is started"
        " again under its name takes over from its former self at once.",
    )
    host: str = Field(default="127.0.0.1", description="Address to serve HTTP on.")
    port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port to serve HTTP on; the service's own where none is given.",
    )
    socket_fd: int | None = Field(
        default=None,
        ge=0,
        description="A listening socket opened for this process, instead of host and port.",
    )
    pid_file: Path | None = Field(
        default=None,
        description="File to write the process id into, once this instance serves requests.",
    )
    calls: dict[str, str] = Field(
        default_factory=dict,
        description='Where the outside world is: {"provider": "http://127.0.0.1:8010/provider"}.',
    )
    call_timeout: float = Field(
        default=10, gt=0, le=300, description="Seconds to wait for one answer of the outside world."
    )
    timers: dict[str, NonNegativeFloat] = Field(
        default_factory=dict, description='Delays of timers in seconds, by name: {"AnswersDue": 2}.'
    )
    lease_seconds: float = Field(
        default=3,
        gt=0.1,
        le=300,
        description="How long an instance holds the lease without renewing it.",
    )
    backlog_limit: int = Field(
        default=100_000,
        ge=1,
        description="Messages that may wait for the broker; with more, new requests are refused.",
    )
    disk: DirectoryPath | None = Field(
        default=None,
        description="Folder on the disk that holds the data, where this machine has it: when that"
        " disk is nearly full, new requests are refused.",
    )
    disk_floor: int = Field(
        default=256 << 20, ge=0, description="Bytes of that disk to keep for what was accepted."
    )
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="DEBUG, INFO, WARNING or ERROR.",
    )


def needed(value: T | None, name: str) -> T:
    """Return a setting that not every service needs.

    Raises:
        BadSettings: it is missing.
    """
    if value is None:
        raise BadSettings(f"cannot start: this service needs {name} ({_purpose_of(name)})")
    return value


def headers_of(settings: Settings) -> dict[str, str]:
    """Return what a service says of itself to the others.

    Raises:
        BadSettings: it has no token.
    """
    return bearer(needed(settings.token, "STAGEPOST_TOKEN").get_secret_value())


def _purpose_of(name: str) -> str | None:
    return Settings.model_fields[name.removeprefix(PREFIX).lower()].description


def secrets_folder() -> Path | None:
    """Return where settings are files, None where nobody said so.

    Raises:
        BadSettings: there is no such folder.
    """
    named = os.environ.get(SECRETS)
    if named and not Path(named).is_dir():
        raise BadSettings(f"cannot start: {SECRETS}: there is no folder {named}")
    return Path(named) if named else None
