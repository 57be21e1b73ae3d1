"""`python -m tests.bench`: what `make bench` runs. Its options are environment variables."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import uvloop
from rich.console import Console

from stagepost.engine.stack import interruptible
from stagepost.engine.telemetry import configure_logging
from stagepost.errors import BadSettings, StagepostError
from tests.bench.cpu import two_cores
from tests.bench.figures import FIGURES, LONG, Bench, Figures, compared
from tests.bench.load import BenchFailed
from tests.bench.marks import show
from tests.bench.options import Options, read_options
from tests.bench.servers import start_servers
from tests.bench.styles import compare, show_styles

DATA = Path(".stagepost/bench").absolute()
WRONG, BAD_OPTIONS, INTERRUPTED = 1, 2, 130


def chosen(options: Options) -> list[str]:
    """Return the names of the figures to be measured.

    Raises:
        BadSettings: there is none of this name.
    """
    if options.only is None:
        return [*FIGURES, *(LONG if options.soak else ())]
    known = FIGURES | LONG
    for name in options.only.split(","):
        if name not in known:
            raise BadSettings(f"ONLY={name}: there are {', '.join(known)}")
    return options.only.split(",")


async def measure(options: Options, names: list[str]) -> Figures:
    """Measure one after the other."""
    figures: Figures = {}
    for name in names:
        # Servers of its own: none finds caches and files that another left.
        async with start_servers(DATA / "servers", say) as servers:
            say(f"-- {name}")
            figures |= await (FIGURES | LONG)[name](Bench(options, DATA, servers, say))
    return figures | compared(figures)


def say(line: str) -> None:
    """Tell whoever watches how it goes; standard output is for the result alone."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # it is for a person to read


async def main() -> int:
    """Run the bench; return the exit status."""
    try:
        options = read_options()
        names = chosen(options)
    except BadSettings as error:
        say(f"bench: {error}")
        return BAD_OPTIONS
    two_cores()
    configure_logging("ERROR", service="bench")  # parts of a service run in this process
    try:
        if options.styles:
            return await _styles(options)
        figures = await interruptible(measure(options, names))
    except (BenchFailed, StagepostError) as error:
        say(f"bench: {error}")
        return WRONG
    if figures is None:
        return INTERRUPTED
    if options.as_json:
        print(json.dumps(figures))  # noqa: T201  # the result
    else:
        show(figures, Console())
    return 0


async def _styles(options: Options) -> int:
    styles = await interruptible(compare(DATA, options.orders, options.seed, say))
    if styles is None:
        return INTERRUPTED
    if options.as_json:
        print(json.dumps(styles))  # noqa: T201  # the result
    else:
        show_styles(styles, Console())
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
