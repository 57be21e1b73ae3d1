"""What a drill makes of what it saw: faults that did nothing, and promises that broke, are told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO

import pytest
from rich.console import Console

from services.demo.__main__ import BAD_OPTIONS
from services.demo.promises import Finding
from stagepost.engine.flow import Flow
from stagepost.engine.styles import CHOREOGRAPHED, ORCHESTRATED, SYNCHRONOUS
from tests.drill import __main__ as command
from tests.drill.__main__ import Options, plan_of
from tests.drill.catalogue import CATALOGUE, INJECTIONS, SECONDS, long_schedule, named, schedule
from tests.drill.fault import Fault, Struck
from tests.drill.report import Injection, Report, show, told
from tests.drill.site import Site
from tests.drill.watch import first_after, standstill

HELD = Finding(holds=True, detail="3 messages")
LOST = Finding(holds=False, detail="1 violations, such as: it never reached payments")


async def strike(_: Site) -> Struck:
    return Struck("done", 0.0)


FAULT = Fault("the test's own", strike, standstill=5.0, after_back=2.0)
HOPELESS = Fault("hopeless", strike, broken={"2 no message is lost": "it was never kept"})


def injection(fault: Fault = FAULT, finding: Finding = HELD, **known: object) -> Injection:
    given = {
        "fault": fault,
        "at": 0.0,
        "orders": 90,
        "proof": "done",
        "standstill": 1.0,
        "after_back": 0.5,
        "findings": {"1 no order is lost": HELD, "2 no message is lost": finding},
    }
    return Injection(**{**given, **known})  # type: ignore[arg-type]


def report(*injections: Injection, strays: int = 0) -> Report:
    return Report(7, 12.0, injections, len(injections), len(CATALOGUE), strays)


def printed(of: Report) -> str:
    console = Console(record=True, width=200, file=StringIO())
    show(of, console)
    return console.export_text()


def test_all_is_well_where_every_fault_was_done_and_every_promise_held() -> None:
    seen = report(injection(), injection())
    assert seen.all_is_well
    assert "Every fault was done, every promise held." in printed(seen)
    [line] = seen.as_json()["faults"]
    assert (line["times"], line["promises_broken"], line["failures"]) == (2, {}, [])
    assert line["promises_held"] == ["1 no order is lost", "2 no message is lost"]


def test_a_broken_promise_is_told_and_fails_the_drill() -> None:
    seen = report(injection(), injection(finding=LOST))
    assert not seen.all_is_well
    assert "BROKEN 2 no message is lost" in printed(seen)
    [line] = seen.as_json()["faults"]
    assert line["promises_held"] == ["1 no order is lost"]
    assert line["promises_broken"] == {"2 no message is lost": LOST.detail}
    assert "BROKEN 2 no message is lost" in told(seen.injections[1])


@pytest.mark.parametrize(
    "failure", ["not fired: nobody was connected", "never quiet: 3 calls", "3 requests: 500"]
)
def test_a_fault_that_was_not_done_or_not_survived_fails_the_drill(failure: str) -> None:
    seen = report(injection(), injection(failures=[failure]))
    assert not seen.all_is_well
    assert failure in printed(seen)
    assert seen.as_json()["faults"][0]["failures"] == [failure]


def test_a_drill_that_did_nothing_is_no_success() -> None:
    assert not report().all_is_well


def test_messages_that_no_check_has_seen_fail_the_drill() -> None:
    seen = report(injection(), strays=2)
    assert not seen.all_is_well
    assert "2 messages belong to no window" in printed(seen)


def test_what_nobody_could_keep_is_told_and_does_not_fail_the_drill() -> None:
    seen = report(injection(HOPELESS, LOST, waiting=3), injection(HOPELESS, LOST))
    assert seen.all_is_well
    assert printed(seen).count("it was never kept") == 1
    assert "every promise that could be kept was kept" in printed(seen)
    [line] = seen.as_json()["faults"]
    assert line["nobody_could_keep"]["2 no message is lost"]["why"] == "it was never kept"
    assert line["orders_that_wait_for_a_person"] == 3


def test_a_promise_that_should_have_held_all_the_same_fails_the_drill() -> None:
    findings = {"1 no order is lost": LOST, "2 no message is lost": LOST}
    assert not report(injection(HOPELESS, findings=findings)).all_is_well


@pytest.mark.parametrize(("still", "after"), [(5.1, 0.5), (1.0, 2.1)])
def test_orders_that_stood_still_for_too_long_are_told(still: float, after: float) -> None:
    seen = report(injection(standstill=still, after_back=after))
    assert seen.all_is_well
    assert seen.as_json()["slower_than_reach"] == [FAULT.name]
    assert "took longer" in printed(seen)


def test_a_standstill_is_the_longest_gap_that_reaches_beyond_the_fault() -> None:
    ends = [1.0, 6.0, 6.1, 9.0, 9.5]
    assert standstill(ends, since=6.05, now=10.0) == pytest.approx(2.9)
    assert standstill(ends, since=5.0, now=10.0) == pytest.approx(5.0)
    assert first_after(ends, 8.0) == pytest.approx(1.0)


def test_a_standstill_that_has_not_ended_counts_until_now() -> None:
    assert standstill([1.0, 6.0, 6.1], since=6.05, now=20.0) == pytest.approx(13.9)
    assert standstill([], since=6.05, now=20.0) == pytest.approx(13.95)


def test_a_short_drill_does_each_fault_once_at_most_in_an_order_that_the_seed_gives() -> None:
    plan = schedule(7)
    assert len(set(plan)) == len(plan)
    assert sum(fault.seconds for fault in plan) <= SECONDS
    assert plan == schedule(7)
    assert plan != schedule(8)


def test_a_long_drill_does_every_fault_again_and_again() -> None:
    plan = long_schedule(7)
    assert len(plan) == INJECTIONS
    assert set(plan) == set(CATALOGUE)


def test_every_fault_has_a_name_of_its_own() -> None:
    names = [fault.name for fault in CATALOGUE]
    assert len(set(names)) == len(names)
    assert len(names) >= 40


def test_every_fault_has_a_mark_that_can_be_missed() -> None:
    assert [f.name for f in CATALOGUE if f.standstill is None and f.after_back is None] == []


def test_some_faults_are_named_by_parts_of_their_names() -> None:
    assert [fault.name for fault in named(["kill -9 of nats"])] == ["kill -9 of nats"]
    with pytest.raises(ValueError, match="no fault is called"):
        named(["earthquake"])


@pytest.mark.parametrize(("finding", "status"), [(HELD, 0), (LOST, 1)])
async def test_the_exit_status_tells_whether_all_is_well(
    finding: Finding,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def drill(plan: Sequence[Fault], *_: object, **__: object) -> tuple[list[Injection], int]:
        return [injection(fault, finding) for fault in plan], 0

    monkeypatch.setattr(command, "drill", drill)
    monkeypatch.setenv("ONLY", "kill -9 of nats")
    monkeypatch.setenv("JSON", "1")
    assert await command.main() == status
    said = json.loads(capsys.readouterr().out)
    assert (said["injections"], said["all_is_well"]) == (1, status == 0)


async def test_a_name_that_no_fault_has_is_a_wrong_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLY", "earthquake")
    assert await command.main() == BAD_OPTIONS


@pytest.mark.parametrize(
    ("style", "left_out", "done"),
    [
        (ORCHESTRATED, [], ["kill -9 of fulfillment", "answers that nobody gave"]),
        (SYNCHRONOUS, ["answers that nobody gave"], ["kill -9 of fulfillment"]),
        (
            CHOREOGRAPHED,
            ["kill -9 of fulfillment", "a timer between due and append: kill -9"],
            ["kill -9 of all services", "the relay before it publishes: kill -9"],
        ),
    ],
)
def test_a_fault_with_nothing_to_hit_in_a_style_is_left_out_and_told(
    style: str, left_out: list[str], done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    planned = plan_of(Options(long=True, style=style), Flow(style))

    names = {fault.name for fault in planned}
    told = capsys.readouterr().err
    assert names.issuperset(done)
    for name in left_out:
        assert name not in names
        assert f"  {name}\n" in told
    assert len(names) + told.count("\n  ") == len(CATALOGUE)


async def test_a_style_that_is_none_is_a_wrong_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLE", "baroque")
    assert await command.main() == BAD_OPTIONS
