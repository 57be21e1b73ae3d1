"""The README shows what the commands print."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagepost.engine.flow import Flow
from stagepost.engine.links_shown import picture
from stagepost.engine.styles import STYLES

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("style", STYLES)
def test_the_links_of_each_style_are_drawn_as_the_command_draws_them(style: str) -> None:
    assert f"```mermaid\n{picture(Flow(style))}\n```" in README.read_text()
