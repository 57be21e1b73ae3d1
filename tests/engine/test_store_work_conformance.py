"""What waits in a store to be worked off: calls and timers; for every store."""

from __future__ import annotations

from collections.abc import Sequence

from stagepost.engine.batch import Batch, Commit, Outgoing, Retry
from stagepost.engine.envelope import Envelope
from stagepost.engine.store import PendingCall
from tests.engine.stores import (
    CONFLICT,
    DUPLICATE,
    KEPT,
    SERVICE,
    World,
    append,
    called,
    heard,
    ids,
    outcomes,
    reminder,
    writes,
)

HOUR = 3600.0

# Calls


async def send(world: World, *messages: Outgoing) -> None:
    await append(world.store, *(Commit(heard(m.key), sends=[m]) for m in messages))


async def due(world: World, busy: Sequence[str] = ()) -> list[PendingCall]:
    return (await world.store.due_calls(100, busy))[0]


async def test_a_call_is_due_at_once_with_all_that_is_said_about_it(world: World) -> None:
    cause = heard("k", traceparent="00-abc-def-01")
    charge = called("k", body=b'{"amount":7}')
    await append(world.store, Commit(cause, sends=[charge]))
    (call,) = await due(world)
    assert (call.channel, call.attempt) == ("provider", 0)
    assert call.message.id == charge.id
    assert call.message.type == "payments.Charge"
    assert call.message.source == SERVICE
    assert call.message.body == b'{"amount":7}'
    assert call.message.correlation == cause.correlation
    assert call.message.causation == cause.id
    assert call.message.traceparent == cause.traceparent


async def test_a_call_of_a_key_waits_behind_the_earlier_one(world: World) -> None:
    first, second, other = called("k"), called("k"), called("other")
    await send(world, first, second, other)
    assert [call.message.id for call in await due(world)] == [first.id, other.id]
    (call, _) = await due(world)
    await append(world.store, Commit(heard("k"), call=call.position))
    assert {call.message.id for call in await due(world)} == {second.id, other.id}


async def test_calls_of_one_key_in_different_lanes_do_not_wait_or_supersede(world: World) -> None:
    first, second = called("k", lane="a/k"), called("k", lane="b/k")
    await send(world, first, second)
    assert [call.message.id for call in await due(world)] == [first.id, second.id]
    assert [call.message.id for call in await due(world, ["a/k"])] == [second.id]
    refund = called("k", lane="b/k", supersedes=True)
    await send(world, refund)
    assert [call.message.id for call in await due(world)] == [first.id, refund.id]


async def test_a_call_waits_behind_an_earlier_one_that_is_not_due(world: World) -> None:
    await send(world, called("k"), called("k"))
    (first,) = await due(world)
    await append(world.store, retries=[Retry(first.position, 30)])
    calls, later = await world.store.due_calls(10, [])
    assert calls == []
    assert later is not None
    assert 29 < later <= 30


async def test_calls_of_busy_keys_are_left_out(world: World) -> None:
    await send(world, called("k"), called("other"))
    assert [call.message.key for call in await due(world, ["k"])] == ["other"]
    assert await world.store.due_calls(10, ["k", "other"]) == ([], None)


async def test_calls_of_full_channels_are_left_out(world: World) -> None:
    await send(world, called("k"), called("other", channel="carrier"))
    calls, later = await world.store.due_calls(1, [], ["provider"])
    assert ([call.message.key for call in calls], later) == (["other"], None)
    assert await world.store.due_calls(10, [], ["provider", "carrier"]) == ([], None)


async def test_no_more_calls_are_returned_than_asked_for(world: World) -> None:
    await send(world, called("k1"), called("k2"), called("k3"))
    calls, _ = await world.store.due_calls(2, [])
    assert [call.message.key for call in calls] == ["k1", "k2"]


async def test_a_call_that_is_tried_again_comes_later_and_counts_its_attempts(world: World) -> None:
    await send(world, called("k"))
    (call,) = await due(world)
    await append(world.store, retries=[Retry(call.position, 5)])
    assert await due(world) == []
    await world.later(6)
    assert [(c.position, c.attempt) for c in await due(world)] == [(call.position, 1)]
    await append(world.store, retries=[Retry(call.position, 5)])
    await world.later(6)
    assert [(c.position, c.attempt) for c in await due(world)] == [(call.position, 2)]


