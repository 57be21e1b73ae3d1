"""`python -m tests.drill`: what `make drill` runs. Its options are environment variables."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console

from services.demo.__main__ import BAD_OPTIONS, INTERRUPTED, WRONG, say
from stagepost.engine.flow import Flow
from stagepost.engine.stack.foreground import interruptible
from stagepost.engine.styles import ORCHESTRATED
from stagepost.errors import BadSettings, StagepostError
from tests.drill.catalogue import CATALOGUE, long_schedule, named, schedule
from tests.drill.fault import Fault
from tests.drill.report import Injection, Report, show, told
from tests.drill.run import drill

AT_MOST = 225.0
"""Seconds after which a short drill begins no fault any more: a slow machine does fewer."""

DATA = Path(".stagepost/drill")


class Options(BaseSettings):
    """The make variables of `make drill`."""

    model_config = SettingsConfigDict(env_ignore_empty=True, populate_by_name=True)

    seed: int = Field(default=7, validation_alias="SEED")
    long: bool = Field(default=False, validation_alias="LONG")
    as_json: bool = Field(default=False, validation_alias="JSON")
    only: str = Field(default="", validation_alias="ONLY")
    style: str = Field(default=ORCHESTRATED, validation_alias="STYLE")


def plan_of(options: Options, flow: Flow) -> list[Fault]:
    """Return the faults to be done, in order. ONLY names some: parts of names, comma between.

    Raises:
        ValueError: there is nothing to be done.
    """
    faults: Sequence[Fault] = CATALOGUE
    if options.only:
        faults = named(word.strip() for word in options.only.split(","))
    if without := [fault.name for fault in faults if not fault.needs(flow)]:
        say(f"left out, for nothing is there to hit in services that are {flow}:")
        say("\n".join(f"  {name}" for name in without))
    faults = [fault for fault in faults if fault.needs(flow)]
    if not faults:
        raise ValueError("no fault is left")
    if options.only and not options.long:
        return faults
    return (long_schedule if options.long else schedule)(options.seed, faults)


async def run(options: Options, flow: Flow, plan: Sequence[Fault]) -> Report:
    """Do the plan, saying how it goes."""
    started = time.monotonic()

    def tell(injection: Injection) -> None:
        say(f"{time.monotonic() - started:6.1f} s  {told(injection)}")

    say(f"{len(plan)} injections, {flow}, seed {options.seed}; logs in {DATA}/logs")
    until = inf if options.long or options.only else started + AT_MOST
    injections, strays = await drill(plan, options.seed, DATA, tell, until, flow=flow)
    seconds = time.monotonic() - started
    return Report(options.seed, seconds, injections, len(plan), len(CATALOGUE), strays)


async def main() -> int:
    """Run the drill; return the exit status."""
    try:
        options = Options()
        flow = Flow(options.style)
        plan = plan_of(options, flow)
    except (ValidationError, ValueError, BadSettings) as error:
        say(f"drill: {error}")
        return BAD_OPTIONS
    try:
        report = await interruptible(run(options, flow, plan))
    except StagepostError as error:
        say(f"drill: {error}")
        return WRONG
    if report is None:
        return INTERRUPTED
    if options.as_json:
        print(json.dumps(report.as_json()))  # noqa: T201  # the result
    else:
        show(report, Console())
    return 0 if report.all_is_well else WRONG


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
