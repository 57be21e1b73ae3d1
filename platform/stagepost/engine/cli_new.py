"""The command line of scaffolds: `stagepost new message`, `stagepost new service`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from stagepost.engine.cli_common import write
from stagepost.errors import BadSettings

Flag = Annotated[bool, Parameter(negative="")]

new = App(name="new", help="Add a message or a service to this checkout, as if by hand.")


@new.command
def message(
    owner: str,
    name: str,
    *,
    command: Flag = False,
    event: Flag = False,
    answer: str | None = None,
    refusal: str | None = None,
    force: Flag = False,
) -> None:
    """Add a message to the contracts: all of it is written, or nothing.

    Args:
        owner: the service that takes the command or tells the event, such as payments.
        name: a command in the imperative, RetrievePayment; all else in the past tense.
        command: it asks its owner to do something.
        event: it tells what has happened.
        answer: it answers this command of its owner.
        refusal: it refuses this command of its owner.
        force: take a name in another mood or tense.
    """
    from stagepost.engine.scaffold.message import Base, Wanted
    from stagepost.engine.scaffold.new import new_message

    meant = {
        Base.COMMAND: command,
        Base.EVENT: event,
        Base.ANSWER: answer,
        Base.REFUSAL: refusal,
    }
    chosen = [base for base, given in meant.items() if given]
    if len(chosen) != 1:
        raise BadSettings("say what it is: --command, --event, --answer TO or --refusal TO")
    to = (answer or refusal or "").removeprefix(f"{owner}.") or None
    for line in new_message(Wanted(owner, name, chosen[0], to), force=force):
        write(line)


@new.command
def service(name: str) -> None:
    """Add a service that does nothing yet, but runs: all of it is written, or nothing.

    Args:
        name: small letters and digits, such as returns.
    """
    from stagepost.engine.scaffold.new import new_service

    for line in new_service(name):
        write(line)
