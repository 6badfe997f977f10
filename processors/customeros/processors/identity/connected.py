"""Which identifiers stored evidence connects, group by group, as two sets of rules see them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from customeros.processors.identity.model import Edge, Joined, Node, Pair
from customeros.processors.identity.public import proofs_of
from customeros.processors.identity.rules import Rules
from customeros.processors.identity.why import Graph, cut_of, other_end
from customeros.schemas.identity import Cut, IdentityChange, IdentityLink


class Evidence(Graph, Protocol):
    """What is public of a workspace's graph, all of it."""

    def identifiers(self) -> Iterable[str]:
        """Every identifier that evidence names, in any order, also more than once."""

    def change(self, change_id: str) -> IdentityChange | None: ...

    def overflown(self, key: str) -> bool:
        """Whether *key* is quarantined and had more neighbours than were kept."""


class View(NamedTuple):
    """
    A group as rules see it: what `resolve` takes, but for when identifiers were first seen.

    Args:
        edges: all that name a member; also those of which the other end is none.
    """

    nodes: dict[str, Node]
    edges: dict[Pair, Edge]


class Group(NamedTuple):
    """
    Identifiers that evidence connects; one alone that joins nobody by either rules.

    Args:
        links: the evidence of the edges.
        cuts: those in force that name a member.
    """

    now: View
    then: View
    links: Mapping[Pair, IdentityLink]
    cuts: Sequence[Cut]


def groups(evidence: Evidence, now: Rules, then: Rules) -> Iterator[Group]:
    """
    Every identifier that evidence names in exactly one group; memory is that of the largest.

    What joins nobody by either rules connects nobody, so that a supernode makes no huge group.
    """
    grown: set[str] = set()
    alone: set[str] = set()
    for seed in evidence.identifiers():
        if seed not in grown:
            yield _grown(evidence, seed, (now, then), grown, alone)


def _grown(
    evidence: Evidence, seed: str, rules: tuple[Rules, Rules], grown: set[str], alone: set[str]
) -> Group:
    """The group of *seed*; its members are added to *grown*, others that join nobody to *alone*."""
    views = View({}, {}), View({}, {})
    links: dict[Pair, IdentityLink] = {}
    grown.add(seed)
    waiting = deque([seed])
    while waiting:
        key = waiting.popleft()
        beside = evidence.links(key)
        for link in beside:
            if (link.a, link.b) not in links:
                links[link.a, link.b] = link
                _see(evidence, link, views, rules)
        nodes = _nodes(evidence, key, beside, views, rules)
        lone = all(n.quarantined or key in r.blocked for n, r in zip(nodes, rules, strict=True))
        if lone and key != seed:
            grown.remove(key)
            alone.add(key)
            continue
        for view, node in zip(views, nodes, strict=True):
            view.nodes[key] = node
        for link in () if lone else beside:
            other = other_end(link, key)
            if other in grown or other in alone:
                continue
            edges = [view.edges[link.a, link.b] for view in views]
            if any(edge.strength > 0 or edge.by_hand for edge in edges):
                grown.add(other)
                waiting.append(other)
    cuts = {said.change_id: cut_of(said) for key in views[0].nodes for said in evidence.splits(key)}
    return Group(*views, links, list(cuts.values()))


def _see(
    evidence: Evidence, link: IdentityLink, views: tuple[View, View], rules: tuple[Rules, Rules]
) -> None:
    said = None if link.change_id is None else evidence.change(link.change_id)
    proofs = proofs_of(link)
    edge = Edge(link.a, link.b, joined=None if said is None else _joined(said))
    for view, by in zip(views, rules, strict=True):
        view.edges[link.a, link.b] = edge = edge.proved(proofs, by)


def _nodes(
    evidence: Evidence,
    key: str,
    beside: Sequence[IdentityLink],
    views: tuple[View, View],
    rules: tuple[Rules, Rules],
) -> tuple[Node, Node]:
    kind = next((link.a_type if link.a == key else link.b_type for link in beside), "")
    strong = [sum(view.edges[x.a, x.b].strength > 0 for x in beside) for view in views]
    degrees = [by.degree(kind) for by in rules]
    now = evidence.quarantined(key)
    # The graph counts neighbours, too, that were erased or are shared by too many to be kept; of
    # these so many are known as it takes to explain that it is quarantined.
    unseen = max(0, degrees[0] + 1 - strong[0]) if now else 0
    then = strong[1] + unseen > degrees[1] or evidence.overflown(key)
    return Node(kind, 0, 0, "", "", now), Node(kind, 0, 0, "", "", then)


def _joined(said: IdentityChange) -> Joined:
    return Joined(said.version, said.on, said.change_id, 0, 0, said.by, said.why, said.made_at)
