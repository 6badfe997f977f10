"""What the graph holds: identifiers, the evidence for each pair, what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from customeros.processors.identity.proofs import Kept
from customeros.processors.identity.rules import Rules
from customeros.schemas.identity import Endpoint, Link, Refusal, Strength

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
        neighbours: sorted keys that evidence of strength 1 or more names beside it; of a
            quarantined one the first `degree + 1` that came.
        weak: sorted keys that only weaker evidence names beside it, the first that came; these
            are not counted towards its degree, but other rules may find them stronger.
        more: others came that are in neither of the two.
        rules: the version of those that `customer` follows.
        cuts: sorted ids of the cuts in force that name it.
        joined: sorted keys that a person joined it with; these are not counted as neighbours.
    """

    type: str
    epoch: int
    first_seen_at: int
    first_event_id: str
    customer: str
    quarantined: bool = False
    neighbours: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    more: bool = False
    rules: int = 0

    @property
    def kept(self) -> tuple[str, ...]:
        """Everybody that evidence which is kept may name beside it."""
        if not self.weak:
            return self.around
        return tuple(dict.fromkeys((*self.around, *self.weak)))

    @property
    def around(self) -> tuple[str, ...]:
        """Everybody that may be one customer with it by a single piece of evidence."""
        if not self.joined:
            return self.neighbours
        return tuple(dict.fromkeys((*self.neighbours, *self.joined)))


class InForce(msgspec.Struct, frozen=True, array_like=True):
    """
    The rules of a workspace.

    Args:
        version: counted from 1; 0: none were adopted yet.
        sweep: the last identifier, in order, whose customer is known to follow them; None: all do.
    """

    version: int
    rules: Rules
    sweep: str | None = None


class Joined(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    What a person last said about a pair: that it belongs together, or not any more.

    Args:
        ends: the two as they were named, so that it can be told again.
    """

    version: int
    on: bool
    change_id: str
    a_epoch: int
    b_epoch: int
    by: str
    why: str
    made_at: int
    undone_by: str | None = None
    ends: tuple[Endpoint, ...] = ()

    @property
    def order(self) -> tuple[int, int, int, bool, str, int, str]:
        """What was said of a later epoch holds, then what has the higher version."""
        last = self.on, self.change_id, self.made_at, self.undone_by or ""
        return self.a_epoch, self.b_epoch, self.version, *last


class Edge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    What is known of a pair.

    Args:
        strength: of the first of `proofs` under the rules in force; 0 without any.
        proofs: what events say, best first: strongest, then earliest, then by event id.
        refused: the limit or cut in its way when its ends were last resolved.
        joined: what a person said of the pair.
    """

    a: str
    b: str
    strength: int = 0
    proofs: tuple[Kept, ...] = ()
    a_epoch: int = 0
    b_epoch: int = 0
    refused: tuple[Refusal, str] | None = None
    joined: Joined | None = None

    @property
    def by_hand(self) -> bool:
        """Whether a person's word that they belong together is in force."""
        return self.joined is not None and self.joined.on

    @property
    def pair(self) -> Pair:
        return self.a, self.b

    @property
    def rank(self) -> tuple[int, int, str, str, str]:
        """The canonical order: evidence joins first that ranks lowest."""
        own = (0, 0, "", self.a, self.b)
        if self.proofs:
            best = self.proofs[0]
            own = (-self.strength, best.occurred_at, best.event_id, self.a, self.b)
        joined = self.joined
        if joined is None or not joined.on:
            return own
        return min(own, (-Strength.EXPLICIT, joined.made_at, joined.change_id, self.a, self.b))

    def proved(self, proofs: tuple[Kept, ...], rules: Rules) -> Edge:
        """The edge with *proofs* as *rules* have them; the very same if nothing differs."""
        strengths = [rules.strength_of(proof.rule, proof.source) for proof in proofs]
        if len(proofs) > 1:
            order = sorted(range(len(proofs)), key=lambda at: (-strengths[at], proofs[at]))
            proofs = tuple(proofs[at] for at in order)
        strength = int(max(strengths, default=0))
        if (strength, proofs) == (self.strength, self.proofs):
            return self
        return msgspec.structs.replace(self, strength=strength, proofs=proofs)


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


def proof_of(link: Link) -> Kept:
    return Kept(link.occurred_at, link.event_id, link.source, link.rule)


def pairs_among(nodes: Mapping[str, Node]) -> list[Pair]:
    """Every two of *nodes* that are neighbours, once."""
    return [
        (key, other)
        for key, node in nodes.items()
        for other in node.around
        if key < other and other in nodes
    ]
