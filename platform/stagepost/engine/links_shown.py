"""The links for people and programs: as rows, as a picture, and beside what really ran."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from stagepost.engine.database import SQL, open_pool, read_statements
from stagepost.engine.external import sender_of
from stagepost.engine.flow import Flow
from stagepost.engine.links import Link
from stagepost.engine.operate import read_stack
from stagepost.engine.transport_names import NATS

HEADS = ("from", "to", "kind", "message", "whose outcome", "depends", "transport")
OBSERVED = ("from", "message", "to", "heard", "")
DEPENDENCIES = ("who", "depends on", "for")

_HEARD = read_statements(SQL / "flow.sql")["heard"]


class Row(NamedTuple):
    """One message on its way to one reader; where nobody reads it, `reader` is empty.

    `outcome` is who answers for what comes of it, `depends` who has to know the other.
    """

    sender: str
    reader: str
    kind: str
    message: str
    outcome: str
    depends: str
    transport: str


class Observed(NamedTuple):
    """How often a message of a link was heard; what no link declares says so."""

    sender: str
    message: str
    reader: str
    heard: int
    remark: str


def rows(flow: Flow) -> list[Row]:
    """Return every link of a flow, and what is sent and nobody reads."""
    services = flow.services
    links = flow.links.between(services)
    read = {(link.sender, link.message) for link in links}
    unread = [
        Row(name, "", Link(name, "", message, "").kind, message.__name__, "", "", "")
        for name, service in services.items()
        for message in service.sends
        if (name, message) not in read
    ]
    return sorted([*map(_row, links), *unread], key=lambda row: (row.sender, row.reader))


def _row(link: Link) -> Row:
    return Row(
        link.sender,
        link.reader,
        link.kind,
        link.message.__name__,
        link.outcome,
        link.depends[0],
        link.transport,
    )


def dependencies(flow: Flow) -> dict[tuple[str, str], list[str]]:
    """Return who depends on whom, and for which messages: against the arrow of an event.

    Who listens to what they tell themselves depends on nobody.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for link in flow.links.between(flow.services):
        if link.sender != link.reader:
            found[link.depends].append(link.message.__name__)
    return found


def picture(flow: Flow) -> str:
    """Draw the links with Mermaid: commands solid, answers and events dotted.

    What is not over NATS says over what.
    """
    drawn: dict[tuple[str, str, bool, str], list[str]] = defaultdict(list)
    for link in flow.links.between(flow.services):
        is_command = link.kind == "command"
        drawn[link.sender, link.reader, is_command, link.transport].append(link.message.__name__)
    return _mermaid(
        _arrow(sender, reader, names, transport, is_solid=is_command)
        for (sender, reader, is_command, transport), names in drawn.items()
    )


def _arrow(
    tail: str, head: str, names: Sequence[str], transport: str = NATS, *, is_solid: bool = True
) -> str:
    label = "<br/>".join([*names, *([] if transport == NATS else [f"over {transport}"])])
    return f'{tail} -- "{label}" --> {head}' if is_solid else f'{tail} -. "{label}" .-> {head}'


def picture_of_dependencies(flow: Flow) -> str:
    """Draw who depends on whom with Mermaid."""
    return _mermaid(_arrow(who, on, names) for (who, on), names in dependencies(flow).items())


def _mermaid(lines: Iterable[str]) -> str:
    return "\n".join(["flowchart LR", *(f"  {line}" for line in lines)])


async def observed(data: Path) -> list[Observed]:
    """Count what every service of a running stack has heard, link by link.

    Raises:
        BadSettings: nothing runs on this data.
        StoreUnavailable
    """
    stack = read_stack(data)
    flow = Flow(**stack["flow"], only=frozenset(stack["services"]))
    declared = {
        (link.sender, link.message.TYPE, link.reader) for link in flow.links.between(flow.services)
    }
    heard: dict[tuple[str, str, str], int] = {}
    async with AsyncExitStack() as exits:
        for reader, at in stack["services"].items():
            pool = await open_pool(at["database"], size=1)
            exits.push_async_callback(pool.close)
            heard |= {
                (row["source"], row["type"], reader): row["messages"]
                for row in await pool.fetch(_HEARD)
            }
    return list(_compared(declared, heard))


def _compared(
    declared: set[tuple[str, str, str]], heard: Mapping[tuple[str, str, str], int]
) -> Iterator[Observed]:
    for link in sorted(declared | heard.keys()):
        count = heard.get(link, 0)
        yield Observed(*link, count, _remark(link[0], count, is_declared=link in declared))


def _remark(sender: str, count: int, *, is_declared: bool) -> str:
    if sender_of(sender) is not None:
        return "from outside"
    if not is_declared:
        return "not declared"
    return "" if count else "never heard"
