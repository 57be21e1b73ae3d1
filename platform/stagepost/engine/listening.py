"""Listening to what goes over NATS, as it goes by."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from stagepost.engine.external import EXTERNAL, OPERATOR, commands_of, may_send
from stagepost.engine.flow import Flow
from stagepost.engine.links import routes_of
from stagepost.engine.operate import read_stack
from stagepost.engine.replay.given import unknown
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats_client import BlockClient
from stagepost.engine.transports.nats_external import subject_to
from stagepost.engine.transports.nats_provision import subject_from
from stagepost.engine.transports.nats_rules import EVERYTHING
from stagepost.errors import BadSettings, TransportUnavailable

AHEAD = 10_000
"""Messages that may wait to be shown."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that went by."""

    at: datetime
    subject: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> object:
        """What it says, as text where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body.decode(errors="replace")

    @property
    def key(self) -> str:
        """What it is about, where its sender says so beside it: from outside nobody needs to."""
        return unquote(self.headers.get("ce-subject", ""))

    def as_object(self) -> dict[str, object]:
        """Return it as JSON shows it."""
        return {"at": self.at, "subject": self.subject, "headers": self.headers, "data": self.data}


async def listen(data: Path, pattern: str, complain: Callable[[str], None]) -> AsyncIterator[Heard]:
    """Yield what goes over the NATS of the running stack and has such a subject.

    Raises:
        BadSettings: nothing runs there, or nothing has such a subject.
        TransportUnavailable
    """
    stack = read_stack(data)
    check_pattern(pattern, Flow(**stack["flow"], only=frozenset(stack["services"])))
    heard: asyncio.Queue[Msg | None] = asyncio.Queue(AHEAD)

    async def closed() -> None:
        await heard.put(None)

    async def fault(error: Exception) -> None:
        complain(str(error) or type(error).__name__)

    client = BlockClient()
    try:
        await client.connect(
            stack[EXTERNAL][OPERATOR],
            closed_cb=closed,
            error_cb=fault,
            reconnect_time_wait=1,
            max_reconnect_attempts=10,  # then the broker has gone away
        )
        for subject in EVERYTHING:
            await client.subscribe(subject, cb=heard.put)
    except (OSError, TimeoutError, NatsError) as error:
        raise TransportUnavailable(f"cannot connect to the broker: {error!r}") from error
    try:
        while (message := await heard.get()) is not None:
            if matches(pattern, message.subject):
                headers = dict(message.headers or {})
                yield Heard(datetime.now(UTC), message.subject, headers, message.data)
    finally:
        await client.close()
    raise TransportUnavailable("the broker has gone away")


def check_pattern(pattern: str, flow: Flow) -> None:
    """Make sure that something may be heard under a pattern.

    Raises:
        BadSettings: it is none, or nothing has such a subject; it says what there is.
    """
    if not re.fullmatch(r"([^\s.>]+\.)*([^\s.>]+|>)", pattern):
        raise BadSettings(
            f"{pattern!r} is no pattern of subjects: words between dots, * for any word,"
            " > at the end for all that follows, such as 'payments.event.>'"
        )
    known = dict(_subjects(flow))
    here = [subject for subject, is_here in known.items() if is_here]
    if any(matches(pattern, subject) for subject in here):
        return
    if any(matches(pattern, subject) for subject in known):
        raise BadSettings(
            f"nothing that {pattern!r} stands for goes over NATS in this stack ({flow}):"
            " `stagepost links` shows over what, `stagepost trace` what came of an order"
        )
    raise unknown("subject", pattern, sorted(known))


def _subjects(flow: Flow) -> Iterator[tuple[str, bool]]:
    """Return every subject that a message may have, and whether it goes over NATS."""
    services = flow.services
    for service in services.values():
        routes = routes_of(service, services, flow.links)
        published = routes.publishes.get(NATS, frozenset())
        for message in service.sends:
            yield subject_from(service, message), message.TYPE in published
        for command in commands_of(service):
            for sender in (OPERATOR, *flow.external):
                if may_send(flow.external, sender, command.TYPE):
                    subject = subject_to(service.name, sender, command.__name__)
                    yield subject, routes.hears_outside


def matches(pattern: str, subject: str) -> bool:
    """Tell whether a subject is one of those that a pattern stands for."""
    wanted, words = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(words) <= len(wanted):
            return False
        words = words[: len(wanted)]
    return len(wanted) == len(words) and all(
        want in ("*", word) for want, word in zip(wanted, words, strict=True)
    )
