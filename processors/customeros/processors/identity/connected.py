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


class View(NamedTuple):
    """A group as rules see it: what `resolve` takes, but for when identifiers were first seen."""

    nodes: dict[str, Node]
    edges: dict[Pair, Edge]


class Group(NamedTuple):
    """
    Identifiers that evidence connects; one alone that joins nobody by either rules.

    Args:
        links: all evidence for two of them.
        cuts: those in force that name any of them.
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
    met: set[str] = set()
    alone: set[str] = set()
    for seed in evidence.identifiers():
        if seed in met:
            continue
        met.add(seed)
        views = View({}, {}), View({}, {})
        links: dict[Pair, IdentityLink] = {}
        waiting = deque([seed])
        while waiting:
            key = waiting.popleft()
            beside = evidence.links(key)
            nodes = [_node(evidence, key, beside, rules) for rules in (now, then)]
            joins_nobody = all(
                node.quarantined or key in rules.blocked
                for node, rules in zip(nodes, (now, then), strict=True)
            )
            if joins_nobody and key != seed:
                met.discard(key)
                alone.add(key)
                continue
            for view, node in zip(views, nodes, strict=True):
                view.nodes[key] = node
            for link in () if joins_nobody else beside:
                links[link.a, link.b] = link
                other = other_end(link, key)
                if other not in met and other not in alone:
                    met.add(other)
                    waiting.append(other)
        members = views[0].nodes
        links = {pair: link for pair, link in links.items() if members.keys() >= {*pair}}
        for view, rules in zip(views, (now, then), strict=True):
            view.edges.update((pair, _edge(evidence, link, rules)) for pair, link in links.items())
        cuts = {said.change_id: cut_of(said) for key in members for said in evidence.splits(key)}
        yield Group(*views, links, list(cuts.values()))


def _node(evidence: Evidence, key: str, beside: Sequence[IdentityLink], rules: Rules) -> Node:
    kind = next((x.a_type if x.a == key else x.b_type for x in beside), "")
    many = sum(_edge(evidence, link, rules).strength > 0 for link in beside) > rules.degree(kind)
    return Node(kind, 0, 0, "", "", many or evidence.quarantined(key))


def _edge(evidence: Evidence, link: IdentityLink, rules: Rules) -> Edge:
    said = None if link.change_id is None else evidence.change(link.change_id)
    edge = Edge(link.a, link.b, joined=None if said is None else _joined(said))
    return edge.proved(proofs_of(link), rules)


def _joined(said: IdentityChange) -> Joined:
    return Joined(said.version, said.on, said.change_id, 0, 0, said.by, said.why, said.made_at)
