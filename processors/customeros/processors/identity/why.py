"""Why two identifiers are one customer, or what keeps them apart: from public evidence alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from customeros.processors.identity.model import Node
from customeros.processors.identity.resolve import Cluster, sides_of
from customeros.processors.identity.rules import Rules
from customeros.schemas.identity import Cut, IdentityChange, IdentityLink, Refusal

NO_EVIDENCE: Final = "no_evidence"
# Identifiers that are looked at in search of evidence that leads from one to the other.
_REACH: Final = 5_000


class Graph(Protocol):
    """What is public of a workspace's graph, by identifier key."""

    def links(self, key: str) -> Sequence[IdentityLink]:
        """All that names *key* and another identifier, in no order."""

    def quarantined(self, key: str) -> bool: ...

    def customer(self, key: str) -> str:
        """To whom *key* belongs now."""

    def splits(self, key: str) -> Sequence[IdentityChange]:
        """Those in force that name *key*."""


class Obstacle(NamedTuple):
    """
    What keeps two customers apart.

    Args:
        reason: a `Refusal`, or NO_EVIDENCE. detail: the type, or the id of the split.
        link: the evidence that it stands in the way of, if there is some.
    """

    reason: str
    detail: str
    link: IdentityLink | None


class Why(NamedTuple):
    """
    Args:
        path: evidence that leads from one to the other, each piece accepted; fewest pieces.
        apart: empty where `together`.
    """

    together: bool
    path: Sequence[IdentityLink]
    apart: Sequence[Obstacle]


def why(graph: Graph, a: str, b: str, types: Mapping[str, str], rules: Rules) -> Why:
    """
    Why *a* and *b* are one customer, or are not.

    Args:
        types: of *a* and *b*, since one that stands alone has no evidence to tell it.
    """
    if graph.customer(a) == graph.customer(b):
        return Why(True, _way(graph, a, b, refused=False) or (), ())
    found = list(_between(graph, a, b, types, rules))
    way = _way(graph, a, b, refused=True)
    for link in way or ():
        if not accepted(graph, link):
            obstacle = _obstacle(graph, link)
            if (obstacle.reason, obstacle.detail) in {(one.reason, one.detail) for one in found}:
                found = [
                    obstacle if one[:2] == obstacle[:2] and one.link is None else one
                    for one in found
                ]
            else:
                found.append(obstacle)
    if way is None:
        found += [
            Obstacle(Refusal.QUARANTINED, types[key], None)
            for key in dict.fromkeys((a, b))
            if graph.quarantined(key)
        ]
        found.append(Obstacle(NO_EVIDENCE, "", None))
    return Why(False, (), found)


def evidence_of(graph: Graph, members: Iterable[str]) -> list[IdentityLink]:
    """All evidence that names any of *members*: strongest and earliest first, refused last."""
    found = {(one.a, one.b): one for key in members for one in graph.links(key)}
    return sorted(found.values(), key=lambda one: (one.refused is not None, *rank(one)))


def members_of(graph: Graph, seeds: Iterable[str]) -> list[str]:
    """*seeds* and whom accepted evidence joins with them, in a fixed order."""
    members = dict.fromkeys(seeds)
    waiting = deque(members)
    while waiting:
        key = waiting.popleft()
        for link in graph.links(key):
            other = other_end(link, key)
            if other not in members and accepted(graph, link):
                members[other] = None
                waiting.append(other)
    return sorted(members)


def accepted(graph: Graph, link: IdentityLink) -> bool:
    """Whether *link* holds its two together."""
    return (
        link.refused is None
        and graph.customer(link.a) == graph.customer(link.b)
        and not (graph.quarantined(link.a) or graph.quarantined(link.b))
    )


