"""The make variables of `make bench`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from stagepost.errors import BadSettings


class Options(BaseSettings):
    """What is measured, with how many orders, and how it is told."""

    model_config = SettingsConfigDict(env_ignore_empty=True, populate_by_name=True)

    orders: int = Field(default=5000, ge=20, le=1_000_000, validation_alias="ORDERS")
    seed: int = Field(default=7, validation_alias="SEED")
    only: str | None = Field(default=None, validation_alias="ONLY")
    styles: Literal["all"] | None = Field(default=None, validation_alias="STYLES")
    soak: bool = Field(default=False, validation_alias="SOAK")
    as_json: bool = Field(default=False, validation_alias="JSON")


def read_options() -> Options:
    """Read the options.

    Raises:
        BadSettings: names the first that is wrong.
    """
    try:
        return Options()
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadSettings(f"{fault['loc'][0]}={fault['input']}: {fault['msg']}") from None
