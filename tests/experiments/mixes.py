"""Old and new services side by side: which deployments must move together, found by trying.

Of the services that a change touches, some are deployed and the others are not yet. In each such
mix every story of an order is walked to its end with the services' own code, as
tests/processes/test_every_chain.py does it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from tests.experiments.checkout import changed
from tests.experiments.result import Table

WALK = """
import json
from tests.processes.chain import Budget
from tests.processes.test_every_chain import explore, wrong
print(json.dumps(sorted(wrong(explore(budget=Budget(cancels=1))))))
"""

PLANTED = "tests/processes/chain_faults.py"
"""Faults to plant: they name parts of new services, which a mix may lack."""


@dataclass(frozen=True)
class Mix:
    """Which services are new in it, and what then is wrong in some story that was not before."""

    deployed: frozenset[str]
    wrong: frozenset[str]


async def mixes_of(change: str, touched: Iterable[str], say: Callable[[str], None]) -> list[Mix]:
    """Walk every mix of old and new, from no service that was there before to all of them."""
    services = sorted(touched)
    every = [set(some) for n in range(len(services) + 1) for some in combinations(services, n)]
    found: list[Mix] = []
    before: frozenset[str] | None = None
    for deployed in every:
        say(f"   stories with {', '.join(sorted(deployed)) or 'none'} of {', '.join(services)}")
        with changed(change) as copy:
            for path in (PLANTED, *(f"services/{name}" for name in {*services} - deployed)):
                copy.restore(path)
            wrong = frozenset(json.loads(await copy.told("-c", WALK)))
        before = wrong if before is None else before
        found.append(Mix(frozenset(deployed), wrong - before))
    return found


def together(mixes: Sequence[Mix]) -> frozenset[str]:
    """Return who must be deployed at once: the largest step on the best way from none to all.

    A way goes by mixes in which nothing is wrong; where one service after the other can be deployed
    there is no such step.
    """
    steps: dict[frozenset[str], frozenset[str]] = {frozenset(): frozenset()}
    for here in (mix.deployed for mix in mixes if mix.deployed and not mix.wrong):
        ways = [max(steps[on], here - on, key=len) for on in steps if on < here]
        steps[here] = min(ways, key=len)
    largest = steps[max(steps, key=len)]
    return largest if len(largest) > 1 else frozenset()


def table_of(mixes: Sequence[Mix]) -> Table:
    """Show what is wrong in each mix."""
    touched = sorted(mixes[-1].deployed)
    rows = [
        (
            *("new" if name in mix.deployed else "old" for name in touched),
            "; ".join(sorted(mix.wrong)) or ("nothing" if mix.deployed else "as before"),
        )
        for mix in mixes
    ]
    title = "Choreographed, while not all is deployed: what can become of an order, in any story"
    return Table(title, (*touched, "what is wrong then"), rows)
