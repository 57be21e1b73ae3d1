"""The logs of a store: events, outbox and journal, in the order of commits; for every store."""

from __future__ import annotations

from itertools import pairwise

import pytest

from stagepost.engine.batch import Commit, Cursor, CursorId, Handled, Lease
from stagepost.engine.store import Stream
from stagepost.errors import Fenced
from tests.engine.stores import (
    SERVICE,
    World,
    append,
    called,
    happened,
    heard,
    ids,
    named,
    reminder,
    told,
    writes,
)


async def test_events_are_read_in_the_order_in_which_they_were_committed(world: World) -> None:
    cause = heard("a")
    await append(world.store, writes("b", 1), writes("b", 9), writes("a", 1, 2, cause=cause))
    await append(world.store, writes("b", 2))
    log = await world.store.events(0, 100)
    assert [n.event for n in log] == [
        happened("b", 1),
        happened("a", 1),
        happened("a", 2),
        happened("b", 2),
    ]
    assert all(before.position < after.position for before, after in pairwise(log))
    assert (log[1].correlation, log[1].causation) == (cause.correlation, cause.id)


async def test_events_are_read_by_the_page(world: World) -> None:
    await append(world.store, writes("a", 1, 2, 3))
    first = await world.store.events(0, 2)
    rest = await world.store.events(first[-1].position, 2)
    assert [n.event.originator_version for n in (*first, *rest)] == [1, 2, 3]


async def test_the_events_of_several_streams_are_loaded_at_once(world: World) -> None:
    await append(world.store, writes("a", 1), writes("b", 1), writes("a", 2))
    found = await world.store.load([named("a"), named("b"), named("nowhere")])
    assert found == {
        named("a"): Stream([happened("a", 1), happened("a", 2)]),
        named("b"): Stream([happened("b", 1)]),
    }


async def test_the_outbox_holds_what_goes_to_the_broker(world: World) -> None:
    cause = heard("k", traceparent="00-abc-def-01")
    command = told("k", kind="command", type="shipping.ShipGoods", recipient="shipping", version=2)
    await append(world.store, Commit(cause, sends=[called("k"), command]))
    (sent,) = await world.store.outbox(0, 10)
    assert (sent.id, sent.type, sent.version, sent.kind) == (command.id, command.type, 2, "command")
    assert (sent.source, sent.recipient, sent.key) == (SERVICE, "shipping", "k")
    assert (sent.correlation, sent.causation) == (cause.correlation, cause.id)
    assert (sent.traceparent, sent.body) == (cause.traceparent, command.body)
    assert sent.time is not None


async def test_the_outbox_is_read_by_the_page_in_the_order_of_commits(world: World) -> None:
    sends = [told() for _ in range(5)]
    await append(world.store, Commit(heard(), sends=sends[:2]), Commit(heard(), sends=sends[2:4]))
    await append(world.store, Commit(heard(), sends=sends[4:]))
    first = await world.store.outbox(0, 3)
    rest = await world.store.outbox(first[-1].position, 3)
    assert ids([*first, *rest]) == ids(sends)
    assert all(a.position < b.position for a, b in pairwise([*first, *rest]))


async def test_one_row_of_the_outbox_is_found_by_its_position(world: World) -> None:
    await append(world.store, Commit(heard(), sends=[told(), called(), told()]))
    first, last = await world.store.outbox(0, 10)
    assert await world.store.outbox_row(last.position) == last
    assert await world.store.outbox_row(first.position) == first
    assert await world.store.outbox_row(first.position + 1) is None
    assert await world.store.outbox_row(last.position + 1) is None


async def test_the_journal_says_what_was_heard_and_what_was_sent(world: World) -> None:
    cause = heard("k")
    event, charge = told("k"), called("k")
    command = told("k", kind="command", recipient="shipping")
    await append(world.store, Commit(cause, sends=[event, command, charge], detail="as agreed"))
    incoming, *outgoing = await world.store.journal("k", 0, 10)
    assert (incoming.direction, incoming.id, incoming.peer) == ("in", cause.id, "ordering")
    assert (incoming.outcome, incoming.detail) == ("handled", "as agreed")
    assert [(e.direction, e.id, e.peer, e.outcome) for e in outgoing] == [
        ("out", event.id, None, None),
        ("out", command.id, "shipping", None),
        ("out", charge.id, "provider", None),
    ]
    assert {(e.correlation, e.causation) for e in outgoing} == {(cause.correlation, cause.id)}


