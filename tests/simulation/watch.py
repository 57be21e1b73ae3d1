"""What must hold at every moment: looked at with each batch that a service is about to store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from stagepost.engine.batch import Batch, Commit
from stagepost.engine.timers import PATIENCE
from stagepost.engine.transport_names import NATS
from stagepost.messages import Kind
from tests.simulation.plan import POSTED

if TYPE_CHECKING:
    from tests.simulation.node import Node

ALL = -1


def would_break(node: Node, batch: Batch) -> dict[int, str]:
    """Say what is broken if these commits are kept, by their number; `ALL` if anything is."""
    found: dict[int, str] = {}
    store, lease = node.world.stores[node.service], batch.lease
    needs_none = {Kind.REQUEST, Kind.COMMAND} if POSTED else {Kind.REQUEST}
    needs_lease = batch.cursors or any(c.cause.kind not in needs_none for c in batch.commits)
    if lease is None and needs_lease:
        found[ALL] = f"3 {node.name} wrote what only the holder of the lease may, without one"
    if lease is not None and (newest := store._leases[lease.name][0].epoch) != lease.epoch:
        found[ALL] = f"3 {node.name} wrote under epoch {lease.epoch}, the newest is {newest}"
    for number, commit in enumerate(batch.commits):
        if commit.cause.kind == Kind.TIMER and commit.redrives is None:
            before = {earlier.cause.id for earlier in batch.commits[:number]}
            for fault in _too_early(node, commit, 0 if lease is None else lease.epoch, before):
                found[number] = fault
    return found


def _too_early(node: Node, commit: Commit, epoch: int, before: set[UUID]) -> Iterator[str]:
    """Fire a timer once it is due, and behind answers that lay in the backlog, for a while."""
    world, cause = node.world, commit.cause
    waiting = world.stores[node.service]._timers._waiting.get(cause.id)
    if waiting is not None and waiting[0].due_at > world.clocks[node.service].latest():
        yield f"7 {cause.type} for {cause.key} fired before {waiting[0].due_at:%H:%M:%S.%f}"
    if world.loop.time() - node.led_at.get(epoch, 0.0) >= PATIENCE:
        return
    heard = world.stores[node.service]._heard.keys() | before
    for source, tail in node.tails.get(epoch, {}).items():
        types = node.instance._routes.reads[NATS][source]
        for answer in world.broker.streams.get(source, [])[:tail]:
            if answer.key == cause.key and answer.type in types and answer.id not in heard:
                yield f"7 {cause.type} for {cause.key} fired before {answer.type}, which lay there"
