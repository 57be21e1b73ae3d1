"""Commands over HTTP: CloudEvents in binary mode, POSTed to the recipient's /commands.

200 is the answering message, 202 says that there is none yet: bring the command again under its id;
410 says that there will be none.
What it cannot do: reach a recipient that does not run (the command waits in the sender's outbox,
and is brought again); carry what the recipient tells others; keep the order of answers, where a
command that was delivered is answered after the next of its key; give back to a recipient whose
database is set back what it had answered already.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from stagepost.engine.envelope import Envelope
from stagepost.engine.http_client import HttpClient
from stagepost.engine.transports.http_envelope import read_binary, write_binary
from stagepost.errors import CallFailed, GivenUp

PATH = "/commands"
_EXCERPT = 300  # characters of a refusal that are told


class HttpRecipients:
    """The Recipients port over HTTP; `urls` says where each service is, `headers` who we are."""

    def __init__(self, urls: Mapping[str, str], timeout: float, headers: Mapping[str, str]) -> None:
        self._urls = {name: url.rstrip("/") for name, url in urls.items()}
        self._http = HttpClient(timeout, headers)

    async def ask(self, command: Envelope) -> Envelope | None:
        to = command.recipient
        if to not in self._urls:
            raise CallFailed(f"nobody said where {to} is: add it to STAGEPOST_SERVICES")
        request = f"{command.type} to {to}"
        url = self._urls[to] + PATH
        answered = await self._http.post(request, url, command.body, write_binary(command))
        match answered.status:
            case HTTPStatus.OK:
                return _read(request, answered.headers, answered.body)
            case HTTPStatus.ACCEPTED:
                return None
            case status:
                excerpt = answered.body[:_EXCERPT].decode(errors="replace") or "(no text)"
                failed = GivenUp if status == HTTPStatus.GONE else CallFailed
                raise failed(f"{request} was answered with {status}: {excerpt}")

    async def close(self) -> None:
        await self._http.close()


def _read(request: str, headers: Mapping[str, str], body: bytes) -> Envelope:
    try:
        return read_binary(headers, body)
    except (KeyError, ValueError) as error:
        raise CallFailed(f"{request} was answered with no message of ours: {error!r}") from error