async def test_both_directions_of_the_journal_share_one_sequence(world: World) -> None:
    commits = [Commit(heard(key), sends=[told(key), called(key)]) for key in ("a", "b", "a")]
    await append(world.store, *commits[:2])
    await append(world.store, commits[2])
    log = await world.store.journal(None, 0, 100)
    assert all(before.position < after.position for before, after in pairwise(log))
    assert [e.id for e in log if e.direction == "in"] == ids([c.cause for c in commits])
    assert [e.id for e in log if e.direction == "out"] == ids([s for c in commits for s in c.sends])
    places = {e.id: e.position for e in log}
    assert all(
        places[e.causation] < e.position for e in log if e.direction == "out" and e.causation
    )
    assert {m.position for m in await world.store.outbox(0, 100)} < set(places.values())


async def test_the_journal_is_read_by_key_and_by_the_page(world: World) -> None:
    commits = [Commit(heard(key), sends=[told(key)]) for key in ("a", "b")]
    await append(world.store, *commits)
    whole = await world.store.journal(None, 0, 100)
    assert await world.store.journal(None, whole[1].position, 1) == [whole[2]]
    of_a = await world.store.journal("a", 0, 100)
    assert of_a == [entry for entry in whole if entry.key == "a"]
    assert await world.store.journal("a", of_a[0].position, 100) == of_a[1:]


async def test_the_journal_tells_handled_ignored_refused_and_parked_apart(world: World) -> None:
    for handled in Handled:
        await append(world.store, Commit(heard(), handled=handled))
    assert [e.outcome for e in await world.store.journal(None, 0, 10)] == list(Handled)


async def led(world: World) -> Lease:
    lease = await world.store.take_lease("service", "one", 60)
    assert lease is not None
    return lease


async def test_a_database_that_was_set_back_goes_on_beyond_what_was_published(world: World) -> None:
    await append(world.store, Commit(heard(), sends=[told()]))
    assert await world.store.incarnation() == 1
    await append(world.store, Commit(heard(), sends=[told()]))
    published, since = await world.store.outbox(0, 10)
    lease = await led(world)
    assert await world.store.raise_incarnation(1, 100, published.position, lease) == 2
    assert await world.store.incarnation() == 2
    await append(world.store, Commit(heard(), sends=[told()]))
    old, moved, new = await world.store.outbox(0, 10)
    assert old == published
    assert (moved.incarnation, moved.id) == (2, since.id)
    assert new.incarnation == 2
    assert moved.position <= 100 < new.position


async def test_positions_do_not_go_back_with_a_new_incarnation(world: World) -> None:
    await append(world.store, Commit(heard(), sends=[told(), told()]))
    old = await world.store.outbox(0, 10)
    await world.store.raise_incarnation(1, 1, 0, await led(world))
    await append(world.store, Commit(heard(), sends=[told()]))
    assert (await world.store.outbox(0, 10))[-1].position > old[-1].position


async def test_a_new_incarnation_is_beyond_one_that_this_database_has_forgotten(
    world: World,
) -> None:
    await append(world.store, Commit(heard(), sends=[told()]))
    assert await world.store.raise_incarnation(6, 100, 0, await led(world)) == 7
    assert [sent.incarnation for sent in await world.store.outbox(0, 10)] == [7]
    assert await world.store.raise_incarnation(2, 100, 0, await led(world)) == 8


async def test_who_no_longer_leads_begins_no_new_incarnation(world: World) -> None:
    await append(world.store, Commit(heard(), sends=[told()]))
    before = await world.store.outbox(0, 10)
    older = await led(world)
    await led(world)

    with pytest.raises(Fenced):
        await world.store.raise_incarnation(1, 100, 0, older)

    assert await world.store.incarnation() == 1
    assert await world.store.outbox(0, 10) == before


async def test_the_backlog_counts_what_is_pending(world: World) -> None:
    parks = Commit(heard("bad"), handled=Handled.PARKED, parks=True)
    works = Commit(heard(), sends=[called(), told()], timers=[reminder(), reminder()])
    await append(world.store, works, parks)
    backlog = await world.store.backlog(["relay"])
    assert backlog["outbox_pending"] > 0
    assert (backlog["calls_pending"], backlog["timers_pending"], backlog["dead_letters"]) == (
        1,
        2,
        1,
    )

    (sent,) = await world.store.outbox(0, 10)
    await append(world.store, cursors=[Cursor(CursorId("relay", SERVICE), 0, sent.position)])
    assert (await world.store.backlog(["relay"]))["outbox_pending"] == 0
