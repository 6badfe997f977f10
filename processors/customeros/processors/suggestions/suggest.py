"""Suggest which records are one person: candidates, compared, weighed, with the reasons."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

from customeros.processors.suggestions.blocks import candidates
from customeros.processors.suggestions.compare import FIELDS, Level, Vector, vector
from customeros.processors.suggestions.reasons import reasons
from customeros.processors.suggestions.record import Record
from customeros.processors.suggestions.suggestion import Suggestion, rank
from customeros.processors.suggestions.weights import (
    learn,
    probability,
    rare,
    strangers,
    values_of,
)

SHOWN: Final = 0.5  # likelier than not
# Shown first: a chance of one in a thousand to be wrong by a model that takes fields for
# independent that are not quite, so that one in a hundred holds. On FEBRL 1 and 3 none is wrong.
FIRST: Final = 0.999
# What a household or a company shares says nothing about which of its people it is.
_OWN: Final = tuple(FIELDS.index(name) for name in ("given", "born", "email"))
_GIVEN: Final = FIELDS.index("given")
_BORN: Final = FIELDS.index("born")


def suggest(records: Sequence[Record], *, at_least: float = SHOWN) -> list[Suggestion]:
    """
    Pairs of records that may be one person, likeliest first; ties by key.

    The same records in any order give the same suggestions. Weights are learnt from the records,
    so a pair's probability depends on who else is there: a rare name says more than a common one.
    """
    ordered = sorted(records, key=lambda one: one.key)
    pairs = candidates(ordered)
    kinds: dict[Vector, int] = {}  # there are few, and of pairs there are many
    kind = array(
        "L", (kinds.setdefault(vector(ordered[a], ordered[b]), len(kinds)) for a, b in pairs)
    )
    vectors = list(kinds)
    usual = strangers(ordered)
    worth = values_of(ordered, usual)
    rarer = array(
        "d",
        (
            rare(ordered[a], ordered[b], vectors[which], worth)
            for (a, b), which in zip(pairs, kind, strict=True)
        ),
    )
    weights = learn(len(ordered), usual, vectors, zip(kind, rarer, strict=True))
    bits = [
        weights.start + sum(weights.bits[at][level] for at, level in enumerate(levels))
        for levels in vectors
    ]
    found: list[Suggestion] = []
    for (a, b), which, more in zip(pairs, kind, rarer, strict=True):
        likely = probability(bits[which] + more)
        if likely >= at_least:
            one, other, levels = ordered[a], ordered[b], vectors[which]
            first = likely >= FIRST and _personal(levels)
            told = reasons(one, other, levels, weights)
            found.append(Suggestion(one.key, other.key, likely, first, told))
    return sorted(found, key=rank)


def _personal(levels: Vector) -> bool:
    """Whether what is a person's own agrees: no twin, no father of that name, no colleague."""
    if Level.OTHER in (levels[_GIVEN], levels[_BORN]):
        return False
    return any(levels[place] >= Level.NEAR for place in _OWN)
