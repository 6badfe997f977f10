"""Who is one customer, given everything that is known: a pure function of sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Final, NamedTuple, Self

from customeros.processors.identity.model import Edge, Node, Refused
from customeros.processors.identity.rules import Rules
from customeros.schemas.identifier import CustomerId, IdentifierKey, customer_id
from customeros.schemas.identity import Cut, Refusal

# What a limit on the number of a customer's identifiers of any type is called in a refusal.
ANY_TYPE: Final = "identifiers"
_LEFT, _RIGHT = 1, 2
_rank = attrgetter("rank")

Sides = Mapping[str, Mapping[str, int]]  # key -> cut id -> which side of the cut it is on


class Resolution(NamedTuple):
    """
    Args:
        assignments: identifier key to customer id, for every node.
        refused: evidence that joined nobody and whose ends are apart for that reason, in
            canonical order.
    """

    assignments: dict[str, CustomerId]
    refused: list[Refused]


def resolve(
    nodes: Mapping[str, Node], edges: Iterable[Edge], cuts: Iterable[Cut], rules: Rules
) -> Resolution:
    """
    Join the ends of each edge, best evidence first, unless something forbids it.

    The answer depends on the sets alone: not on their order, nor on any former answer. Edges with
    an end that is not among *nodes* are left out. Of a node only the facts are read, not its
    former customer, neighbours or cuts.
    """
    sides = sides_of(cuts)
    home = {key: Cluster.of([key], nodes, sides, rules) for key in nodes}
    refused: list[Refused] = []
    for edge in sorted(edges, key=_rank):
        one, other = home.get(edge.a), home.get(edge.b)
        if one is None or other is None:
            continue
        reason = unfit(edge, nodes[edge.a], nodes[edge.b], rules)
        if reason is not None:
            refused.append(Refused(edge, reason, ""))
            continue
        if one is other:
            continue
        obstacle = one.obstacle(other, rules)
        if obstacle is not None:
            refused.append(Refused(edge, *obstacle))
            continue
        if len(one.members) < len(other.members):
            one, other = other, one
        one.absorb(other)
        for member in other.members:
            home[member] = one
    return Resolution(_named(home, nodes, rules.workspace), refused)


def unfit(edge: Edge, a: Node, b: Node, rules: Rules) -> Refusal | None:
    """Why *edge* can join nobody, whatever else is known; None: it can."""
    joined = edge.joined if edge.by_hand else None
    if edge.strength < 1 and joined is None:
        return Refusal.WEAK
    if edge.a in rules.blocked or edge.b in rules.blocked:
        return Refusal.BLOCKED
    said = joined or edge
    if said.a_epoch < a.epoch or said.b_epoch < b.epoch:
        return Refusal.ERASED
    if a.quarantined or b.quarantined:
        return Refusal.QUARANTINED
    return None


class Cluster:
    """Identifiers that are one customer, with what a limit or a cut has to know of them."""

    __slots__ = ("counts", "members", "sides")

    def __init__(self, members: list[str], counts: dict[str, int], sides: dict[str, int]) -> None:
        self.members = members
        self.counts = counts
        self.sides = sides

    @classmethod
    def of(cls, keys: Iterable[str], nodes: Mapping[str, Node], sides: Sides, rules: Rules) -> Self:
        """*keys* together; only types that have a limit are counted."""
        members = list(keys)
        counts: dict[str, int] = {}
        for key in members:
            name = nodes[key].type
            if rules.limit(name) is not None:
                counts[name] = counts.get(name, 0) + 1
        on_side: dict[str, int] = {}
        if sides:
            for key in members:
                on_side.update(sides.get(key, ()))
        return cls(members, counts, on_side)

    def obstacle(self, other: Cluster, rules: Rules) -> tuple[Refusal, str] | None:
        """
        What forbids that this and *other* are one; None: nothing does.

        What is forbidden to two clusters is forbidden to whatever contains them.
        """
        few, many = self.counts, other.counts
        if few and many:
            over = [
                name
                for name, count in few.items()
                if name in many and _exceeds(count + many[name], rules.limit(name))
            ]
            if over:
                return Refusal.LIMIT, min(over)
        if self.sides and other.sides:
            apart = [
                cut
                for cut, side in self.sides.items()
                if {side, other.sides.get(cut)} >= {_LEFT, _RIGHT}
            ]
            if apart:
                return Refusal.CUT, min(apart)
        if len(self.members) + len(other.members) > rules.members:
            return Refusal.LIMIT, ANY_TYPE
        return None

    def absorb(self, other: Cluster) -> None:
        """Become what both are together; *other* is left as it was."""
        self.members += other.members
        for name, count in other.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self.sides.update(other.sides)


def sides_of(cuts: Iterable[Cut]) -> dict[str, dict[str, int]]:
    """Of each identifier that a cut in force names, on which side of which cuts it is."""
    sides: dict[str, dict[str, int]] = {}
    for cut in cuts:
        if cut.on:
            for side, keys in ((_LEFT, cut.left), (_RIGHT, cut.right)):
                for key in keys:
                    sides.setdefault(key, {})[cut.cut_id] = side
    return sides


def anchor_of(members: Iterable[str], nodes: Mapping[str, Node]) -> str:
    """The member first seen: the one that a customer is named after."""
    return min(members, key=lambda k: (nodes[k].first_seen_at, nodes[k].first_event_id, k))


def own_customer(workspace: str, key: str, epoch: int) -> CustomerId:
    """The customer that an identifier is as long as it stands alone."""
    return customer_id(workspace, IdentifierKey(key), epoch)


def _named(
    home: Mapping[str, Cluster], nodes: Mapping[str, Node], workspace: str
) -> dict[str, CustomerId]:
    named: dict[str, CustomerId] = {}
    for key, cluster in home.items():
        if key not in named:
            anchor = anchor_of(cluster.members, nodes)
            customer = own_customer(workspace, anchor, nodes[anchor].epoch)
            named.update(dict.fromkeys(cluster.members, customer))
    return named


def _exceeds(count: int, limit: int | None) -> bool:
    return limit is not None and count > limit
