"""The changes that experiments apply: each fits, is clean, and leaves other styles as they are."""

from __future__ import annotations

import pytest

from stagepost.engine.flow import Flow
from stagepost.engine.links_shown import rows
from stagepost.engine.styles import CHOREOGRAPHED, ORCHESTRATED, Style
from tests.experiments.checkout import CHANGES, IS_WALKED, Journeys, changed
from tests.experiments.diff import ChangedFile, Diff
from tests.experiments.impact import Impact, costs, went_well
from tests.experiments.mixes import Mix, table_of, together

AS_CLONED = pytest.mark.skipif(IS_WALKED, reason="they fit the sample as it was cloned")
OTHER = {ORCHESTRATED: CHOREOGRAPHED, CHOREOGRAPHED: ORCHESTRATED}
IN_BOTH_STYLES = [(name, style) for name in ("criminal-check", "reorder") for style in OTHER]


@AS_CLONED
@pytest.mark.parametrize("name", sorted(patch.stem for patch in CHANGES.glob("*.patch")))
async def test_a_change_applies_and_is_clean(name: str) -> None:
    with changed(name) as copy:
        assert await copy.told("-m", "ruff", "check", "--no-cache") == "All checks passed!\n"
        await copy.told("-m", "ruff", "format", "--check", "--no-cache")


@AS_CLONED
@pytest.mark.parametrize(("name", "style"), IN_BOTH_STYLES)
async def test_a_change_of_one_style_leaves_the_links_of_the_other(name: str, style: Style) -> None:
    with changed(f"{name}-{style}") as copy:
        assert await copy.links(OTHER[style]) == rows(Flow(OTHER[style]))


def mix(deployed: str, wrong: str = "") -> Mix:
    return Mix(frozenset(deployed.split()), frozenset(wrong.split()))


@pytest.mark.parametrize(
    ("mixes", "moves"),
    [
        ([], ""),
        ([mix(""), mix("a")], ""),
        ([mix(""), mix("a", "lost"), mix("b"), mix("a b")], ""),
        ([mix(""), mix("a", "lost"), mix("b", "lost"), mix("a b")], "a b"),
        (
            [
                *(mix(""), mix("a"), mix("b", "lost"), mix("c", "lost")),
                *(mix("a b", "lost"), mix("a c", "lost"), mix("b c", "lost"), mix("a b c")),
            ],
            "b c",
        ),
    ],
    ids=["none", "one", "one after the other", "two at once", "two at once, after a third"],
)
def test_who_must_move_together_is_found_from_the_mixes(mixes: list[Mix], moves: str) -> None:
    assert together(mixes) == frozenset(moves.split())


def test_a_mix_says_what_is_wrong_in_it() -> None:
    shown = table_of([mix(""), mix("a", "lost"), mix("a b")])

    assert shown.columns[:2] == ("a", "b")
    assert shown.rows == [
        ("old", "old", "as before"),
        ("new", "old", "lost"),
        ("new", "new", "nothing"),
    ]


def impact(**more: object) -> Impact:
    file = ChangedFile("services/payments/app.py", added=3, removed=1, is_new=False)
    known = {
        "style": CHOREOGRAPHED,
        "diff": Diff({"payments": [file]}),
        "added": ["ordering ..> payments  OrderPlaced"],
        "removed": [],
        "mixes": [mix(""), mix("payments")],
        "journeys": Journeys(18, ()),
    }
    return Impact(**(known | more))  # type: ignore[arg-type]  # whatever a test changes


def test_the_costs_stand_side_by_side() -> None:
    table = costs("What it costs", [impact(), impact(journeys=Journeys(17, ("x",)))])

    found = {str(what): told for what, *told in table.rows}
    assert found["services there before, touched"] == ["1: payments"] * 2
    assert found["files of services there before"] == ["1 changed, 0 new; lines +3 -1"] * 2
    assert found["tests of journeys"] == [
        "18 passed (choreographed)",
        "17 passed, failed: x (choreographed)",
    ]


def test_a_change_that_breaks_a_journey_or_a_story_did_not_go_well() -> None:
    assert went_well([impact()])
    assert not went_well([impact(), impact(journeys=Journeys(17, ("x",)))])
    assert not went_well([impact(mixes=[mix(""), mix("payments", "lost")])])