async def test_a_call_that_a_wrong_clock_put_off_is_due_at_once(world: World) -> None:
    await send(world, called("k1"), called("k2"))
    wrong, right = await due(world)
    await append(world.store, retries=[Retry(wrong.position, 5)])
    await world.later(-HOUR)
    await append(world.store, retries=[Retry(right.position, 5)])
    assert await due(world) == []
    await world.store.put_right(longest_retry=30)
    assert [call.position for call in await due(world)] == [wrong.position]
    await world.later(6)
    assert [call.position for call in await due(world)] == [wrong.position, right.position]


async def test_a_call_that_was_answered_is_not_tried_again(world: World) -> None:
    await send(world, called("k"))
    (call,) = await due(world)
    await append(world.store, Commit(heard("k"), call=call.position))
    await append(world.store, retries=[Retry(call.position, 0)])
    assert await world.store.due_calls(10, []) == ([], None)


async def test_a_second_answer_to_a_call_is_a_duplicate(world: World) -> None:
    await send(world, called("k"))
    (call,) = await due(world)
    assert await outcomes(world.store, Commit(heard("k"), call=call.position)) == [KEPT]
    assert await outcomes(world.store, Commit(heard("k"), call=call.position)) == [DUPLICATE]


async def test_of_two_answers_in_one_batch_the_second_is_a_duplicate(world: World) -> None:
    await send(world, called("k"))
    (call,) = await due(world)
    twice = [Commit(heard("k"), call=call.position), Commit(heard("k"), call=call.position)]
    assert await outcomes(world.store, *twice) == [KEPT, DUPLICATE]


async def test_an_answer_that_failed_leaves_the_call_waiting(world: World) -> None:
    await send(world, called("k"))
    (call,) = await due(world)
    assert await outcomes(world.store, writes("a", 9, call=call.position)) == [CONFLICT]
    assert await due(world) == [call]


async def test_a_call_makes_earlier_calls_of_its_key_void(world: World) -> None:
    charge, other, refund = called("k"), called("other"), called("k", supersedes=True)
    await send(world, charge, other)
    answers = [Commit(heard(c.message.key), call=c.position) for c in await due(world)]
    await send(world, refund)
    assert {call.message.id for call in await due(world)} == {other.id, refund.id}
    assert await outcomes(world.store, *answers) == [DUPLICATE, KEPT]


async def test_an_answer_that_the_batch_itself_made_void_is_a_duplicate(world: World) -> None:
    await send(world, called("k"))
    (charge,) = await due(world)
    refunds = Commit(heard("k"), sends=[called("k", supersedes=True)])
    answer = Commit(heard("k"), call=charge.position)
    assert await outcomes(world.store, refunds, answer) == [KEPT, DUPLICATE]


async def test_a_superseding_call_that_failed_voids_nothing(world: World) -> None:
    charge = called("k")
    await send(world, charge)
    await append(world.store, writes("a", 9, sends=[called("k", supersedes=True)]))
    assert ids([call.message for call in await due(world)]) == [charge.id]


async def test_a_call_that_is_sent_after_a_superseding_one_stands(world: World) -> None:
    refund, charge = called("k", supersedes=True), called("k")
    await append(world.store, Commit(heard("k"), sends=[called("k"), refund, charge]))
    (first,) = await due(world)
    assert first.message.id == refund.id
    await append(world.store, Commit(heard("k"), call=first.position))
    assert ids([call.message for call in await due(world)]) == [charge.id]


async def test_a_duplicate_answer_ends_its_call_too(world: World) -> None:
    store = world.store
    await append(store, writes("x", 1, sends=[called("a"), called("b")]))
    calls, _ = await store.due_calls(10, ())
    answer = heard("a", name="the answer")
    kept = await append(
        store,
        writes("y", 1, cause=answer, call=calls[0].position),
        writes("y", 2, cause=answer, call=calls[1].position),
    )
    assert list(kept.outcomes) == [KEPT, DUPLICATE]
    assert await store.due_calls(10, ()) == ([], None)


