"""A mail on its way out: the address from customers, a real SMTP server, or a spool."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from aiosmtplib import SMTPHeloError

from services.notifications.carriers import Carrier, MailServer, Spool, refusal
from services.notifications.mail import Mail
from services.notifications.post import NOBODY, Person, PostOffice, impersonal
from stagepost.errors import CallFailed
from tests.notifications import mail_server

SENDER = "shop@stagepost.example"
KEY = "0197a3c2-8f50-5c11-9d5e-0d3a7b1f4a61"
ADA = {"customer_id": "ada", "name": "Ada Lovelace", "email": "ada@example.org"}
MAIL = Mail(
    mail="welcome/customers/ada/1",
    notification="welcome/customers/ada",
    attempt=1,
    customer_id="ada",
    subject="Welcome",
    text="you are our customer now.\n",
)


class Customers:
    """What customers answers about ada."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = ADA

    async def answer(self, request: web.Request) -> web.Response:
        assert request.path == "/customers/ada"
        return web.json_response(self.body, status=self.status)


@pytest.fixture
def customers() -> Customers:
    return Customers()


@pytest.fixture
async def url(customers: Customers) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/customers/{customer_id}", customers.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def server() -> AsyncIterator[mail_server.MailServer]:
    async with mail_server.mail_server() as running:
        yield running


async def send(carrier: Carrier, url: str) -> dict[str, Any]:
    office = PostOffice(carrier, url, SENDER, 5, {})
    try:
        answer = await office.post("mail", "", MAIL.model_dump_json().encode(), KEY)
    finally:
        await office.close()
    found: dict[str, Any] = orjson.loads(answer)
    return found


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


# Over SMTP.


async def test_a_mail_goes_to_the_customer_s_address(
    server: mail_server.MailServer, url: str
) -> None:
    await send(MailServer(server.url, 5), url)
    (envelope,) = server.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, ["ada@example.org"])
    (mail,) = server.mails
    assert (mail["To"], mail["Subject"]) == ("ada@example.org", "Welcome")
    assert mail.get_content().splitlines() == ["Dear Ada Lovelace,", "", MAIL.text.strip()]
    assert mail["Date"]


async def test_the_proof_is_the_server_s_answer_and_the_message_s_hash(
    server: mail_server.MailServer, url: str
) -> None:
    answer = await send(MailServer(server.url, 5), url)
    (envelope,) = server.taken
    assert isinstance(envelope.content, bytes)
    sent = envelope.content
    assert answer == {"proof": {"said": "2.0.0 Ok: queued", "sha256": sha256(sent).hexdigest()}}


async def test_a_name_that_is_no_ascii_arrives_as_it_is(
    server: mail_server.MailServer, url: str, customers: Customers
) -> None:
    customers.body = ADA | {"name": "Zoë Ångström 李"}
    await send(MailServer(server.url, 5), url)
    assert "Dear Zoë Ångström 李," in server.mails[0].get_content()


async def test_a_mail_whose_answer_is_lost_is_known_by_its_id_when_it_comes_again(
    server: mail_server.MailServer, url: str
) -> None:
    server.loses_answers = 1
    with pytest.raises(CallFailed, match="did not take mail"):
        await send(MailServer(server.url, 5), url)
    await send(MailServer(server.url, 5), url)
    assert [mail["Message-ID"] for mail in server.mails] == [f"<{KEY}@stagepost.example>"] * 2


@pytest.mark.parametrize("said", ["550 5.1.1 <ada@example.org>: no such mailbox", "553 not here"])
async def test_what_the_server_refuses_for_good_is_an_answer(
    server: mail_server.MailServer, url: str, said: str
) -> None:
    server.refuses = said
    answer = await send(MailServer(server.url, 5), url)
    assert answer["reason"].startswith(said[:3])
    assert server.taken == []


@pytest.mark.parametrize("said", ["451 4.7.1 greylisted", "452 4.2.2 mailbox full"])
async def test_what_the_server_refuses_for_now_is_tried_again(
    server: mail_server.MailServer, url: str, said: str
) -> None:
    server.refuses = said
    with pytest.raises(CallFailed, match=f"does not take mail {KEY} now: it says {said[:3]}"):
        await send(MailServer(server.url, 5), url)