def uniting(
    graph: Graph, one: Iterable[str], other: Iterable[str], types: Mapping[str, str], rules: Rules
) -> Obstacle | None:
    """What forbids that the identifiers *one* and *other* are one customer; None: nothing does."""
    left, right = list(one), list(other)
    kinds = {**_types(graph, (*left, *right)), **types}
    nodes = {key: Node(kinds.get(key, ""), 0, 0, "", "") for key in (*left, *right)}
    cuts = {said.change_id: cut_of(said) for key in nodes for said in graph.splits(key)}
    sides = sides_of(cuts.values())
    obstacle = Cluster.of(left, nodes, sides, rules).obstacle(
        Cluster.of(right, nodes, sides, rules), rules
    )
    return None if obstacle is None else Obstacle(*obstacle, None)


def parting(graph: Graph, one: Iterable[str], other: Iterable[str]) -> list[IdentityChange]:
    """The splits in force that part one of the identifiers *one* from one of *other*."""
    left, right = {*one}, {*other}
    named = {said.change_id: said for key in left for said in graph.splits(key)}
    return [
        said
        for _, said in sorted(named.items())
        if (left & {*said.left} and right & {*said.right})
        or (left & {*said.right} and right & {*said.left})
    ]


def other_end(link: IdentityLink, key: str) -> str:
    return link.b if link.a == key else link.a


def rank(link: IdentityLink) -> tuple[bool, int, int, str, str, str]:
    """Joins by hand first, then as evidence is taken."""
    by_hand = link.change_id is None
    return by_hand, -link.strength, link.occurred_at, link.event_id, link.a, link.b


def _between(
    graph: Graph, a: str, b: str, types: Mapping[str, str], rules: Rules
) -> Iterator[Obstacle]:
    left, right = members_of(graph, [a]), members_of(graph, [b])
    for said in parting(graph, left, right):
        yield Obstacle(Refusal.CUT, said.change_id, None)
    forbidden = uniting(graph, left, right, types, rules)
    if forbidden is not None and forbidden.reason == Refusal.LIMIT:
        yield forbidden
    for key in dict.fromkeys((a, b)):
        if key in rules.blocked:
            yield Obstacle(Refusal.BLOCKED, types[key], None)


def _way(graph: Graph, a: str, b: str, *, refused: bool) -> list[IdentityLink] | None:
    """
    The fewest pieces of evidence that lead from *a* to *b*; None: none do.

    Args:
        refused: also over evidence that joined nobody, as little of it as possible.
    """
    best: dict[str, tuple[int, int]] = {a: (0, 0)}
    came: dict[str, tuple[str, IdentityLink]] = {}
    layers: dict[int, deque[str]] = {0: deque([a])}
    cost = 0
    while cost in layers and len(best) < _REACH:
        waiting = layers[cost]
        while waiting:
            key = waiting.popleft()
            if best[key][0] < cost:
                continue
            if key == b:
                return _walked(a, b, came)
            for link in sorted(graph.links(key), key=rank):
                free = accepted(graph, link)
                if not free and not refused:
                    continue
                other, spent = other_end(link, key), (cost + (not free), best[key][1] + 1)
                if other not in best or spent < best[other]:
                    best[other] = spent
                    came[other] = key, link
                    layers.setdefault(spent[0], deque()).append(other)
        cost += 1
    return _walked(a, b, came) if b in came else None


def _walked(a: str, b: str, came: Mapping[str, tuple[str, IdentityLink]]) -> list[IdentityLink]:
    path: list[IdentityLink] = []
    while b != a:
        b, link = came[b]
        path.append(link)
    return path[::-1]


def _obstacle(graph: Graph, link: IdentityLink) -> Obstacle:
    if link.refused is not None:
        return Obstacle(link.refused, link.detail, link)
    lone = [
        kind
        for key, kind in ((link.a, link.a_type), (link.b, link.b_type))
        if graph.quarantined(key)
    ]
    if lone:
        return Obstacle(Refusal.QUARANTINED, lone[0], link)
    return Obstacle(Refusal.BLOCKED, "", link)


def _types(graph: Graph, keys: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in keys:
        for link in graph.links(key)[:1]:
            found[key] = link.a_type if link.a == key else link.b_type
    return found


def cut_of(said: IdentityChange) -> Cut:
    return Cut(
        cut_id=said.change_id,
        version=said.version,
        on=said.on,
        left=said.left,
        right=said.right,
        by=said.by,
        why=said.why,
    )
