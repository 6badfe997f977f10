"""
Have customers follow other rules, one part of the graph after the other.

A part is whom the new rules may join, and whoever is one customer with any of them now. It is
resolved whole, so that of each customer either all or nothing follows the new rules: who is of
two parts was not, and will not be, one customer. In between every customer obeys the rules that
it follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from customeros.processors.identity.draft import Draft
from customeros.processors.identity.model import InForce, pair_of, pairs_among
from customeros.processors.identity.neighbours import judged, refresh
from customeros.processors.identity.resolve import resolve, unfit
from customeros.processors.identity.rules import Rules
from customeros.processors.identity.settle import tell

# Identifiers looked at in one transaction; so many take some 0.1 s.
PIECE: Final = 2_000


def swept(draft: Draft, in_force: InForce) -> InForce:
    """Have the next identifiers follow the rules, and who that was noted."""
    keys = draft.next_keys(in_force.sweep or "", PIECE)
    take_up(draft, dict.fromkeys(keys, f"rules-{in_force.version}"), in_force)
    return replace(in_force, sweep=keys[-1] if len(keys) == PIECE else None)


def take_up(draft: Draft, causes: Mapping[str, str], in_force: InForce) -> None:
    """Have those among the keys of *causes* follow the rules in force that do not yet."""
    draft.read_nodes(causes)
    for key, cause in causes.items():
        if draft.nodes[key].rules != in_force.version:
            members = _part(draft, key, in_force.rules)
            _resolve(draft, members, cause, in_force)


def _part(draft: Draft, seed: str, rules: Rules) -> Sequence[str]:
    found = {seed: None}
    beyond: dict[tuple[str, str], None] = {}
    frontier = [seed]
    while frontier:
        for key in frontier:
            refresh(draft, key, rules)
        around = {key: draft.nodes[key].kept for key in frontier}
        draft.read_nodes(dict.fromkeys(other for kept in around.values() for other in kept))
        new: dict[str, None] = {}
        for key, kept in around.items():
            for other in kept:
                if other not in found and other not in new:
                    if _belongs(draft, key, other, rules):
                        new[other] = None
                    else:
                        beyond[pair_of(key, other)] = None
        found.update(new)
        frontier = list(new)
    for pair in beyond:
        edge = draft.edges.get(pair)
        if edge is not None and not found.keys() >= {*pair}:
            draft.mark_refused(edge, None)
    return list(found)


def _belongs(draft: Draft, key: str, other: str, rules: Rules) -> bool:
    """Whether *other* is of one part with *key*."""
    node, beside = draft.nodes[key], draft.nodes[other]
    if node.customer == beside.customer:
        return True
    after, _ = judged(draft, other, rules)
    if after.quarantined is not beside.quarantined:
        return True
    pair = pair_of(key, other)
    draft.read_edges([pair])
    edge = draft.edges.get(pair)
    ends = (node, after) if key < other else (after, node)
    return edge is not None and unfit(edge, *ends, rules) is None


def _resolve(draft: Draft, members: Sequence[str], cause: str, in_force: InForce) -> None:
    for key in members:
        draft.put_node(key, replace(draft.nodes[key], rules=in_force.version))
    nodes = {key: draft.nodes[key] for key in members}
    pairs = pairs_among(nodes)
    draft.read_edges(pairs)
    edges = [draft.edges[pair] for pair in pairs if pair in draft.edges]
    resolution = resolve(nodes, edges, draft.cuts_naming(nodes), in_force.rules)
    tell(draft, resolution, edges, dict.fromkeys(members, cause))
