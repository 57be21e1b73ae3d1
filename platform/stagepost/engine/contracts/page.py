"""The contracts of a service as a page for people: what it takes, what it sends, what it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from inspect import getdoc

from stagepost.engine.contracts.fields import lines_of
from stagepost.engine.contracts.schema import kind_of, schema_of
from stagepost.engine.contracts.ways import Way, replies_to, ways_of
from stagepost.engine.contracts.wires import example_on, wire_of
from stagepost.engine.flow import Flow
from stagepost.engine.service import Service
from stagepost.engine.transport_names import HTTP
from stagepost.messages import Answer, Command, Message


def body_of(service: Service, flow: Flow, document: str) -> str:
    """Return the page's body; at `document` programs find the same.

    Raises:
        BadSettings: a link is said to be there that is not, or a message has no example.
    """
    ways = ways_of(service, flow)
    parts = {
        "takes": [way for way in ways if not way.is_out and issubclass(way.message, Command)],
        "sends": [way for way in ways if way.is_out],
        "reads": [way for way in ways if not (way.is_out or issubclass(way.message, Command))],
    }
    head = (
        f"<h1>{escape(service.name)}: contracts</h1><p>{escape(service.about)}</p>"
        f"<p>This is its part in the flow: {escape(str(flow))}. For programs, as AsyncAPI 3.1:"
        f' <a href="{document}">{document}</a></p>'
    )
    contents = [_contents(name, part) for name, part in parts.items()]
    return "".join([head, *contents, *(_part(*part, ways, service.name) for part in parts.items())])


def _contents(name: str, ways: Sequence[Way]) -> str:
    links = (f'<a href="#{name}.{each.TYPE}">{each.__name__}</a>' for each in _messages(ways))
    return f"<p>It {name} {', '.join(links) or 'nothing'}.</p>"


def _messages(ways: Sequence[Way]) -> list[type[Message]]:
    return list(dict.fromkeys(way.message for way in ways))


def _part(name: str, ways: Sequence[Way], every: Sequence[Way], me: str) -> str:
    described = (
        f'<h3 id="{name}.{message.TYPE}">{message.__name__}</h3>'
        + _described(message, [way for way in ways if way.message is message], every, me)
        for message in _messages(ways)
    )
    return f"<h2>What it {name}</h2>{''.join(described)}" if ways else ""


def _described(message: type[Message], ways: Sequence[Way], every: Sequence[Way], me: str) -> str:
    fields = "".join(
        f"<tr><td><code>{escape(name).replace('_', '_<wbr>')}</code><td>{escape(what)}"
        f"<td>{_prose(about)}"
        for name, what, about in lines_of(schema_of(message))
    )
    return (
        f"<p>{_prose(getdoc(message) or '')}</p><p>{_facts(ways[0], every)}</p>"
        f"<ul>{''.join(map(_way, ways))}</ul>"
        f"<table><tr><th>field<th>what stands there<th>what it means{fields}</table>"
        f"<details><summary>Example</summary><pre>{escape(_example(ways[0], me))}</pre></details>"
    )


def _facts(way: Way, every: Sequence[Way]) -> str:
    message = way.message
    said = f"{kind_of(message)}, version {message.VERSION}, key <code>{message.KEY}</code>"
    if issubclass(message, Answer):
        return f"{said}, answers {_names((message.TO, *message.ALSO))}"
    answers = _messages(replies_to(way, every))
    return f"{said}, answered with {_names(answers)}" if answers else said


def _names(messages: Iterable[type[Message]]) -> str:
    return " or ".join(message.__name__ for message in messages)


def _way(way: Way) -> str:
    others = ", ".join(way.others) or "nobody in this flow"
    where = f"<code>{escape(way.channel.address_of(way.message))}</code>"
    if way.channel.transport == HTTP:
        where += f" of {escape(way.channel.service)}"
    towards = "to" if way.is_out else "from"
    return f"<li>{towards} {escape(others)} over {way.channel.transport}: {where}"


def _prose(text: str) -> str:
    """Return text with the names in it as such."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _example(way: Way, me: str) -> str:
    """Return an example as text: headers, where there are any, an empty line, and the body."""
    sender = me if way.is_out else way.others[0]
    headers, payload = example_on(wire_of(way.channel), way.message, sender)
    head = [*(f"{name}: {value}" for name, value in headers.items()), ""] if headers else []
    return "\n".join([*head, json.dumps(payload, indent=2, ensure_ascii=False)])
