"""The mood of a message's name: a command asks in the imperative, an event tells in the past tense.

A few rules for English, and a list of words. They refuse what they are sure of; the better name is
a guess.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from stagepost.errors import BadSettings

_FILE = tomllib.loads(Path(__file__).with_name("words.toml").read_text())
PARTICIPLES: dict[str, str] = _FILE["participles"]
PURE = {*_FILE["pure"].split(), *PARTICIPLES}
NOUNS_TOO, DOUBLING, IN_EED, NO_PARTICIPLES, STATES = (
    frozenset(_FILE[name].split())
    for name in ("nouns_too", "doubling", "in_eed", "no_participles", "states")
)
VERBS = PURE | NOUNS_TOO
BOTH = frozenset(base for base, told in PARTICIPLES.items() if base == told)
"""What is the same in the imperative and in the past: set, put, read."""
WORDS = re.compile("[A-Z]+(?![a-z])|[A-Z][a-z0-9]*")


def check_command(name: str) -> None:
    """Make sure that a name can be that of a command.

    Raises:
        BadSettings: it tells what has happened, or names a thing; it says what would ask.
    """
    *before, last = words = WORDS.findall(name)
    first, *rest = words
    if first.lower() in VERBS and last.lower() in BOTH:
        return
    if _is_past(last):
        raise _wrong("a command is said in the imperative", name, [_base(last), *before])
    if (_is_past(first) and first.lower() not in BOTH) or _is_ongoing(first):
        raise _wrong("a command is said in the imperative", name, [_base(first), *rest])
    if _is_thing(first):
        better = [last, *before] if last.lower() in VERBS else []
        raise _wrong("a command begins with its verb", name, better or ["RetrievePayment"])


def check_event(name: str) -> None:
    """Make sure that a name can be that of an event.

    Raises:
        BadSettings: nothing in it is in the past tense; it says what would be.
    """
    words = WORDS.findall(name)
    if not any(map(_is_past, words)) and words[-1].lower() not in STATES:
        better = _told(words) or ["PaymentReceived"]
        raise _wrong("an event is told in the past tense", name, better)


def _wrong(rule: str, name: str, better: Sequence[str]) -> BadSettings:
    return BadSettings(f"{rule}, as {''.join(better)}, not as {name}; --force takes it as it is")


def _told(words: Sequence[str]) -> Sequence[str]:
    """Return words with their verb at the end and in the past; nothing where they have none."""
    *before, last = words
    first, *rest = words
    for verbs in (PURE, NOUNS_TOO):
        if first.lower() in verbs:
            return *rest, _past(first)
        if last.lower() in verbs:
            return *before, _past(last)
    return (*before, _past(_base(last))) if _is_ongoing(last) else ()


def _is_past(word: str) -> bool:
    said = word.lower()
    if said in PARTICIPLES.values() or said in IN_EED:
        return True
    return said.endswith("ed") and not said.endswith("eed") and said not in NO_PARTICIPLES


def _is_ongoing(word: str) -> bool:
    return re.search("[aeiouy].*ing$", word.lower()) is not None


def _is_thing(word: str) -> bool:
    return word.lower() not in VERBS and re.search("(ment|sion|tion)s?$", word) is not None


def _past(base: str) -> str:
    said = base.lower()
    if said in PARTICIPLES:
        told = PARTICIPLES[said]
    elif said.endswith("e"):
        told = f"{said}d"
    elif re.search("[^aeiou]y$", said):
        told = f"{said[:-1]}ied"
    elif said in DOUBLING or re.fullmatch("[^aeiou]*[aeiou][^aeiouwxy]", said):
        told = f"{said}{said[-1]}ed"
    else:
        told = f"{said}ed"
    return told.capitalize()


_BASES = {_past(verb): verb.capitalize() for verb in sorted(VERBS)}


def _base(word: str) -> str:
    """Return the verb of `Received` or `Receiving`; where it is not known, a guess."""
    stem = re.sub("(ed|ing)$", "", word)
    known = [base for base in (stem, f"{stem}e") if base.lower() in VERBS]
    known += [_BASES[past] for past in (f"{stem}ed", word) if past in _BASES]
    if known:
        return known[0]
    if stem.endswith("i"):
        return f"{stem[:-1]}y"
    if re.search(r"([^aeioulsfz])\1$", stem):
        return stem[:-1]
    return f"{stem}e" if re.search("([cguvz]|[^s]s|[^aeiou]l|[aiu]t|[iu]r)$", stem) else stem
