"""The command line of single messages: `stagepost send`, `stagepost listen`."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from stagepost.engine import operate
from stagepost.engine.cli_common import Data, Json, as_text, err, finish, write


def send(
    service: str,
    command: str,
    *,
    text: Annotated[str, Parameter(name="--json")],
    data: Data = operate.DATA,
) -> None:
    """Send a command by hand to a service of a running stack, as `operator`; show its answer.

    It is stored on the stream EXTERNAL, and handled once. Sent again it is another message: what
    has been done for its reference is not done twice.

    Args:
        service: who shall do it, such as payments.
        command: what, such as RetrievePayment.
        text: its fields as a JSON object; its caller is `operator`.
    """
    from stagepost.engine.by_hand import answer_to, send_by_hand
    from stagepost.messages import encode

    async def run() -> None:
        sent = await send_by_hand(data, service, command, text)
        name, place = sent.command.TYPE, f"number {sent.sequence} on EXTERNAL"
        write(f"sent {name} as operator: {sent.id}, {place}")
        if answer := await answer_to(data, sent):
            write(f"{service} answers {type(answer).__name__} {encode(answer).decode()}")
        else:
            write(f"{service} has not answered yet")
        write(f"what came of it: stagepost trace {sent.command.key}")

    finish(run())


def listen(pattern: str = ">", *, as_json: Json = False, data: Data = operate.DATA) -> None:
    """Show messages of a running stack as they go over NATS, until Ctrl-C.

    As JSON: a line for each, with at, subject, headers, data.

    Args:
        pattern: of which subjects: 'payments.event.>', '*.command.payments.*', 'EXTERNAL.>'.
    """
    from stagepost.engine.listening import Heard
    from stagepost.engine.listening import listen as hear

    def show(heard: Heard) -> None:
        if as_json:
            write(as_text(heard.as_object()))
        else:
            at = f"{heard.at:%H:%M:%S.%f}"[:-3]
            write(f"{at}  {heard.subject}  {heard.key}  {as_text(heard.data)}")
        sys.stdout.flush()

    async def run() -> None:
        async for heard in hear(data, pattern, lambda said: err.print(f"stagepost: {said}")):
            show(heard)

    finish(run())
