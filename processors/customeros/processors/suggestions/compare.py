"""How well a field of two records agrees: one of a few levels, each of which means something."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Final

from rapidfuzz.distance import OSA, JaroWinkler

from customeros.processors.suggestions.names import same_name, sound
from customeros.processors.suggestions.record import Record

PHONE_OWN_DIGITS: Final = 8  # the end of a number that stays when its prefix is written otherwise
_GOOGLE: Final = ("gmail.com", "googlemail.com")
_NO_LETTER = re.compile(r"[\W_]+")
_NO_DIGIT = re.compile(r"\D+")


class Level(IntEnum):
    """From no knowledge and no agreement up; `SAME` is one value in another form."""

    UNKNOWN = 0
    OTHER = 1
    LIKE = 2
    NEAR = 3
    SAME = 4
    EXACT = 5


_ALIKE: Final = (Level.LIKE, Level.NEAR)
Vector = tuple[Level, ...]  # aligned with FIELDS


def vector(a: Record, b: Record) -> Vector:
    """The levels of all fields, aligned with `FIELDS`."""
    mine, theirs = a.values, b.values
    levels = {
        name: _best(name, mine[name], theirs[name])
        for name in mine.keys() & theirs.keys()
        if name in COMPARE
    }
    if levels.get("email", Level.UNKNOWN) in _ALIKE and _told_by_names(levels["email"], a, b):
        del levels["email"]
    for one, other in _SWAPPED:
        if levels.get(one, 0) <= Level.LIKE and levels.get(other, 0) <= Level.LIKE:
            _exchanged(levels, one, other, mine, theirs)
    return tuple([levels.get(name, Level.UNKNOWN) for name in FIELDS])


def email_local(address: str) -> str:
    """What names the person in an address: no tag, no dots."""
    return address.partition("@")[0].partition("+")[0].replace(".", "")


def _told_by_names(level: Level, a: Record, b: Record) -> bool:
    """Whether addresses are only as alike as the names that they are made of."""
    mine, theirs = (
        [(address, _of_names(address, one)) for address in one.values["email"]] for one in (a, b)
    )
    return all(
        made and also_made
        for address, made in mine
        for other, also_made in theirs
        if _email(address, other) == level
    )


def _of_names(address: str, one: Record) -> bool:
    local = _NO_LETTER.sub("", email_local(address))
    given = [name.split()[0] for name in one.values.get("given", ())]
    surnames = [name.replace(" ", "") for name in one.values.get("surname", ())]
    return local in (*given, *surnames) or any(
        local in (first + last, last + first, first[0] + last, first + last[0], last + first[0])
        for first in given
        for last in surnames
    )


def _best(name: str, mine: tuple[str, ...], theirs: tuple[str, ...]) -> Level:
    if name == "related":
        shared = len(set(mine) & set(theirs))
        return (Level.OTHER, Level.NEAR, Level.SAME, Level.EXACT)[min(shared, 3)]
    if len(mine) == len(theirs) == 1:
        one, other = mine[0], theirs[0]
        return Level.EXACT if one == other else COMPARE[name](one, other)
    return max(
        Level.EXACT if one == other else COMPARE[name](one, other)
        for one in mine
        for other in theirs
    )


def _exchanged(
    levels: dict[str, Level],
    one: str,
    other: str,
    mine: Mapping[str, tuple[str, ...]],
    theirs: Mapping[str, tuple[str, ...]],
) -> None:
    """Two fields that were filled in the wrong way round agree as near as crosswise."""
    crossed = {
        name: _best(name, mine[left], theirs[right])
        for name, left, right in ((one, one, other), (other, other, one))
        # of strangers' names few begin alike, and strangers are what is mostly compared
        if left in mine and right in theirs and mine[left][0][0] == theirs[right][0][0]
    }
    if crossed and min(crossed.values()) >= Level.NEAR:
        for name in crossed:
            levels[name] = Level.SAME


@lru_cache(200_000)
def _name(a: str, b: str) -> Level:
    if a.replace(" ", "") == b.replace(" ", "") or same_name(a, b):
        return Level.SAME
    first_a, _, rest_a = a.partition(" ")
    first_b, _, rest_b = b.partition(" ")
    if first_a == first_b or same_name(first_a, first_b):  # a middle name more, less or shortened
        return Level.SAME if not rest_a or not rest_b or rest_a[0] == rest_b[0] else Level.LIKE
    if min(len(a), len(b)) == 1:
        return Level.LIKE if a[0] == b[0] else Level.OTHER
    likeness = JaroWinkler.similarity(a, b)
    if likeness >= 0.92 or (min(len(a), len(b)) >= 4 and OSA.distance(a, b, score_cutoff=1) <= 1):
        return Level.NEAR
    if likeness >= 0.82 or OSA.distance(a, b, score_cutoff=2) <= 2 < min(len(a), len(b)) - 1:
        return Level.LIKE
    return Level.LIKE if sound(a) == sound(b) else Level.OTHER


@lru_cache(200_000)
def _text(a: str, b: str) -> Level:
    spaced = " " in a or " " in b
    if spaced and a.replace(" ", "") == b.replace(" ", ""):
        return Level.SAME
    if spaced and len(a) == len(b) and sorted(a.split()) == sorted(b.split()):
        return Level.SAME
    likeness = JaroWinkler.similarity(a, b)
    distance = OSA.distance(a, b, score_cutoff=4)
    length = max(len(a), len(b))
    if likeness >= 0.95 or distance <= max(1, length // 8):
        return Level.NEAR
    if likeness >= 0.88 or distance <= length // 4 or a.startswith(b) or b.startswith(a):
        return Level.LIKE
    return Level.OTHER


@lru_cache(200_000)
def _date(a: str, b: str) -> Level:
    """`SAME`: day and month exchanged; `NEAR`: a digit wrong or two transposed; `LIKE`: a part."""
    if a[:4] == b[:4] and a[4:6] == b[6:] and a[6:] == b[4:6]:
        return Level.SAME
    if OSA.distance(a, b, score_cutoff=1) <= 1:
        return Level.NEAR
    equal = (a[:4] == b[:4]) + (a[4:6] == b[4:6]) + (a[6:] == b[6:])
    return Level.LIKE if equal == 2 else Level.OTHER


def _code(a: str, b: str) -> Level:
    """`SAME`: two neighbouring digits transposed; `NEAR`: one wrong, missing or too many."""
    if sorted(a) == sorted(b) and OSA.distance(a, b, score_cutoff=1) <= 1:
        return Level.SAME
    short = min(len(a), len(b)) < 3
    return Level.NEAR if not short and OSA.distance(a, b, score_cutoff=1) <= 1 else Level.OTHER


def _number(a: str, b: str) -> Level:
    if a.startswith(b) or b.startswith(a) or sorted(a) == sorted(b):
        return Level.NEAR
    return Level.LIKE if OSA.distance(a, b, score_cutoff=1) <= 1 else Level.OTHER


def _phone(a: str, b: str) -> Level:
    if a[-PHONE_OWN_DIGITS:] == b[-PHONE_OWN_DIGITS:]:
        return Level.SAME
    return Level.NEAR if OSA.distance(a, b, score_cutoff=1) <= 1 else Level.OTHER


def _email(a: str, b: str) -> Level:
    """`SAME`: one mailbox; `NEAR`: a slip of the pen; `LIKE`: one name at two providers."""
    local_a, local_b = email_local(a), email_local(b)
    domain_a, domain_b = a.rpartition("@")[2], b.rpartition("@")[2]
    if local_a == local_b:
        if domain_a == domain_b:
            return Level.SAME if _untagged(a) == _untagged(b) else Level.NEAR
        if domain_a in _GOOGLE and domain_b in _GOOGLE:
            return Level.SAME
        near = OSA.distance(domain_a, domain_b, score_cutoff=2) <= 2
        return Level.NEAR if near else Level.LIKE
    slip = domain_a == domain_b and min(len(local_a), len(local_b)) >= 5
    # Whose name is taken already gets a number: another is another's.
    if slip and _NO_DIGIT.sub("", local_a) == _NO_DIGIT.sub("", local_b):
        return Level.NEAR if OSA.distance(local_a, local_b, score_cutoff=1) <= 1 else Level.OTHER
    return Level.OTHER


def _untagged(address: str) -> str:
    """What names the mailbox: dots do with most providers."""
    local, _, domain = address.partition("@")
    local = local.partition("+")[0]
    return local.replace(".", "") if domain in _GOOGLE else local


def _related(a: str, b: str) -> Level:
    return Level.OTHER


COMPARE: Final[Mapping[str, Callable[[str, str], Level]]] = {
    "given": _name,
    "surname": _name,
    "born": _date,
    "number": _number,
    "street": _text,
    "district": _text,
    "city": _text,
    "postcode": _code,
    "region": _code,
    "email": _email,
    "phone": _phone,
    "company": _text,
    "related": _related,
}
FIELDS: Final = tuple(COMPARE)
_SWAPPED: Final = (("given", "surname"), ("street", "district"))