async def test_a_content_that_the_server_refuses_for_good_is_an_answer(
    server: mail_server.MailServer, url: str
) -> None:
    server.says = "554 5.7.1 spam"
    assert await send(MailServer(server.url, 5), url) == {"reason": "554 5.7.1 spam"}


async def test_no_mail_server_is_tried_again(url: str) -> None:
    with pytest.raises(CallFailed, match="did not take mail"):
        await send(MailServer(f"smtp://127.0.0.1:{unused_port()}", 5), url)


async def test_a_mail_server_that_says_nothing_is_not_waited_for(url: str) -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        writer.close()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    with pytest.raises(CallFailed, match="Timeout"):
        await send(MailServer(f"smtp://127.0.0.1:{port}", 0.2), url)
    listening.close()


async def test_a_server_that_lets_nobody_in_refuses_no_mail(url: str) -> None:
    async def closed(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 no service here\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(closed, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    with pytest.raises(CallFailed, match="does not let us in: it says 554"):
        await send(MailServer(f"smtp://127.0.0.1:{port}", 5), url)
    listening.close()


async def test_a_wrong_password_keeps_the_mail_until_it_is_right(
    server: mail_server.MailServer, url: str
) -> None:
    server.password = "right"
    at = server.url.replace("smtp://", "smtp://shop:{}@")
    with pytest.raises(CallFailed) as failed:
        await send(MailServer(at.format("wrong"), 5), url)
    assert str(failed.value) == "the mail server does not let us in: it says 535"
    assert server.taken == []
    assert "proof" in await send(MailServer(at.format("right"), 5), url)


async def test_nobody_who_has_to_log_in_is_let_in_without(
    server: mail_server.MailServer, url: str
) -> None:
    server.password = "right"
    with pytest.raises(CallFailed, match="does not let us in: it says 530"):
        await send(MailServer(server.url, 5), url)


async def test_a_server_without_a_login_refuses_no_mail_of_who_logs_in(
    server: mail_server.MailServer, url: str
) -> None:
    at = server.url.replace("smtp://", "smtp://shop:secret@")
    with pytest.raises(CallFailed) as failed:
        await send(MailServer(at, 5), url)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("said", ["550 5.7.1 not from here", "553 5.7.1 not your address"])
async def test_a_sender_that_is_refused_is_no_refusal_of_the_mail(
    server: mail_server.MailServer, url: str, said: str
) -> None:
    server.refuses_sender = said
    with pytest.raises(CallFailed, match=f"does not let us in: it says {said[:3]}"):
        await send(MailServer(server.url, 5), url)


@pytest.mark.parametrize("said", ["530 5.7.0 Authentication required", "538 encryption required"])
async def test_a_server_that_wants_a_login_for_a_mail_refuses_no_mail(
    server: mail_server.MailServer, url: str, said: str
) -> None:
    server.refuses = said
    with pytest.raises(CallFailed, match=f"does not let us in: it says {said[:3]}"):
        await send(MailServer(server.url, 5), url)


def test_a_greeting_that_is_refused_is_no_refusal_of_the_mail() -> None:
    """Where TLS comes first we greet only when there is a mail to send."""
    error = SMTPHeloError(554, "go away")
    assert isinstance(refusal(error, KEY), CallFailed)


# Nothing personal comes back.


async def test_what_a_server_says_is_kept_without_the_address(
    server: mail_server.MailServer, url: str
) -> None:
    server.refuses = "550 5.1.1 <ada@example.org>: ADA is unknown, as is Ada Lovelace"
    answer = await send(MailServer(server.url, 5), url)
    assert answer == {"reason": "550 5.1.1 (address) (customer) is unknown, as is (customer)"}


async def test_the_proof_of_a_mail_that_was_taken_is_kept_without_the_address(
    server: mail_server.MailServer, url: str
) -> None:
    server.says = "250 2.1.5 <ada@example.org> Ada Lovelace: queued"
    answer = await send(MailServer(server.url, 5), url)
    assert answer["proof"]["said"] == "2.1.5 (address) (customer): queued"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("550 no Ada King here", "550 no (customer) here"),
        ("550 sorry Ada", "550 sorry (customer)"),
        ("550 mailbox ada1 is full", "550 mailbox (customer) is full"),
        ("550 a\x00da1+shop is full", "550 (customer) is full"),
    ],
)
def test_what_a_server_says_is_kept_without_what_is_known_of_the_customer(
    said: str, kept: str
) -> None:
    assert impersonal(said, Person(" Ada  King", "ada1+shop@example.org")) == kept


