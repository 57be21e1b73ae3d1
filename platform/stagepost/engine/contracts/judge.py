"""Holds the contracts against what is released: what would break, whom, and the ways out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from stagepost.engine.contracts.compare import OF_BEFORE, OF_NOW, Change, Rule, changes
from stagepost.engine.contracts.golden import Golden
from stagepost.engine.contracts.schema import schema_of
from stagepost.engine.discovery import find_services
from stagepost.engine.styles import STYLES
from stagepost.errors import BadMessage
from stagepost.messages import Message, decode, encode

GONE = "removed message"
BACK = "version gone back"
NO_UPCASTER = "no upcaster"
UNREADABLE = "example not readable"
ALTERED = "example not written as it was"
ASTRAY = "not written as it is read"
NOT_OPEN = "unknown fields not ignored"

OLD = "old readers, new messages"
NEW = "new readers, old messages"
ANY = "readers, messages with a field more"


class Ends(NamedTuple):
    """Who sends a message and who reads it, in any style."""

    senders: Sequence[str] = ()
    readers: Sequence[str] = ()


class Fault(NamedTuple):
    """What is wrong with a message: at which field, by which rule, and the ways out.

    `meets` says which readers meet which messages that they do not take.
    """

    pointer: str
    rule: str
    what: str
    ways_out: Sequence[str]
    meets: Sequence[str] = (OLD, NEW)


class Problem(NamedTuple):
    """A fault of a message, in the version that is released, and whom it breaks."""

    type: str
    version: int
    fault: Fault
    ends: Ends


def problems(released: Sequence[Golden], messages: Sequence[type[Message]]) -> list[Problem]:
    """Return all that breaks somebody who takes what is released.

    Raises:
        BadSettings: a service does not import.
    """
    ends = ends_everywhere()
    present = {message.TYPE: message for message in messages}
    newest = {(golden.type, golden.version): golden for golden in released}
    last = {golden.type: golden for golden in released}
    found = [
        Problem(golden.type, golden.version, fault, _ends_of(golden, ends))
        for golden in released
        for fault in _faults(
            golden,
            present.get(golden.type),
            is_newest=golden is newest[golden.type, golden.version],
            is_last=golden is last[golden.type],
        )
    ]
    return found + [
        Problem(message.TYPE, message.VERSION, fault, ends.get(message.TYPE, Ends()))
        for message in messages
        for fault in (*_not_open(message), *_astray(message))
    ]


def ends_everywhere() -> Mapping[str, Ends]:
    """Return who sends and reads what, by its type.

    Raises:
        BadSettings: a service does not import.
    """
    senders: dict[str, dict[str, None]] = defaultdict(dict)
    readers: dict[str, dict[str, None]] = defaultdict(dict)
    for service in (one for style in STYLES for one in find_services(style).values()):
        for message in service.sends:
            senders[message.TYPE][service.name] = None
        for message in service.reads:
            readers[message.TYPE][service.name] = None
    return {
        name: Ends([*senders[name]], [*readers[name]]) for name in senders.keys() | readers.keys()
    }


def _ends_of(golden: Golden, ends: Mapping[str, Ends]) -> Ends:
    """Who reads it no more reads it all the same until the change is rolled out."""
    senders, readers = ends.get(golden.type, Ends())
    return Ends(senders, [*dict.fromkeys([*readers, *golden.readers])])


def _faults(
    golden: Golden, message: type[Message] | None, *, is_newest: bool, is_last: bool
) -> Iterator[Fault]:
    if message is None:
        if is_last:
            yield _gone()
        return
    if golden.version > message.VERSION:
        if is_last:
            yield _back(golden, message)
        return
    is_current = golden.version == message.VERSION
    found = changes(golden.schema, schema_of(message)) if is_current and is_newest else []
    yield from (_changed(golden, change) for change in found)
    if not found:
        yield from _unreadable(golden, message, is_newest=is_newest)


def _gone() -> Fault:
    away = "take out its files in contracts/golden, once no log, stream or store has it"
    return Fault("", GONE, "no contract declares it", ["leave it beside the new one", away])


def _back(golden: Golden, message: type[Message]) -> Fault:
    what = f"VERSION is {message.VERSION}, and {golden.version} is released"
    return Fault("", BACK, what, [f"VERSION = {golden.version}", "a higher one"], [NEW])


def _changed(golden: Golden, change: Change) -> Fault:
    default = ["a default"] if change.rule is Rule.REQUIRED else []
    old = [] if change.rule in OF_NOW else [OLD]
    new = [] if change.rule in OF_BEFORE else [NEW]
    return Fault(
        change.pointer,
        change.rule,
        change.what,
        [*default, _next_version(golden), "a new name, and the old one stays as it was"],
        [*old, *new],
    )


def _next_version(golden: Golden) -> str:
    version = golden.version
    return f"VERSION = {version + 1} with an upcast_v{version}_v{version + 1}"


def _unreadable(golden: Golden, message: type[Message], *, is_newest: bool) -> Iterator[Fault]:
    """Say why what was released is not read, where no schema tells: an upcaster, a validator."""
    steps = range(golden.version, message.VERSION)
    names = [f"upcast_v{step}_v{step + 1}" for step in steps]
    missing = [name for name in names if not hasattr(message, name)]
    if missing:
        what = f"version {message.VERSION} has no {', '.join(missing)}"
        yield Fault("", NO_UPCASTER, what, [f"write {', '.join(missing)}"], [NEW])
        return
    ways = [f"mend {', '.join(names)}" if names else _next_version(golden)]
    try:
        read = decode(golden.type, golden.version, json.dumps(golden.example).encode())
    except BadMessage as error:
        yield Fault("", UNREADABLE, str(error), ways, [NEW])
        return
    if is_newest:
        before = {} if names else golden.example
        yield from (Fault("", ALTERED, what, ways) for what in _altered(read, before))


def _altered(read: Message, before: Mapping[str, object]) -> Iterator[str]:
    """Say what becomes of a body that is written: a serializer is in no schema, nor is an alias."""
    body = encode(read)
    try:
        again = decode(read.TYPE, read.VERSION, body)
    except BadMessage as error:
        yield f"what is written is not read: {error}"
        return
    if again != read or not _holds(json.loads(body), before):
        yield f"it is written as {body.decode()}"


def _holds(now: object, before: object) -> bool:
    """Tell whether all that a body said is said now; a part of it may have fields more."""
    match now, before:
        case dict(), dict():
            return all(name in now and _holds(now[name], it) for name, it in before.items())
        case list(), list():
            return len(now) == len(before) and all(map(_holds, now, before))
    return now == before


def _not_open(message: type[Message]) -> Iterator[Fault]:
    schema: dict[str, Any] = schema_of(message)
    parts: dict[str, Any] = {message.__name__: schema, **schema.get("$defs", {})}
    for name, part in parts.items():
        if "properties" in part and "additionalProperties" in part:
            what = f"{name} forbids or keeps them"
            yield Fault("", NOT_OPEN, what, ['extra="ignore", as every message has'], [ANY])


def _astray(message: type[Message]) -> Iterator[Fault]:
    """Say what is written under another name than it is read, or only one of both."""
    read = message.model_json_schema()
    written = message.model_json_schema(mode="serialization", by_alias=False)
    parts = read.get("$defs", {}).keys() & written.get("$defs", {}).keys()
    pairs = {name: (read["$defs"][name], written["$defs"][name]) for name in sorted(parts)}
    for name, both in {message.__name__: (read, written), **pairs}.items():
        was, now = (part.get("properties", {}).keys() for part in both)
        if was != now:
            what = f"{name}: {', '.join(sorted(was ^ now))}"
            yield Fault("", ASTRAY, what, ["no alias, no exclude, no computed field"], [OLD, NEW])
