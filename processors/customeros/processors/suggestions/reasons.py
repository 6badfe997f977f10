"""Say for people what speaks for two records being one person, and what against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from customeros.processors.suggestions.compare import FIELDS, Level, Vector, email_local
from customeros.processors.suggestions.names import same_name
from customeros.processors.suggestions.record import Record
from customeros.processors.suggestions.weights import Weights

_CALLED: Final[Mapping[str, str]] = {
    "given": "given name",
    "born": "birth date",
    "number": "house number",
    "district": "second address line",
    "email": "e-mail address",
    "phone": "phone number",
    "related": "people they know",
}
_SAID: Final[Mapping[tuple[str, Level], str]] = {
    ("born", Level.SAME): "day and month of birth exchanged",
    ("born", Level.NEAR): "birth dates differ in one digit, or two are transposed",
    ("born", Level.LIKE): "birth dates share two of day, month and year",
    ("email", Level.SAME): "e-mail addresses of one mailbox",
    ("email", Level.NEAR): "e-mail addresses differ in one or two characters",
    ("phone", Level.SAME): "phone number with another prefix",
    ("phone", Level.NEAR): "phone numbers differ in one digit, or two are transposed",
}
_CODES: Final = ("postcode", "number", "region")


def reasons(a: Record, b: Record, levels: Vector, weights: Weights) -> tuple[str, ...]:
    """Sentences, the weightiest agreement first, disagreements last."""
    weighed = sorted(
        (-weights.bits[place][level], name, level)
        for place, (name, level) in enumerate(zip(FIELDS, levels, strict=True))
        if level
    )
    told = [_say(name, level, a, b) for bits, name, level in weighed if level > Level.OTHER]
    against = [
        f"another {called(name)}" for _, name, level in weighed[::-1] if level == Level.OTHER
    ]
    return (*told, *against)


def called(field: str) -> str:
    """The field's name for people."""
    return _CALLED.get(field, field)


def _say(name: str, level: Level, a: Record, b: Record) -> str:
    if name == "related":
        shared = sorted(set(a.values[name]) & set(b.values[name]))
        return f"both with {', '.join(shared[:3])}"
    if level == Level.EXACT:
        return f"same {called(name)}"
    mine, theirs = (one.values.get(name, ("",))[0] for one in (a, b))
    if name == "email" and level == Level.LIKE:
        return f"e-mail addresses with one name, {email_local(mine)}, at two providers"
    if fixed := _SAID.get((name, level)):
        return fixed
    return f"{_kind(name, level, mine, theirs)}: {mine} / {theirs}"


def _kind(name: str, level: Level, mine: str, theirs: str) -> str:
    if level == Level.SAME:
        if name in _CODES:
            return f"{called(name)}s with two digits transposed"
        first, other = (f"{one} ".split(" ")[0] for one in (mine, theirs))
        if name == "given" and same_name(first, other):
            return "one given name in two forms"
        return f"{called(name)} written otherwise or in another field"
    return f"{called(name)} {'nearly equal' if level == Level.NEAR else 'alike'}"
