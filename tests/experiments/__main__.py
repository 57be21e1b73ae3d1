"""`python -m tests.experiments`: what `make experiment` runs. The environment has its options."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any, TypeAlias

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console

from stagepost.engine.stack.foreground import interruptible
from stagepost.errors import BadSettings, StagepostError
from tests.experiments.result import WIDTH, Result, show

Say: TypeAlias = Callable[[str], None]
Experiment: TypeAlias = Callable[[Say], Coroutine[Any, Any, Result]]

NAMES = ("criminal-check", "reorder", "second-caller", "dual-write", "tweet-or-mail")
"""Each is a module of this package, with underscores, and the `run` in it."""

WRONG, BAD_OPTIONS, INTERRUPTED = 1, 2, 130


class Options(BaseSettings):
    """The make variables of `make experiment`."""

    model_config = SettingsConfigDict(env_ignore_empty=True, populate_by_name=True)

    name: str = Field(default="", validation_alias="NAME")
    as_json: bool = Field(default=False, validation_alias="JSON")


def chosen(options: Options) -> Experiment:
    """Return the experiment that is asked for.

    Raises:
        BadSettings: there is none of this name.
    """
    if options.name not in NAMES:
        raise BadSettings(f"NAME={options.name}: there are {', '.join(NAMES)}")
    module = import_module(f"tests.experiments.{options.name.replace('-', '_')}")
    experiment: Experiment = module.run
    return experiment


def say(line: str) -> None:
    """Tell whoever watches how it goes; standard output is for the result alone."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # it is for a person to read


async def main() -> int:
    """Run one experiment; return the exit status."""
    try:
        options = Options()
        experiment = chosen(options)
    except (ValidationError, BadSettings) as error:
        say(f"experiment: {error}")
        return BAD_OPTIONS
    try:
        result = await interruptible(experiment(say))
    except StagepostError as error:
        say(f"experiment: {error}")
        return WRONG
    if result is None:
        return INTERRUPTED
    if options.as_json:
        print(json.dumps(result.as_json()))  # noqa: T201  # the result
    else:
        show(result, Console(width=None if sys.stdout.isatty() else WIDTH))
    return 0 if result.holds else WRONG


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
