"""A new message of a service: its class in the module of its owner, as its neighbours are."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import symtable
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stagepost.engine.replay.given import unknown
from stagepost.engine.scaffold.lists import with_words_of
from stagepost.engine.scaffold.mood import WORDS
from stagepost.engine.scaffold.written import PYPROJECT, File
from stagepost.errors import BadSettings

FRESH = '''"""What {owner} can be asked, and what it tells."""

from __future__ import annotations
'''
NAME = "[A-Z][A-Za-z0-9]{0,63}"


class Base(StrEnum):
    """What a message is: the class that it is made from."""

    COMMAND = "Command"
    EVENT = "Event"
    ANSWER = "Answer"
    REFUSAL = "Refusal"


@dataclass(frozen=True)
class Wanted:
    """A message that is to be; `to` names the command that it answers."""

    owner: str
    name: str
    base: Base
    to: str | None = None

    @property
    def path(self) -> str:
        return f"contracts/{self.owner}.py"

    @property
    def head(self) -> str:
        return f"{self.base}, to={self.to}" if self.to else self.base

    @property
    def said(self) -> str:
        """What it is, as a person says it."""
        what = f"{'an' if self.base[0] in 'AE' else 'a'} {self.base.lower()}"
        return f"{what} to {self.to}" if self.to else what


def check_name(name: str) -> None:
    """Make sure that a name can be that of a message.

    Raises:
        BadSettings: it cannot; it says what could.
    """
    if not re.fullmatch(NAME, name):
        parts = re.split("[^A-Za-z0-9]+", name)
        near = "".join(part[:1].upper() + part[1:] for part in parts)
        like = near if re.fullmatch(NAME, near) else "PaymentReceived"
        raise BadSettings(f"a message has a name such as {like}, not {name!r}")
    if keyword.iskeyword(name) or hasattr(builtins, name):
        raise BadSettings(f"{name} means something in Python: a message needs another name")


def files_for(wanted: Wanted, checkout: Path) -> list[File]:
    """Return what is to be written for a message.

    Raises:
        BadSettings: the name is taken, or there is no such command to answer.
    """
    module = checkout / wanted.path
    if module.exists():
        return [File(wanted.path, with_message(module.read_text(), wanted), is_new=False)]
    text = with_message(FRESH.format(owner=wanted.owner), wanted)
    rules = with_words_of(wanted.owner, (checkout / PYPROJECT).read_text())
    return [File(wanted.path, text, is_new=True), File(PYPROJECT, rules, is_new=False)]


def with_message(text: str, wanted: Wanted) -> str:
    """Return the source of a module with one message more; its imports need not be in order.

    Raises:
        BadSettings: the name is taken, or there is no such command to answer.
    """
    _check_free(text, wanted)
    known = _messages(text)
    command = _command(known, wanted) if wanted.to else None
    after = _last_of_its_like(known, wanted, command)
    key, imports = _key(command or known[-1] if known else None, text)
    said = " ".join(WORDS.findall(wanted.name)).capitalize()
    made = f'class {wanted.name}({wanted.head}):\n    """{said}."""\n\n{key}\n'
    lines = text.splitlines(keepends=True)
    begin, end = _first_import(text), after.end_lineno if after else len(lines)
    imports = f"{imports}from stagepost.messages import {wanted.base}\n"
    body = [*lines[begin:end], f"\n\n{made}\n\n", *lines[end:]]
    return "".join([*lines[:begin], "\n", imports, *body])


def _check_free(text: str, wanted: Wanted) -> None:
    if wanted.name in symtable.symtable(text, wanted.path, "exec").get_identifiers():
        raise BadSettings(f"there is a {wanted.name} in {wanted.path} already")


def _first_import(text: str) -> int:
    """Return the line below which another import may stand: `__future__` comes before all."""
    body = ast.parse(text).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    return (imports or body)[0].end_lineno or 0


def _messages(text: str) -> list[ast.ClassDef]:
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    return [cls for cls in classes if _base(cls) in set(Base)]


def _base(cls: ast.ClassDef) -> str:
    return ast.unparse(cls.bases[0]) if cls.bases else ""


def _answered(cls: ast.ClassDef) -> str | None:
    return next((ast.unparse(word.value) for word in cls.keywords if word.arg == "to"), None)


def _command(known: Sequence[ast.ClassDef], wanted: Wanted) -> ast.ClassDef:
    commands = {cls.name: cls for cls in known if _base(cls) == Base.COMMAND}
    if wanted.to not in commands:
        raise unknown(f"command of {wanted.owner} called", str(wanted.to), commands)
    return commands[wanted.to]


def _last_of_its_like(
    known: Sequence[ast.ClassDef], wanted: Wanted, command: ast.ClassDef | None
) -> ast.ClassDef | None:
    """Return what a message stands below: answers to its command, else answers, else its kind."""
    if command is None:
        like = [cls for cls in known if _base(cls) == wanted.base] or known
    else:
        siblings = [cls for cls in known if _answered(cls) == wanted.to]
        like = siblings or [cls for cls in known if _answered(cls) or cls is command]
    return like[-1] if like else None


def _key(cls: ast.ClassDef | None, text: str) -> tuple[str, str]:
    """Return how a message like another says what it is about, and what it imports for that."""
    body = cls.body if cls else []
    keys = [node for node in body if isinstance(node, ast.Assign) and _names(node) == "KEY"]
    name = ast.literal_eval(keys[0].value) if keys else "order_id"
    fields = [node for node in body if isinstance(node, ast.AnnAssign) and _names(node) == name]
    if not fields:
        return "    order_id: OrderId", "from contracts.values import OrderId\n"
    found = (ast.get_source_segment(text, node) for node in (*keys, *fields))
    return "\n".join(f"    {segment}" for segment in found), ""


def _names(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
