"""Cyclic garbage, of which a replay makes next to none: it is looked for less often meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

ALLOCATIONS = 50_000
"""New objects between two looks at the youngest: those of many pages, not of every third of one."""


@contextmanager
def seldom_looked_for() -> Iterator[None]:
    """Look seldom, and not at all at what is there already: see decision 0020."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
