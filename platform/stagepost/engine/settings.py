"""Settings of one service process, from the environment: each is named, explained and checked."""

from __future__ import annotations

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from stagepost.errors import BadSettings


class Settings(BaseSettings):
    """What a service is told when it starts; every name has the prefix STAGEPOST_."""

    model_config = SettingsConfigDict(env_prefix="STAGEPOST_", extra="forbid")

    database: SecretStr = Field(description="DSN of the service's own database, as its own role.")
    owner_database: SecretStr | None = Field(
        default=None,
        description="The same as the owner of the tables: only `stagepost migrate` needs it.",
    )
    nats_url: SecretStr = Field(
        description="URL of the NATS server, with the service's user and password."
    )
    instance: str = Field(
        default="1", description="Name of this instance, unique among those of its service."
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
    calls: dict[str, str] = Field(
        default_factory=dict,
        description='Where the outside world is: {"provider": "http://127.0.0.1:8010/provider"}.',
    )
    call_timeout: float = Field(
        default=10, gt=0, le=300, description="Seconds to wait for one answer of the outside world."
    )
    timers: dict[str, float] = Field(
        default_factory=dict, description='Delays of timers in seconds, by name: {"AnswersDue": 2}.'
    )
    lease_seconds: float = Field(
        default=3,
        gt=0.1,
        le=300,
        description="How long an instance holds the lease without renewing it.",
    )
    log_level: str = Field(
        default="INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="DEBUG, INFO, WARNING or ERROR.",
    )


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        BadSettings: names every setting that is missing or wrong, and what it is for.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"STAGEPOST_{str(fault['loc'][0]).upper()}: {fault['msg']}"
            f" ({_purpose(str(fault['loc'][0]))})"
            for fault in error.errors(include_input=False)
        )
        raise BadSettings(f"cannot start, settings are missing or wrong: {faults}") from None


def _purpose(name: str) -> str:
    field = Settings.model_fields.get(name)
    return (field.description if field else None) or "no such setting"
