"""The README shows what the commands print."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagepost.engine.findings import check
from stagepost.engine.findings.read import read_system
from stagepost.engine.findings.shown import text_of
from stagepost.engine.flow import Flow
from stagepost.engine.links_shown import picture
from stagepost.engine.styles import CHOREOGRAPHED, STYLES

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("style", STYLES)
def test_the_links_of_each_style_are_drawn_as_the_command_draws_them(style: str) -> None:
    assert f"```mermaid\n{picture(Flow(style))}\n```" in README.read_text()


def test_what_is_found_where_nobody_owns_the_outcome_is_shown_as_the_command_prints_it() -> None:
    found = check(read_system(Flow(CHOREOGRAPHED)))
    # What somebody is about to add is not in the README yet.
    shown = text_of([one for one in found if one.rule != "message that nobody sends"])

    assert f"```text\n{shown}\n```" in README.read_text()
