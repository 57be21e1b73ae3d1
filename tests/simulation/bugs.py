"""Bugs to be planted at run time: each takes one rule of the design away, and must be found.

A simulation that finds none of them proves nothing. Each has the seed that found it, and what that
saw; a change of the engine moves it, so the search goes on from there.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from contracts import payments
from services.fulfillment import process
from services.payments import handlers
from stagepost.engine import store_memory
from stagepost.engine.cache import Cache
from stagepost.engine.caller import Caller
from stagepost.engine.decisions import Decisions
from stagepost.engine.desk import Desk
from stagepost.engine.relay import Relay
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.tables_memory import MemoryTables
from stagepost.engine.timers import Timers
from tests.simulation import plants
from tests.simulation.ports import FaultyCalls, FaultyStore
from tests.simulation.run import run_seed

WITHIN = 200
"""Seeds that are tried for a bug."""

Plant = tuple[Any, Any, Any]
"""Where, what, and what stands there instead."""


@dataclass(frozen=True)
class Bug:
    """One rule taken away.

    A seed finds it that breaks a promise in these words, in which `*` stands for any: one of
    `WITHIN` seeds must, beginning with `seed`.
    """

    name: str
    plants: tuple[Plant, ...]
    seed: int
    breaks: str

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + WITHIN)

    @contextmanager
    def planted(self) -> Iterator[None]:
        with ExitStack() as stack:
            for where, name, instead in self.plants:
                if isinstance(where, dict):
                    stack.enter_context(patch.dict(where, {name: instead}))
                else:
                    stack.enter_context(patch.object(where, name, instead))
            yield


@dataclass(frozen=True, slots=True)
class Found:
    """What found a bug, and the first promise that broke."""

    by: str
    broken: str


def hunt(bug: Bug, seeds: Iterable[int]) -> Found | None:
    """Plant a bug, and run seed after seed until one shows it."""
    with bug.planted():
        for seed in seeds:
            if seen := fnmatch.filter(run_seed(seed).broken, bug.breaks):
                return Found(f"seed {seed}", seen[0])
    return None


BUGS = (
    Bug(
        "published before it is stored",
        ((Desk, "_append", plants.publish_first),),
        12,
        "7 * heard *, and nobody sent it",
    ),
    Bug(
        "outbox in a transaction of its own",
        ((FaultyStore, "append", plants.outbox_apart),),
        34,
        "7 * was never answered",
    ),
    Bug(
        "cursor before effect",
        ((FaultyStore, "append", plants.cursor_first),),
        14,
        "2 * never reached *",
    ),
    Bug("no inbox", ((MemoryStore, "_is_duplicate", plants.no_inbox),), 19, "3 * heard * times"),
    Bug(
        "lease without epoch",
        ((MemoryStore, "_is_newest", plants.any_epoch),),
        17,
        "3 * wrote under epoch *",
    ),
    Bug(
        "answered before it is stored",
        ((Decisions, "_has_put_off", lambda *_: False),),
        24,
        "10 GET * was answered with 404 *",
    ),
    Bug(
        "what was not there is taken for fresh",
        ((Cache, "trim", lambda _: None),),
        54,
        "10 POST * was answered with *",
    ),
    Bug(
        "what is put back stays in memory",
        ((Desk, "_put_back", plants.put_back_as_it_is),),
        41,
        "10 * was answered with 404 *",
    ),
    Bug(
        "versions not compared",
        ((MemoryStore, "_follows", lambda *_: True),),
        5,
        "what_is_in_memory_equals_its_events *",
    ),
    Bug(
        "what was read not compared",
        ((MemoryStore, "_follows", plants.no_checks),),
        51,
        "6 * was refused goods that were there",
    ),
    Bug(
        "cursor passes what failed",
        ((store_memory, "_stop", lambda *_: None),),
        14,
        "2 * never reached *",
    ),
    Bug(
        "nothing waits behind what failed",
        ((store_memory, "_touched", lambda _: set()),),
        145,
        "6 * was refused goods that were there",
    ),
    Bug(
        "a cut connection taken for done",
        ((FaultyStore, "append", plants.cut_is_done),),
        38,
        "10 * was answered with 404 *",
    ),
    Bug(
        "idempotency keys not kept",
        ((MemoryStore, "idempotent", plants.no_answers), (MemoryStore, "_answer", lambda *_: None)),
        4,
        "3 * orders were meant, *",
    ),
    Bug(
        "view without compare-and-set",
        ((MemoryTables, "save", plants.save_anyhow),),
        117,
        "8 the row *",
    ),
    Bug(
        "relay cursor before publication",
        (
            (Relay, "_publish", plants.cursor_before_publication),
            (Relay, "_reconcile", plants.trust_the_cursor),
        ),
        2,
        "2 the broker has *",
    ),
    Bug(
        "relay never looks at the broker's tail",
        ((Relay, "_reconcile", plants.trust_the_cursor),),
        3,
        "2 the broker has *",
    ),
    Bug("relay out of order", ((Relay, "_publish", plants.backwards),), 1, "2 the broker has *"),
    Bug(
        "incarnation not raised",
        ((Relay, "_begin_again", plants.keep_the_incarnation),),
        46,
        "2 * never reached *",
    ),
    Bug(
        "caller without idempotency key",
        ((FaultyCalls, "post", plants.another_key),),
        9,
        "3 the world was asked again *",
    ),
    Bug(
        "call struck off before its answer is stored",
        ((Caller, "_make", plants.answered_before_stored),),
        1,
        "2 the call * was never answered",
    ),
    Bug(
        "timer before backlog",
        ((Timers, "_wait_for_backlog", plants.no_patience),),
        275,
        "7 * fired before *",
    ),
    Bug(
        "parked messages overtaken",
        ((Decisions, "_decide", plants.overtake_the_parked),),
        14,
        "4 * came out of order",
    ),
    Bug(
        "a late charge is kept",
        ((handlers.HANDLERS, payments.RefundPayment, plants.refund_what_was_received),),
        5,
        "5 the provider keeps *",
    ),
    Bug(
        "nothing is undone",
        ((process, "undo", process.reject),),
        1,
        "6 * of * are held for * at rest",
    ),
)
"""Every bug that can be planted."""
