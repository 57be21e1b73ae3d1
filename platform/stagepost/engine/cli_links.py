"""The command line of links: `stagepost links`, `stagepost links decide`, `stagepost check`."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import App, Parameter

from stagepost.engine import operate
from stagepost.engine.cli_common import Data, InStyle, Json, Over, out, show
from stagepost.engine.styles import ORCHESTRATED

links = App(name="links")


@links.default
def show_links(
    *,
    style: InStyle = ORCHESTRATED,
    transport: Over = None,
    dependencies: Annotated[bool, Parameter(negative="")] = False,
    mermaid: Annotated[bool, Parameter(negative="")] = False,
    observed: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
    data: Data = operate.DATA,
) -> None:
    """Show who sends what to whom, who answers for what comes of it, and over which transport.

    Args:
        dependencies: who depends on whom: the arrow of an event turns.
        mermaid: as a picture for Mermaid: commands solid, answers and events dotted.
        observed: beside what the services of a running stack have heard.
    """
    from stagepost.engine import links_shown
    from stagepost.engine.flow import read_flow

    if observed:
        seen = asyncio.run(links_shown.observed(data))
        show(links_shown.OBSERVED, seen, as_json=as_json)
        return
    flow = read_flow(style, transport)
    if mermaid:
        draw = links_shown.picture_of_dependencies if dependencies else links_shown.picture
        out.print(draw(flow), soft_wrap=True, markup=False, highlight=False)
    elif dependencies:
        found = links_shown.dependencies(flow).items()
        rows = [(who, on, ", ".join(names)) for (who, on), names in found]
        show(links_shown.DEPENDENCIES, rows, as_json=as_json)
    else:
        show(links_shown.HEADS, links_shown.rows(flow), as_json=as_json)


@links.command
def decide(
    sender: str,
    reader: str,
    *,
    answer: bool | None = None,
    cares: bool | None = None,
    owner: str | None = None,
    reused: bool | None = None,
    straight: bool | None = None,
    style: InStyle = ORCHESTRATED,
) -> None:
    """Decide what a link is by who needs it and who owns the outcome; stagepost.toml keeps it.

    What no option says is asked.

    Args:
        sender: who sends, such as fulfillment.
        reader: who reads, such as payments.
        answer: it answers commands of the reader.
        cares: the sender needs it to happen.
        owner: who owns the outcome: the sender or the reader.
        reused: the reader is for many, not for this sender alone.
        straight: somebody waits for a command's answer; no broker reaches who reads an event.
    """
    from stagepost.engine.cli_decide import Given, decide_link

    decide_link(sender, reader, style, Given(answer, cares, owner, reused, straight))


def check(*, style: InStyle = ORCHESTRATED, as_json: Json = False) -> int:
    """Look for what the services do against what this platform argues for; 1 where it is found.

    What may stay is accepted in stagepost.toml, at a link: "sender->reader" = { accepted = "why" }.
    """
    from stagepost.engine.findings import check as check_system
    from stagepost.engine.findings.read import read_system
    from stagepost.engine.findings.shown import objects_of, text_of
    from stagepost.engine.flow import read_flow

    judged = check_system(read_system(read_flow(style)))
    if as_json:
        out.print_json(data=objects_of(judged))
    else:
        out.print(text_of(judged), soft_wrap=True, markup=False, highlight=False)
    return int(any(one.is_open for one in judged))
