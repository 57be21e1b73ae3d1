"""`python -m tests.bench`: what `make bench` runs. Its options are environment variables."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import uvloop

from stagepost.engine.stack import Stack, interruptible
from stagepost.errors import BadSettings, StagepostError
from tests.bench.book import two_lines
from tests.bench.cpu import two_cores
from tests.bench.load import BenchFailed
from tests.bench.options import Options, read_options
from tests.bench.probe import probe
from tests.bench.servers import start_servers
from tests.bench.sustained import WINDOWS, push

DATA = Path(".stagepost/bench").absolute()
WRONG, BAD_OPTIONS, INTERRUPTED = 1, 2, 130


def say(line: str) -> None:
    """Tell whoever watches how it goes; standard output is for the result alone."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # it is for a person to read


async def run(options: Options) -> dict[str, Any]:
    async with start_servers(DATA / "servers", say) as servers:
        before = await probe(servers)
        say(f"the probe: {before:,.0f} orders/s")
        async with Stack(DATA / "stack", fresh=True, timers=WINDOWS, say=say) as stack:
            sustained = await push(stack, two_lines(options.orders, options.seed), say)
        after = await probe(servers)
        say(f"the probe: {after:,.0f} orders/s")
    mean = (before + after) / 2
    return {
        "vs_probe": round(sustained.run.orders_per_second / mean, 3),
        "orders_per_second": round(sustained.run.orders_per_second, 1),
        "messages_per_second": round(sustained.messages_per_second, 1),
        "probe_orders_per_second": round(mean, 1),
        "seconds_placing": round(sustained.run.placed, 2),
        "seconds": round(sustained.run.ended, 2),
        "cpu_ms_per_order": {n: round(ms, 3) for n, ms in sustained.cpu_ms.items() if ms >= 0.001},
        "rss_mib": {n: round(mib, 1) for n, mib in sustained.rss_mib.items()},
    }


async def main() -> int:
    """Run the bench; return the exit status."""
    try:
        options = read_options()
    except BadSettings as error:
        say(f"bench: {error}")
        return BAD_OPTIONS
    two_cores()
    try:
        figures = await interruptible(run(options))
    except (BenchFailed, StagepostError) as error:
        say(f"bench: {error}")
        return WRONG
    if figures is None:
        return INTERRUPTED
    print(json.dumps(figures, indent=None if options.as_json else 2))  # noqa: T201  # the result
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
