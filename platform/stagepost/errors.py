"""Everything that can go wrong, as one tree.

StagepostError
    Refused                     a request cannot be granted as things stand; nothing was changed
        NotFound
        Conflict
        Changed                 it is no longer as who wants to change it has seen it
        Unseen                  who wants to change it does not say what they have seen
        Unprocessable
    NoRoom                      new work is turned away for now, so that what was accepted can end
    BadMessage                  a message that cannot be handled; it is parked with its key
        UnknownMessage
        UnknownVersion
        UnreadableMessage
        ForgedSource
        UndeclaredSender
        Unidentified
        StrayCommand
        TooLarge
    Misuse                      the program is wrong, and says where
        NotDeclared
        LoadBeforeChange
    StoreError
        OutcomeUnknown          the connection was cut: whether it was stored is not known yet
        Fenced                  another instance holds the lease now; nothing was written
        StoreUnavailable
        SchemaTooNew
        SchemaTooOld
        NotEmpty                an export goes into an empty store only
        UnreadableEvent         a stored event of an unknown topic or version, or damaged
        UnreadableStream
    TransportError
        TransportUnavailable
        ForeignMessage          somebody else wrote to a stream that only its owner may write to
        FeedRefused             a source cannot tell what comes after our cursor
    CallFailed                  the world outside, or a recipient, did not answer: it is tried again
    GivenUp                     a command will never be answered: it was discarded as a dead letter
    BadExport               an export is damaged, or does not belong here, or cannot be written
    BadSettings
    Busy                        somebody else is at it already
    NotInstalled                what was chosen needs a package that is not installed here
    StackError                  `stagepost up` cannot start, or lost, a part of the stack
"""

from __future__ import annotations


class StagepostError(Exception):
    """The root: what this library raises on purpose."""


class Refused(StagepostError):
    """The request cannot be granted as things stand. Nothing was changed.

    `pointer` is the JSON pointer of the field at fault, where there is one.
    """

    status = 409
    title = "The request conflicts with the current state"

    def __init__(self, detail: str, *, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer


class NotFound(Refused):
    """There is no such thing."""

    status = 404
    title = "Not found"


class Conflict(Refused):
    """It exists already, or has moved on."""


class Changed(Refused):
    """It is no longer as who wants to change it has seen it."""

    status = 412
    title = "It has changed since"


class Unseen(Refused):
    """Who wants to change it does not say what they have seen."""

    status = 428
    title = "Say which version you want to change"


class Unprocessable(Refused):
    """The request is well-formed, but what it asks cannot be."""

    status = 422
    title = "The request cannot be carried out"


class NoRoom(StagepostError):
    """There is no room for new work. Nothing was changed; ask again later."""


class BadMessage(StagepostError):
    """A message that cannot be handled. It is parked as a dead letter, with its key."""


class UnknownMessage(BadMessage):
    """No contract declares this type."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no contract here declares the message type {name!r}: "
            "deploy a release that knows it, then redrive"
        )


class UnknownVersion(BadMessage):
    """The message is newer than this release."""

    def __init__(self, name: str, version: int, newest: int) -> None:
        super().__init__(
            f"{name} has version {version}, this release knows up to {newest}: "
            "deploy a newer release, then redrive"
        )


class UnreadableMessage(BadMessage):
    """The body does not fit the contract."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"the body of {name} does not fit its contract at {fault}")


class ForgedSource(BadMessage):
    """A message says it comes from somebody who did not send it."""

    def __init__(self, name: str, claimed: str, sender: str) -> None:
        super().__init__(f"{name} names {claimed!r} as its caller, but {sender!r} sent it")


class UndeclaredSender(BadMessage):
    """A message from outside, of a sender that does not declare it."""

    def __init__(self, name: str, sender: str) -> None:
        super().__init__(
            f"{sender!r} sent {name} from outside, and does not declare it:"
            " declare it in stagepost.toml under [external], then redrive"
        )


class Unidentified(BadMessage):
    """A message from outside whose headers do not say which it is."""


class StrayCommand(BadMessage):
    """A message came as a command, and is none, or nobody's here."""

    def __init__(self, name: str, service: str) -> None:
        super().__init__(f"{name} came as a command, and {service} takes no such command")


class TooLarge(BadMessage):
    """A message that no broker would take is refused before it is stored."""

    def __init__(self, name: str, size: int, most: int) -> None:
        super().__init__(f"{name} has {size} bytes, {most} is the most: send a reference instead")


class Misuse(StagepostError):
    """The program is wrong."""


class NotDeclared(Misuse):
    """A service sends what it does not declare, or does not read what it is sent."""


class LoadBeforeChange(Misuse):
    """A handler changed an aggregate and then asked for one that was not loaded."""


class StoreError(StagepostError):
    """The store could not do as asked."""


class OutcomeUnknown(StoreError):
    """The connection was cut in mid-append: it may be stored. Ask again under the same ids."""


class Fenced(StoreError):
    """The lease has passed on, or the database was set back. Nothing was written."""


class StoreUnavailable(StoreError):
    """The database cannot be reached. Nothing was written."""


class SchemaTooNew(StoreError):
    """The database was migrated by a newer release than this one."""


class SchemaTooOld(StoreError):
    """The database lacks migrations that this release needs."""


class NotEmpty(StoreError):
    """The store has something in it already. Nothing was written."""


class UnreadableEvent(StoreError):
    """A stored event does not fit this release: a newer one wrote it, or it is damaged.

    `where` says which it is: its position in the log, where that is known.
    """

    def __init__(self, topic: str, where: str, fault: str) -> None:
        super().__init__(f"the event {topic}, {where}, cannot be read: {fault}")
        self.topic = topic
        self.fault = fault

    def at(self, position: int) -> UnreadableEvent:
        """Return the same, said of its position in the log."""
        return UnreadableEvent(self.topic, f"at position {position}", self.fault)


class UnreadableStream(StoreError):
    """Stored events do not fit this release: a newer one wrote them, or they are damaged."""


class TransportError(StagepostError):
    """The broker could not do as asked."""


class TransportUnavailable(TransportError):
    """The broker cannot be reached, or did not confirm in time."""


class ForeignMessage(TransportError):
    """The tail of our stream is not what we published last."""


class FeedRefused(TransportError):
    """What comes after our cursor is no longer kept by its source, or not known to it any more."""


class CallFailed(StagepostError):
    """The world outside, or a recipient, did not answer as agreed. The call is tried again."""


class GivenUp(StagepostError):
    """A command that its recipient could not handle was discarded: it will never be answered."""


class BadExport(StagepostError):
    """An export is damaged, does not belong here, or cannot be written. Nothing is left of it."""


class BadSettings(StagepostError):
    """A setting is missing or wrong; the message names it."""


class Busy(StagepostError):
    """Somebody else is at it already: ask again once they are done."""


class NotInstalled(StagepostError):
    """What was chosen needs a package that is not installed; the message says how to get it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package {package}, which is not installed here: "
            f"pip install 'stagepost[{extra}]'"
        )


class StackError(StagepostError):
    """A part of the local stack cannot start, or has ended."""
