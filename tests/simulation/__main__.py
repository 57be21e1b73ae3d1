"""`make simulate`: seeds, every single fault at every call of an order, or the planted bugs.

SEEDS=1000 fresh seeds; SEED=n repeats one, with all that it drew; BUGS=1 plants bugs and looks for
them; STYLE=choreographed or synchronous runs the services in that style; JSON=1 writes one JSON
object to standard output and nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from random import SystemRandom
from typing import Any, TypeVar

from tests.simulation.bugs import BUGS, WITHIN, Bug, Found, hunt
from tests.simulation.plan import STYLE, make_plan
from tests.simulation.run import Result, run_seed, workers
from tests.simulation.single import PATHS, Case, cases
from tests.simulation.summary import Summary

A = TypeVar("A")
B = TypeVar("B")

PROGRESS = 100
"""Seeds between two words about how far it is."""

REPEAT = f"make simulate STYLE={STYLE} SEED={{}}"


def main() -> int:
    """Do what the environment asks for; return the exit status."""
    if seed := os.environ.get("SEED"):
        return _repeat(seed)
    with workers() as pool:
        if os.environ.get("BUGS"):
            return _bugs(pool)
        return _simulate(pool, int(os.environ.get("SEEDS") or 1000))


def _repeat(seed: str) -> int:
    result = run_seed(seed)
    _tell(f"seed {seed}\n{make_plan(seed).described()}\ntrace {result.trace}")
    _tell(_counted(result.fired))
    _write({"seed": seed, "trace": result.trace, "broken": result.broken}, _verdict(result.broken))
    return bool(result.broken)


def _simulate(pool: ProcessPoolExecutor, seeds: int) -> int:
    base = SystemRandom().randrange(10**9)
    began, summary = time.monotonic(), Summary()
    _tell(f"{seeds:,} seeds, from {base}")
    for result in _map(pool, run_seed, range(base, base + seeds)):
        summary.add(result)
        if result.broken:
            _tell_failure(result)
        if summary.seeds % PROGRESS == 0:
            _tell(f"{summary.seeds:,} seeds, {len(summary.failed)} broke a promise")
    took = time.monotonic() - began
    single = _every_single_fault(pool)
    failed = bool(summary.failed or single["failed"] or summary.never_fired())
    _write(
        {**summary.figures(), "from": base, "seconds": round(took, 1), "single_faults": single},
        f"{summary.described()}\n{seeds / took:,.1f} seeds a second\n{_described(single)}",
    )
    return failed


def _every_single_fault(pool: ProcessPoolExecutor) -> dict[str, Any]:
    found = {}
    failed = 0
    for path in PATHS:
        todo = list(cases(path))
        ends: Counter[str] = Counter()
        for case, result in zip(todo, _map(pool, Case.run, todo), strict=True):
            ends += result.ends
            failed += bool(result.broken)
            if result.broken:
                _tell(f"{case}\n{_verdict(result.broken)}")
        found[path] = {"calls": len({c.at for c in todo}), "runs": len(todo), **ends}
    return {"paths": found, "failed": failed}


def _described(single: dict[str, Any]) -> str:
    lines = [
        f"{path}: {f.pop('calls')} I/O calls, {f.pop('runs'):,} runs with one fault; {_counted(f)}"
        for path, f in single["paths"].items()
    ]
    return "\n".join((*lines, f"{single['failed']} of them broke a promise"))


def _bugs(pool: ProcessPoolExecutor) -> int:
    found = list(zip(BUGS, pool.map(_hunt, range(len(BUGS))), strict=True))
    width = max(len(bug.name) for bug in BUGS)
    table = [f"{bug.name:{width}}  {_in_words(bug, hit)}" for bug, hit in found]
    figures = {bug.name: hit and {"by": hit.by, "broken": hit.broken} for bug, hit in found}
    missed = sum(hit is None for _, hit in found)
    table.append(f"{len(BUGS) - missed} of {len(BUGS)} planted bugs found")
    _write({"bugs": figures, "missed": missed}, "\n".join(table))
    return bool(missed)


def _hunt(number: int) -> Found | None:
    return hunt(BUGS[number], BUGS[number].seeds)


def _in_words(bug: Bug, hit: Found | None) -> str:
    return f"not found in {WITHIN} seeds" if hit is None else f"{hit.by:10} {hit.broken[:110]}"


def _tell_failure(result: Result) -> None:
    seed = result.plan.seed
    _tell(f"\nseed {seed} broke a promise\n{result.plan.described()}\n{_verdict(result.broken)}")
    _tell(f"to repeat it: {REPEAT.format(seed)}\n")


def _verdict(broken: list[str]) -> str:
    return "\n".join(f"broken: {fault}" for fault in broken) or "every promise holds"


def _counted(figures: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in figures.items())


def _map(pool: ProcessPoolExecutor, work: Callable[[A], B], todo: Iterable[A]) -> Iterator[B]:
    return pool.map(work, todo, chunksize=8)


def _write(figures: dict[str, Any], text: str) -> None:
    sys.stdout.write(f"{json.dumps(figures) if os.environ.get('JSON') else text}\n")


def _tell(progress: str) -> None:
    sys.stderr.write(f"{progress}\n")


if __name__ == "__main__":
    sys.exit(main())