async def test_a_delivered_call_leaves_its_lane(world: World) -> None:
    store = world.store
    await append(store, writes("x", 1, sends=[called("a"), called("a")]))
    (first,), _ = await store.due_calls(10, ())
    await store.append(Batch(retries=[Retry(first.position, 60)]))
    assert (await store.due_calls(10, ()))[0] == []

    await store.append(Batch(retries=[Retry(first.position, 60, delivered=True)]))
    (second,), _ = await store.due_calls(10, ())
    assert second.position > first.position
    await world.later(61)
    again, _ = await store.due_calls(10, ())
    assert [call.position for call in again] in (
        [first.position, second.position],
        [second.position, first.position],
    )


# Timers


async def firing(world: World) -> list[Envelope]:
    return [timer.message for timer in (await world.store.due_timers(100))[0]]


async def test_a_timer_is_due_after_its_delay(world: World) -> None:
    cause = heard("k")
    timer = reminder("k", delay=10)
    await append(world.store, Commit(cause, timers=[timer]))
    none, wait = await world.store.due_timers(10)
    assert none == []
    assert wait is not None
    assert 0 < wait <= 10

    await world.later(11)
    (message,) = await firing(world)
    assert (message.id, message.type, message.kind) == (timer.id, "payments.AnswersDue", "timer")
    assert (message.key, message.source) == ("k", SERVICE)
    assert (message.correlation, message.causation) == (cause.correlation, cause.id)


async def test_a_timer_that_a_wrong_clock_set_is_due_after_its_delay(world: World) -> None:
    await append(world.store, Commit(heard("k1"), timers=[reminder("k1", delay=10)]))
    await world.later(-HOUR)
    await append(world.store, Commit(heard("k2"), timers=[reminder("k2", delay=10)]))
    await world.store.put_right(longest_retry=30)
    await world.store.put_right(longest_retry=30)
    await world.later(9)
    assert await firing(world) == []
    await world.later(2)
    assert {message.key for message in await firing(world)} == {"k1", "k2"}


async def test_timers_fire_in_the_order_in_which_they_are_due(world: World) -> None:
    late, soon = reminder("k1", delay=20), reminder("k2", delay=10)
    await append(world.store, Commit(heard("k"), timers=[late, soon]))
    await world.later(15)
    assert ids(await firing(world)) == [soon.id]
    await world.later(15)
    assert ids(await firing(world)) == [soon.id, late.id]
    assert ids([t.message for t in (await world.store.due_timers(1))[0]]) == [soon.id]


async def test_a_timer_that_fired_is_gone_with_the_commit_that_handled_it(world: World) -> None:
    await append(world.store, Commit(heard("k"), timers=[reminder("k", delay=0)]))
    (message,) = await firing(world)
    await append(world.store, writes("a", 9, cause=message))
    assert await firing(world) == [message]
    assert await outcomes(world.store, Commit(message)) == [KEPT]
    assert await world.store.due_timers(10) == ([], None)


async def test_timers_of_a_key_are_cleared(world: World) -> None:
    kept = reminder("other", delay=0)
    timers = [reminder("k", delay=0), reminder("k", delay=5), kept]
    await append(world.store, Commit(heard("k"), timers=timers))
    await append(world.store, writes("a", 9, clears="other"))
    await append(world.store, Commit(heard("k"), clears="k"))
    await world.later(6)
    assert ids(await firing(world)) == [kept.id]


async def test_a_timer_that_is_set_after_its_key_was_cleared_stays(world: World) -> None:
    timer = reminder("k", delay=0)
    clears, sets = Commit(heard("k"), clears="k"), Commit(heard("k"), timers=[timer])
    await append(world.store, clears, sets)
    assert ids(await firing(world)) == [timer.id]


async def test_a_timer_that_the_same_batch_clears_is_gone(world: World) -> None:
    sets = Commit(heard("k"), timers=[reminder("k", delay=0)])
    await append(world.store, sets, Commit(heard("k"), clears="k"))
    assert await world.store.due_timers(10) == ([], None)
