"""The story of a log: what happened, because of what, and who reacted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stagepost.engine.replay.log import Log, Which
from stagepost.engine.replay.story import Happened, tell
from stagepost.engine.replay.story_shown import object_of, text_of
from stagepost.errors import BadSettings


async def story(logs: dict[str, Log], service: str, which: Which) -> list[Happened]:
    told: list[Happened] = []
    await tell(logs[service], logs.values(), which, told.append)
    return told


async def test_the_story_of_an_order_names_causes_and_who_reacted(logs: dict[str, Log]) -> None:
    requested, received = await story(logs, "payments", Which(key="good-1"))

    assert requested.stream == received.stream == "payment/fulfillment/good-1"
    assert [requested.entry.version, received.entry.version] == [1, 2]
    assert requested.cause is not None
    assert requested.cause.type == "payments.RetrievePayment"
    (charge,) = requested.told
    assert (charge.message.type, charge.message.peer) == ("payments.Charge", "provider")
    assert [line.type for line in charge.heard] == ["payments.Charged"]
    assert received.cause is not None
    assert received.cause.peer == "provider"
    (told,) = received.told
    assert told.message.type == "payments.PaymentReceived"
    assert [(line.service, line.outcome) for line in told.heard] == [("fulfillment", "handled")]


async def test_it_is_printed_with_what_the_event_says(logs: dict[str, Log]) -> None:
    _, received = await story(logs, "payments", Which(key="good-1"))

    lines = text_of(received).splitlines()
    assert "payment/fulfillment/good-1  payments.Payment.Received  version 2" in lines[0]
    assert lines[1].startswith('    {"charge_id":"ch_')
    assert lines[2:] == [
        "    because of payments.Charged, answer of provider",
        "    then event payments.PaymentReceived: fulfillment handled it",
    ]
    shown = object_of(received)
    assert list(shown) == [
        "position", "recorded_at", "stream", "version", "topic", "data", "cause", "told",
    ]  # fmt: skip


async def test_a_process_is_found_by_what_it_heard(logs: dict[str, Log]) -> None:
    found = await story(logs, "fulfillment", Which(types=["payments.*"]))

    heard = {one.cause.type for one in found if one.cause is not None}
    assert heard == {
        "payments.PaymentReceived", "payments.PaymentDeclined", "payments.PaymentRefunded",
    } & heard  # fmt: skip
    assert len(found) >= 4
    assert {one.entry.topic for one in found} == {"stagepost.Instance.Reacted"}


async def test_events_are_found_by_topic_and_by_time(logs: dict[str, Log]) -> None:
    placed = await story(logs, "ordering", Which(types=["ordering.*.Placed"]))
    assert len(placed) == 4

    since = placed[2].entry.recorded_at
    later = await story(logs, "ordering", Which(types=["ordering.*.Placed"], since=since))
    assert [one.entry for one in later] == [
        one.entry for one in placed if one.entry.recorded_at >= since
    ]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert await story(logs, "ordering", Which(since=tomorrow)) == []


@pytest.mark.parametrize(
    ("which", "said"),
    [
        (Which(key="good-11"), "no order in payments 'good-11'; did you mean good-1"),
        (Which(types=["payments.Payment.Recieved"]), "did you mean payments.Payment.Received"),
        (Which(types=["shipping.*"]), "there is no type in payments 'shipping.*'; there are: "),
    ],
)
async def test_what_nobody_knows_is_refused(logs: dict[str, Log], which: Which, said: str) -> None:
    with pytest.raises(BadSettings) as refused:
        await story(logs, "payments", which)
    assert said in str(refused.value)


async def test_pages_make_the_whole(logs: dict[str, Log]) -> None:
    for service in ("ordering", "inventory"):
        whole: list[int] = []
        by_three: list[int] = []

        async def all_at_once(page: list, into: list[int] = whole) -> None:
            into.extend(entry.position for entry in page)

        async def in_pages(page: list, into: list[int] = by_three) -> None:
            assert len(page) <= 3
            into.extend(entry.position for entry in page)

        await logs[service].read(all_at_once)
        await logs[service].read(in_pages, limit=3)
        assert whole == by_three == sorted(set(whole))
        assert whole[-1] == await logs[service].head()
