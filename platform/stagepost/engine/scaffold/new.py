"""What `stagepost new` does, and what it says: what was written, and what is next."""

from __future__ import annotations

import importlib
from pathlib import Path

from stagepost.engine.discovery import CONTRACTS, find_services, find_worlds, imported
from stagepost.engine.findings.read import all_services
from stagepost.engine.replay.given import one_of
from stagepost.engine.scaffold import message, service
from stagepost.engine.scaffold.message import Base, Wanted
from stagepost.engine.scaffold.mood import check_command, check_event
from stagepost.engine.scaffold.written import File, checkout, tidied, write
from stagepost.engine.styles import STYLES
from stagepost.messages import Message, encode, example


def new_message(wanted: Wanted, *, force: bool) -> list[str]:
    """Write a message; return what is to be said of it.

    Raises:
        BadSettings: it cannot be; nothing was written.
    """
    one_of("service", wanted.owner, all_services())
    message.check_name(wanted.name)
    if not force:
        check = check_command if wanted.base is Base.COMMAND else check_event
        check(wanted.name)
    folder = checkout()
    files = [
        tidied(folder, file) if file.path == wanted.path else file
        for file in message.files_for(wanted, folder)
    ]
    written = _write(folder, files)
    line = (folder / wanted.path).read_text().split(f"class {wanted.name}(")[0].count("\n") + 1
    body = encode(example(_made(wanted))).decode()
    return [
        *written,
        f"{wanted.owner}.{wanted.name} is {wanted.said}, such as {body}",
        *_next_of_message(wanted, f"{wanted.path}:{line}"),
    ]


def new_service(name: str) -> list[str]:
    """Write a service; return what is to be said of it.

    Raises:
        BadSettings: it cannot be; nothing was written.
    """
    services = [one.port for style in STYLES for one in find_services(style).values()]
    worlds = [port for port, _ in find_worlds().values()]
    folder = checkout()
    service.check_name(name, folder)
    port = service.port_beside({*services, *worlds}, services)
    return [
        *_write(folder, service.files_for(name, port, folder)),
        f"{name} does nothing yet; it starts with the others, at port {port}. Next:",
        f"  services/{name}/app.py: say in `about` what it is for",
        f"  stagepost new message {name} ...: what it can be asked, and what it tells",
        f"  services/{name}/handlers.py: what it does about each message, its own and others'",
        f"  pytest tests/{name}",
    ]


def _write(folder: Path, files: list[File]) -> list[str]:
    write(folder, files)
    return [f"{'wrote' if file.is_new else 'changed'} {file.path}" for file in files]


def _made(wanted: Wanted) -> type[Message]:
    """Return the class that was written just now; its module is known as it was before."""
    module = importlib.reload(imported(f"{CONTRACTS}.{wanted.owner}"))
    made: type[Message] = getattr(module, wanted.name)
    return made


def _next_of_message(wanted: Wanted, place: str) -> list[str]:
    owner, name = wanted.owner, wanted.name
    where = f"services/{owner}"
    sent = f"  {where}/app.py: name it in `sends`; a handler or a process sends it"
    match wanted.base:
        case Base.COMMAND:
            stands = f"Nobody sends it, and {owner} does not take it yet. Next:"
            steps = [
                f"  stagepost new message {owner} ... --answer {name}, and --refusal {name}",
                f"  {where}/handlers.py: what {owner} does about it",
                "  whoever asks: names it in `sends`, and reads the answers",
            ]
        case Base.EVENT:
            stands = "Nobody sends it, and nobody reads it yet. Next:"
            steps = [sent, f"  whoever cares: a handler of theirs for {owner}.{name}"]
        case _:
            stands = f"Nobody sends it, and nobody who sends {wanted.to} reads it yet. Next:"
            steps = [sent, f"  whoever sends {wanted.to}: a handler of theirs for {owner}.{name}"]
    return [
        stands,
        f"  {place}: what it means, and its other fields, each with an example",
        *steps,
        "  stagepost check: finds it until somebody sends it, and whatever else is missing",
        "  stagepost contracts release: from then on it changes by the rules",
    ]