async def test_what_cannot_be_sent_says_nothing_personal(
    server: mail_server.MailServer, url: str
) -> None:
    server.refuses = "451 not <ada@example.org> now"
    with pytest.raises(CallFailed) as failed:
        await send(MailServer(server.url, 5), url)
    assert "ada@" not in str(failed.value)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("", "nothing"),
        ("2.0.0\r\n Ok\x00\x07", "2.0.0 Ok"),
        ("x" * 300, "x" * 200),
        ("queued for ada+x@example.org", "queued for (address)"),
    ],
)
def test_what_is_kept_of_an_answer_is_one_short_line(said: str, kept: str) -> None:
    assert impersonal(said, Person("Ada Lovelace", "ada@example.org")) == kept


# Customers.


async def test_a_customer_whom_customers_does_not_know_cannot_be_written_to(
    server: mail_server.MailServer, url: str, customers: Customers
) -> None:
    customers.status = 404
    assert await send(MailServer(server.url, 5), url) == {"reason": NOBODY}
    assert server.taken == []


@pytest.mark.parametrize("body", [{"name": "Ada"}, [], "ada@example.org", None])
async def test_an_answer_of_customers_that_is_none_is_asked_for_again(
    server: mail_server.MailServer, url: str, customers: Customers, body: Any
) -> None:
    customers.body = body
    with pytest.raises(CallFailed) as failed:
        await send(MailServer(server.url, 5), url)
    assert "ada@" not in str(failed.value)


async def test_customers_that_fails_is_asked_again(
    server: mail_server.MailServer, url: str, customers: Customers
) -> None:
    customers.status = 503
    with pytest.raises(CallFailed, match="customer ada was answered with 503") as failed:
        await send(MailServer(server.url, 5), url)
    assert "ada@" not in "".join(traceback.format_exception(failed.value))


# Into the spool.


async def test_a_mail_is_a_file_of_the_spool_and_its_hash_the_proof(
    tmp_path: Path, url: str
) -> None:
    answer = await send(Spool(tmp_path / "mail"), url)
    (file,) = files_in(tmp_path / "mail")
    assert file.name == f"{KEY}.eml"
    assert b"To: ada@example.org" in file.read_bytes()
    assert answer == {
        "proof": {
            "said": f"laid into the spool as {KEY}.eml",
            "sha256": sha256(file.read_bytes()).hexdigest(),
        }
    }


async def test_a_mail_that_comes_again_is_the_file_that_it_was(
    tmp_path: Path, url: str, customers: Customers
) -> None:
    first = await send(Spool(tmp_path), url)
    customers.body = ADA | {"name": "Ada King"}
    assert await send(Spool(tmp_path), url) == first
    assert len(files_in(tmp_path)) == 1


async def test_what_was_half_written_when_the_power_failed_is_written_anew(
    tmp_path: Path, url: str
) -> None:
    (tmp_path / f".{KEY}.eml").write_bytes(b"From:")
    await send(Spool(tmp_path), url)
    (file,) = files_in(tmp_path)
    assert b"To: ada@example.org" in file.read_bytes()


async def test_a_spool_that_cannot_be_written_is_tried_again(tmp_path: Path, url: str) -> None:
    (tmp_path / "mail").write_text("a file where a folder should be")
    with pytest.raises(CallFailed, match="cannot be laid into the spool") as failed:
        await send(Spool(tmp_path / "mail"), url)
    assert "ada@" not in "".join(traceback.format_exception(failed.value))
