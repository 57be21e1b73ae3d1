"""What only the outside world is told. Every name has the prefix STAGEPOST_OUTSIDE_."""

from __future__ import annotations

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from stagepost.errors import BadSettings


class OutsideSettings(BaseSettings):
    """How the outside world behaves."""

    model_config = SettingsConfigDict(env_prefix="STAGEPOST_OUTSIDE_")

    slow_seconds: float = Field(
        default=3, ge=0, le=300, description="How long tok_slow and SLOW addresses take."
    )


def load() -> OutsideSettings:
    """Read them.

    Raises:
        BadSettings: names what is wrong.
    """
    try:
        return OutsideSettings()
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]["msg"]
        raise BadSettings(f"cannot start: STAGEPOST_OUTSIDE_SLOW_SECONDS: {fault}") from None
