"""What is suggested: two customers that may be one person."""

from __future__ import annotations

from typing import NamedTuple


class Suggestion(NamedTuple):
    """
    Args:
        a, b: keys of the records, the smaller one first.
        probability: by the model, from 0 to 1.
        first: sure enough to be shown before others; at most 1 in 100 of them is wrong.
        reasons: for people, the weightiest first; what speaks against it last.
    """

    a: str
    b: str
    probability: float
    first: bool
    reasons: tuple[str, ...]


Rank = tuple[bool, float, str, str]


def rank(one: Suggestion) -> Rank:
    """Sorts the surest first."""
    return not one.first, -one.probability, one.a, one.b
