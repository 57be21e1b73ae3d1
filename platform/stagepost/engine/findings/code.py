"""What a service does in its code that is another's: imports it, or reads its database.

It finds what is written plainly, in Python and in SQL; what is put together while it runs, only
the rights of the database's roles keep out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_WORD = r'["\w]+'
_NAME = rf"{_WORD}(?:\.{_WORD})?"
_ITEM = rf"{_NAME}(?:\s+(?:AS\s+)?\w+)?"
_MADE = re.compile(
    rf"\bCREATE\s+(?:\w+\s+)*(?:TABLE|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?({_NAME})", re.IGNORECASE
)
_READ = re.compile(
    r"(?<!\bDISTINCT )\b(?:FROM|JOIN|INTO|UPDATE|USING|REFERENCES|TABLE|TRUNCATE)\s+"
    rf"(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?"
    rf"(?=({_ITEM}(?:\s*,\s*{_ITEM})*))",
    re.IGNORECASE,
)
_NAMED = re.compile(
    rf"\b({_WORD})\s*(?:\([^()]*\)\s*)?\bAS\s+(?:(?:NOT\s+)?MATERIALIZED\s+)?\(", re.IGNORECASE
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_STATEMENT = re.compile(
    r"[\s(]*(?:(?:WITH|SELECT|INSERT|UPDATE|DELETE|MERGE|TRUNCATE)\b"
    r"|(?:CREATE|ALTER|DROP|LOCK)\s+(?:\w+\s+)*(?:TABLE|VIEW)\b)",
    re.IGNORECASE,
)
_DSN = re.compile(r"postgres(?:ql)?(?:\+\w+)?://[^/\s]*/(\w+)")
_DBNAME = re.compile(r"\bdbname\s*=?\s*'?(\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Reach:
    """Where a service reaches into another, and how it does: "imports services.payments"."""

    service: str
    other: str
    file: str
    line: int
    how: str


def find_reaches(folders: Mapping[str, Path]) -> list[Reach]:
    """Look through the folder of every service."""
    tables = {name: _tables_made(folder) for name, folder in folders.items()}
    return [reach for name in folders for reach in _Reader(name, folders, tables).reaches()]


def _tables_made(folder: Path) -> frozenset[str]:
    return frozenset(
        _plain(made).rpartition(".")[2]
        for file in folder.rglob("*.sql")
        for made in _MADE.findall(_without_comments(file.read_text()))
    )


@dataclass(frozen=True)
class _Reader:
    """Reads the code of one service, beside those of the others."""

    service: str
    folders: Mapping[str, Path]
    tables: Mapping[str, frozenset[str]]

    @property
    def others(self) -> list[str]:
        return [name for name in self.folders if name != self.service]

    def reaches(self) -> Iterator[Reach]:
        folder = self.folders[self.service]
        for file in sorted(folder.rglob("*.py")):
            for node in ast.walk(_prepared(ast.parse(file.read_text()))):
                yield from self._in_node(node, file)
        for file in sorted(folder.rglob("*.sql")):
            yield from self._in_sql(file.read_text(), file, 1)

    def _in_node(self, node: ast.AST, file: Path) -> Iterator[Reach]:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield from self._imported(alias.name, file, node.lineno)
            case ast.ImportFrom(module=module, names=names, level=level):
                for alias in names:
                    name = ".".join(filter(None, [*self._base(file, level), module, alias.name]))
                    yield from self._imported(name, file, node.lineno)
            case ast.keyword(arg="database" | "dbname", value=ast.Constant(value=str() as name)):
                yield from self._opened(name, file, node.lineno)
            case ast.Constant(value=str() as text):
                yield from self._in_text(text, file, node.lineno)
            case ast.Name(id=name, lineno=line) | ast.Attribute(attr=name, lineno=line):
                yield from self._named(name, file, line)

    def _base(self, file: Path, level: int) -> list[str]:
        """Return the package that a relative import goes out from."""
        root = self.folders[self.service].parent
        package = [root.name, *file.relative_to(root).parent.parts]
        return package[: len(package) + 1 - level] if level else []

    def _imported(self, module: str, file: Path, line: int) -> Iterator[Reach]:
        for other in self.others:
            folder = self.folders[other]
            package = f"{folder.parent.name}.{folder.name}"
            if f"{module}.".startswith(f"{package}."):
                yield self._reach(other, file, line, f"imports {module}")

    def _in_text(self, text: str, file: Path, line: int) -> Iterator[Reach]:
        if _STATEMENT.match(_without_comments(text)):
            yield from self._in_sql(text, file, line)
        else:
            level = len(text) - len(text.lstrip("."))
            name = ".".join([*self._base(file, level), text[level:]])
            yield from self._imported(name, file, line)
            yield from self._connected(text, file, line)
            yield from self._named(text, file, line)

    def _in_sql(self, text: str, file: Path, first: int) -> Iterator[Reach]:
        sql = _without_comments(text)
        own = self.tables[self.service] | {_plain(name) for name in _NAMED.findall(sql)}
        for found in _READ.finditer(sql):
            line = first + sql.count("\n", 0, found.start())
            for item in found[1].split(","):
                yield from self._table_read(_plain(item.split()[0]), own, file, line)
        yield from self._connected(sql, file, first)

    def _table_read(self, name: str, own: frozenset[str], file: Path, line: int) -> Iterator[Reach]:
        schema, _, table = name.rpartition(".")
        for other in self.others:
            is_its = not schema and table in self.tables[other] and table not in own
            if schema == other or is_its:
                yield self._reach(other, file, line, f"reads the table {name} of {other}")

    def _connected(self, text: str, file: Path, first: int) -> Iterator[Reach]:
        for found in (*_DSN.finditer(text), *_DBNAME.finditer(text)):
            yield from self._opened(found[1], file, first + text.count("\n", 0, found.start()))

    def _opened(self, database: str, file: Path, line: int) -> Iterator[Reach]:
        if database in self.others:
            yield self._reach(database, file, line, f"connects to the database of {database}")

    def _named(self, name: str, file: Path, line: int) -> Iterator[Reach]:
        for other in self.others:
            if re.fullmatch(rf"(?i)(\w+_)?{other}_(database|db|dsn)(_url)?", name):
                yield self._reach(other, file, line, f"knows a setting {name}, of {other}")

    def _reach(self, other: str, file: Path, line: int, how: str) -> Reach:
        root = self.folders[self.service].parent.parent
        return Reach(self.service, other, str(file.relative_to(root)), line, how)


def _plain(name: str) -> str:
    return name.replace('"', "").lower()


def _without_comments(sql: str) -> str:
    """Return SQL with blanks for comments: its lines keep their numbers."""
    return _COMMENT.sub(lambda comment: re.sub(r"[^\n]", " ", comment[0]), sql)


def _prepared(tree: ast.AST) -> ast.AST:
    """Take out strings that stand for themselves: they are said to people.

    The text of an f-string is put together, with {} for what is filled in.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()):
                node.value = ast.Constant(value=None)
            case ast.JoinedStr(values=values):
                filled = [value for value in values if not isinstance(value, ast.Constant)]
                text = "".join(_constant(value) for value in values)
                node.values = [ast.copy_location(ast.Constant(value=text), node), *filled]
    return tree


def _constant(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "{}"
