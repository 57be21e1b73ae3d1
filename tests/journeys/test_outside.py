"""Who commands the services from outside: a client that is none of ours, and a person by hand."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from services.demo.promises import PROMISES, Audit, connect
from stagepost.engine.flow import Flow
from stagepost.engine.operate import list_letters
from stagepost.engine.stack import Stack
from tests.journeys.test_cli import Said, stagepost

DOCUMENT = Path(__file__).parents[2] / "contracts" / "EXTERNAL.md"
COMMAND = {
    "reference": "by-hand",
    "order_id": "by-hand",
    "amount": 2598,
    "currency": "EUR",
    "payment_token": "tok_ok",
}


@pytest.fixture(scope="module")
async def open_stack() -> AsyncIterator[Stack]:
    """A stack that lets the client of the documentation in."""
    data = Path(tempfile.mkdtemp(prefix="stagepost tests ", dir="/tmp"))
    async with Stack(data, flow=Flow(external=declared())) as stack:
        yield stack
    shutil.rmtree(data)


def block(language: str) -> str:
    """Return what the documentation shows in a language."""
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found
    return found[1]


def declared() -> dict[str, tuple[str, ...]]:
    tables = tomllib.loads(block("toml"))["external"]
    return {name: tuple(commands) for name, commands in tables.items()}


async def run_client(stack: Stack, folder: Path, program: str) -> Said:
    """Run a program where the documentation runs it: beside `.stagepost`, without our code."""
    (folder / ".stagepost").symlink_to(stack.data)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", program, cwd=folder, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    return Said(process.returncode, out.decode(), err.decode())


async def send(stack: Stack, *arguments: str) -> Said:
    return await stagepost("send", *arguments, data=stack.data)


# A client that is none of ours.


def test_the_documented_client_is_short_and_knows_nothing_of_ours() -> None:
    lines = [line for line in block("python").splitlines() if line]
    assert len(lines) <= 20
    assert not any("stagepost." in line or "contracts" in line for line in lines)


async def test_the_documented_client_sends_a_command_and_reads_its_answer(
    open_stack: Stack, tmp_path: Path
) -> None:
    said = await run_client(open_stack, tmp_path, block("python"))
    answer = "'amount': 2598, 'currency': 'EUR'"
    assert said.err == ""
    assert said.out.startswith("payments.PaymentReceived {'caller': 'webshop', 'reference': 'w-1'")
    assert answer in said.out

    (tmp_path / ".stagepost").unlink()
    again = await run_client(open_stack, tmp_path, block("python"))

    assert again.out == said.out
    async with aiohttp.ClientSession() as http:
        shown = await (await http.get(f"{open_stack.url('payments')}/payments/w-1")).json()
    assert '"received": 2598' in json.dumps(shown)


async def test_what_a_client_does_not_declare_is_refused(open_stack: Stack, tmp_path: Path) -> None:
    noting = block("python").replace(
        'inbox_prefix=b"_INBOX_webshop"',
        'inbox_prefix=b"_INBOX_webshop", error_cb=note',
    )
    program = "async def note(error): print(error)\n" + noting.replace("Retrieve", "Refund")
    said = await run_client(open_stack, tmp_path, program)
    assert said.status == 1
    assert "permissions violation for publish to" in said.out.lower()
    assert "external.webshop.command.payments.refundpayment" in said.out.lower()


async def test_a_client_that_is_not_declared_is_not_let_in(
    open_stack: Stack, tmp_path: Path
) -> None:
    stranger = "nats.connect(url.replace('web', 'wab'), allow_reconnect=False"
    program = block("python").replace("nats.connect(url", stranger)
    said = await run_client(open_stack, tmp_path, program)
    assert said.status == 1
    assert "Authorization Violation" in said.err


async def test_a_command_of_a_client_that_does_not_fit_holds_nobody_up(
    open_stack: Stack, tmp_path: Path
) -> None:
    program = block("python").replace("2598", "-1").replace("w-1", "w-2")
    program = program.replace("timeout=30", "timeout=1")
    assert (await run_client(open_stack, tmp_path, program)).status == 1
    async with asyncio.timeout(10):
        while not (letters := await list_letters(open_stack.data, "payments")):
            await asyncio.sleep(0.05)
    (letter,) = letters
    assert letter.reason == (
        "the body of payments.RetrievePayment does not fit its contract at"
        " /amount: Input should be greater than or equal to 0"
    )

    (tmp_path / ".stagepost").unlink()
    good = await run_client(open_stack, tmp_path, block("python").replace("w-1", "w-2"))
    assert "'reference': 'w-2'" in good.out
    listed = await stagepost("dead-letters", "list", "payments", data=open_stack.data)
    assert "does not fit its contract at /amount" in listed.out
    given_up = ("dead-letters", "discard", "payments", str(letter.id), "--reason", "tested")
    assert (await stagepost(*given_up, data=open_stack.data)).status == 0


# By hand.


async def test_a_command_by_hand_is_answered_and_traced(open_stack: Stack) -> None:
    said = await send(open_stack, "payments", "RetrievePayment", "--json", json.dumps(COMMAND))
    sent, answered, traced = said.out.splitlines()
    assert (said.status, said.err) == (0, "")
    assert sent.startswith("sent payments.RetrievePayment as operator: ")
    assert answered.startswith('payments answers PaymentReceived {"caller":"operator"')
    assert traced == "what came of it: stagepost trace by-hand"

    trace = await stagepost("trace", "by-hand", data=open_stack.data)
    first, *rest = trace.out.splitlines()
    assert first.startswith("payments.RetrievePayment  command, EXTERNAL.operator to payments"), (
        trace.out
    )
    assert [line.split()[1] for line in rest] == [
        "payments.Charge",
        "payments.Charged",
        "payments.PaymentReceived",
    ]
    async with aiohttp.ClientSession() as http:
        url = f"{open_stack.url('payments')}/journal?order_id=by-hand"
        journal = await (await http.get(url)).text()
    assert "EXTERNAL.operator" in journal


async def test_a_refusal_is_an_answer_by_hand_too(open_stack: Stack) -> None:
    declined = COMMAND | {"reference": "no", "order_id": "no", "payment_token": "tok_declined"}
    said = await send(open_stack, "payments", "RetrievePayment", "--json", json.dumps(declined))
    assert said.status == 0
    assert "payments answers PaymentDeclined" in said.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("payments", "RetrievePayment", "--json", '{"amount": -1}'), "/amount: Input should be"),
        (("payments", "RetrievePayment", "--json", "{"), "must be given as JSON"),
        (("payments", "RetrievPayment", "--json", "{}"), "did you mean RetrievePayment"),
        (("payment", "RetrievePayment", "--json", "{}"), "did you mean payments"),
        (("payments", "PaymentReceived", "--json", "{}"), "payments alone tells PaymentReceived"),
    ],
)
async def test_what_cannot_be_sent_by_hand_is_not(
    open_stack: Stack, arguments: tuple[str, ...], said: str
) -> None:
    refused = await send(open_stack, *arguments)
    assert (refused.status, refused.out) == (2, "")
    assert said in refused.err
    assert "Traceback" not in refused.err


async def test_where_no_stack_runs_nothing_is_sent_and_nothing_heard(tmp_path: Path) -> None:
    for command in (("send", "payments", "RetrievePayment", "--json", "{}"), ("listen", ">")):
        said = await stagepost(*command, data=tmp_path)
        assert (said.status, said.out) == (2, "")
        assert "no stack runs in" in said.err


# Listening.


class Listener:
    """`stagepost listen`, in a terminal of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, stack: Stack, *arguments: str) -> Listener:
        env = os.environ | {"DATA": str(stack.data)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stagepost", "listen", *arguments),
            env=env,
            stdout=-1,
            stderr=-1,
        )
        return cls(process)

    async def line(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode()

    async def interrupt(self) -> Said:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        out, err = await self._process.communicate()
        return Said(self._process.returncode, out.decode(), err.decode())


async def until_heard(stack: Stack, listener: Listener, number: int = 0) -> str:
    """Have payments told something again and again, until the listener is there and hears it."""
    heard = asyncio.create_task(listener.line())
    async with asyncio.timeout(60):
        while not heard.done():
            number += 1
            name = f"heard-{number}"
            given = json.dumps(COMMAND | {"reference": name, "order_id": name})
            assert (await send(stack, "payments", "RetrievePayment", "--json", given)).status == 0
    return heard.result()


async def test_listening_shows_what_goes_by_until_ctrl_c(open_stack: Stack) -> None:
    listener = await Listener.start(open_stack, "payments.event.>")
    line = await until_heard(open_stack, listener)
    assert re.match(
        r"\d\d:\d\d:\d\d\.\d{3}  payments\.event\.PaymentReceived  heard-\d+  \{.*\}\n$", line
    ), line
    said = await listener.interrupt()
    assert said.status == 130
    assert "Traceback" not in said.err


async def test_listening_shows_each_message_as_a_line_of_json(open_stack: Stack) -> None:
    listener = await Listener.start(open_stack, "EXTERNAL.>", "--json")
    heard = json.loads(await until_heard(open_stack, listener))
    assert heard["subject"] == "EXTERNAL.operator.command.payments.RetrievePayment"
    assert heard["headers"]["ce-source"] == "EXTERNAL.operator"
    assert heard["data"]["caller"] == "operator"
    assert (await listener.interrupt()).status == 130


async def test_who_listens_to_what_there_is_not_is_told(open_stack: Stack) -> None:
    said = await stagepost("listen", "payments.event.PaymentRecieved", data=open_stack.data)
    assert (said.status, said.out) == (2, "")
    assert "did you mean payments.event.PaymentReceived" in said.err


# After all that.


async def test_every_promise_holds_whoever_commanded(open_stack: Stack) -> None:
    connection = await connect(open_stack.audit_dsn)
    try:
        audit = Audit(connection, open_stack.flow, accepted=())
        async with asyncio.timeout(30):
            while any((await audit.row("under_way")).values()):
                await asyncio.sleep(0.1)
        for promise in PROMISES:
            finding = await audit.check(promise)
            assert finding.holds, f"{promise}: {finding.detail}"
    finally:
        await connection.close()
