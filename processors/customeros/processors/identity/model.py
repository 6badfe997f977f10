"""What the graph holds: identifiers, the best evidence for each pair, what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from customeros.schemas.identity import Link, Refusal

# Where an identifier is only named by a cut: later than any event.
NEVER: Final = 2**62

Pair = tuple[str, str]  # keys, the smaller one first


class Node(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    One identifier.

    Args:
        first_seen_at: with `first_event_id` the earliest that any evidence of this epoch says.
        customer: to whom it was last said to belong; empty: to be said again in any case.
        quarantined: it had more neighbours than its degree; it stays so for its epoch.
        neighbours: sorted keys that evidence names beside it; of a quarantined one the first
            `degree + 1` that came.
        cuts: sorted ids of the cuts in force that name it.
    """

    type: str
    epoch: int
    first_seen_at: int
    first_event_id: str
    customer: str
    quarantined: bool = False
    neighbours: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()


class Edge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    The best evidence for a pair: strongest, then earliest, then by event id.

    Args:
        refused: it was in the way of a limit or a cut when its ends were last resolved.
    """

    a: str
    b: str
    strength: int
    occurred_at: int
    event_id: str
    source: str
    rule: str
    a_epoch: int = 0
    b_epoch: int = 0
    refused: bool = False

    @property
    def pair(self) -> Pair:
        return self.a, self.b

    @property
    def rank(self) -> tuple[int, int, str, str, str]:
        """The canonical order: evidence joins first that ranks lowest."""
        return -self.strength, self.occurred_at, self.event_id, self.a, self.b

    def beats(self, other: Edge) -> bool:
        """Whether this is the better evidence for the same pair; never of two equal ones."""
        return (*self.rank, self.source, self.rule) < (*other.rank, other.source, other.rule)


class Conflict(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Evidence that joined nobody, with what stood in its way: a type's name or a cut's id."""

    reason: Refusal
    detail: str
    version: int


class Refused(NamedTuple):
    edge: Edge
    reason: Refusal
    detail: str


def pair_of(one: str, other: str) -> Pair:
    """The pair of two keys, in whichever order they come."""
    return (one, other) if one < other else (other, one)


def edge_of(link: Link) -> Edge:
    """A link as an edge, its smaller key first."""
    a, b = (link.a, link.b) if link.a.key < link.b.key else (link.b, link.a)
    return Edge(
        a.key,
        b.key,
        link.strength,
        link.occurred_at,
        link.event_id,
        link.source,
        link.rule,
        a.epoch,
        b.epoch,
    )


def pairs_among(nodes: Mapping[str, Node]) -> list[Pair]:
    """Every two of *nodes* that are neighbours, once."""
    return [
        (key, other)
        for key, node in nodes.items()
        for other in node.neighbours
        if key < other and other in nodes
    ]
