"""The whole system on virtual time: fresh seeds hold every promise, planted bugs are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random, SystemRandom
from unittest.mock import patch

import pytest

from stagepost.engine.styles import CHOREOGRAPHED, SYNCHRONOUS
from tests.simulation.bugs import BUGS, Found, hunt
from tests.simulation.evidence import Evidence
from tests.simulation.plan import OWNER, make_plan
from tests.simulation.run import run_seed, workers
from tests.simulation.single import PATHS, Case, cases
from tests.simulation.summary import Summary

ROOT = Path(__file__).parents[2]
SEEDS = 200
SEEDS_OF_A_STYLE = 60
SINGLES = 150
"""Single faults of each path, drawn afresh; `make simulate` tries every one of them."""


SET_BACK = [seed for seed in range(1000) if make_plan(seed).set_back]


def hunted(number: int) -> Found | None:
    return hunt(BUGS[number], BUGS[number].seeds)


def broken_when_nothing_is_excused(seed: int) -> list[str]:
    with patch.object(Evidence, "decided_twice", frozenset()):
        return run_seed(seed).broken


def test_fresh_seeds_keep_every_promise() -> None:
    base = SystemRandom().randrange(10**9)
    sys.stdout.write(f"{SEEDS} seeds from {base}\n")
    summary, failures = Summary(), []
    with workers() as pool:
        for result in pool.map(run_seed, range(base, base + SEEDS), chunksize=8):
            summary.add(result)
            if result.broken:
                failures.append(
                    f"make simulate SEED={result.plan.seed}\n"
                    f"{make_plan(result.plan.seed).described()}\n{result.broken}"
                )
    assert not failures, "\n".join(failures)
    assert summary.never_fired() == []


@pytest.mark.parametrize("style", [CHOREOGRAPHED, SYNCHRONOUS])
def test_fresh_seeds_keep_every_promise_in_other_styles(style: str) -> None:
    base = SystemRandom().randrange(10**9)
    sys.stdout.write(f"STYLE={style}, {SEEDS_OF_A_STYLE} seeds from {base}\n")
    show = (
        "from tests.simulation.run import run_seed\n"
        f"for seed in range({base}, {base + SEEDS_OF_A_STYLE}):\n"
        "    if broken := run_seed(seed).broken:\n"
        f"        print(f'make simulate STYLE={style} SEED={{seed}}: {{broken}}')\n"
        "print('all ran')"
    )
    told = subprocess.run(
        [sys.executable, "-c", show],
        env={**os.environ, "STYLE": style},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "all ran\n"


def test_who_owns_the_outcome_and_is_set_back_decides_the_same_again() -> None:
    """But for a race or two: a time-out that was forgotten comes after the answer then."""
    owners = [s for s in range(4000) if (back := make_plan(s).set_back) and back.target == OWNER]
    with workers() as pool:
        broken = [*filter(None, pool.map(broken_when_nothing_is_excused, owners[:60], chunksize=4))]
    assert len(broken) <= 2, broken


@pytest.mark.parametrize("path", PATHS)
def test_single_faults_at_the_calls_of_one_order_keep_every_promise(path: str) -> None:
    everything = list(cases(path))
    assert len({case.at for case in everything}) > 100
    drawn = SystemRandom().sample(everything, SINGLES)
    with workers() as pool:
        results = pool.map(Case.run, drawn, chunksize=8)
        broken = [(c, r.broken) for c, r in zip(drawn, results, strict=True) if r.broken]
    assert broken == []


def test_every_planted_bug_is_found_by_the_promise_that_it_breaks() -> None:
    with workers() as pool:
        found = dict(
            zip((bug.name for bug in BUGS), pool.map(hunted, range(len(BUGS))), strict=True)
        )
    assert [name for name, by in found.items() if by is None] == []
    assert len(found) == len(BUGS) >= 25


@pytest.mark.parametrize(
    "name",
    [
        "relay out of order",
        "caller without idempotency key",
        "parked messages overtaken",
        "a late charge is kept",
        "nothing is undone",
    ],
)
def test_a_bug_is_found_although_a_database_was_set_back(name: str) -> None:
    (bug,) = (bug for bug in BUGS if bug.name == name)
    assert hunt(bug, SET_BACK) is not None


def test_a_seed_gives_the_same_trace_wherever_it_runs() -> None:
    seeds = Random(7).sample(range(10**6), 8)
    here = [run_seed(seed).trace for seed in seeds]
    assert here == [run_seed(seed).trace for seed in seeds]
    assert len(set(here)) == len(here)
    show = (
        f"from tests.simulation.run import run_seed; print(*[run_seed(s).trace for s in {seeds}])"
    )
    for hash_seed in ("0", "1"):
        elsewhere = subprocess.run(
            [sys.executable, "-c", show],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert elsewhere.stdout.split() == here
