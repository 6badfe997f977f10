"""Whom an identifier's record names beside it, and when these are too many."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from msgspec.structs import replace

from customeros.processors.identity.draft import Draft
from customeros.processors.identity.model import Edge, Node, pair_of
from customeros.processors.identity.rules import Rules

# Beside one identifier; above most degrees, so that stronger they would quarantine it.
MAX_WEAK: Final = 100


def beside(node: Node, other: str, *, strong: bool) -> tuple[Node, bool]:
    """
    *node* with *other* beside it, and whether it has it there: what is shared is not kept whole.

    Of strong ones there is one more than the degree, of weak ones MAX_WEAK.
    """
    if _has(node.neighbours, other):
        return node, True
    was_weak = _has(node.weak, other)
    if was_weak and (node.quarantined or not strong):
        return node, True
    if strong and not node.quarantined:
        weak = tuple(key for key in node.weak if key != other) if was_weak else node.weak
        return replace(node, neighbours=_with(node.neighbours, other), weak=weak), True
    if not strong and len(node.weak) < MAX_WEAK:
        return replace(node, weak=_with(node.weak, other)), True
    return node if node.more else replace(node, more=True), False


def judged(draft: Draft, key: str, rules: Rules) -> tuple[Node, list[Edge]]:
    """
    What is kept of *key* as *rules* have it, and the edges that they judge otherwise.

    One whose neighbours are not all kept stays in quarantine.
    """
    node = draft.nodes[key]
    pairs = {other: pair_of(key, other) for other in (*node.neighbours, *node.weak)}
    draft.read_edges(pairs.values())
    sides: tuple[list[str], list[str]] = ([], [])
    changed: list[Edge] = []
    for other in sorted(pairs):
        edge = draft.edges.get(pairs[other])
        weak = _has(node.weak, other)
        # Without proofs, they are of an epoch of the other that is over: as it was.
        if edge is not None and edge.proofs:
            now = edge.proved(edge.proofs, rules)
            weak = now.strength < 1
            if now is not edge:
                changed.append(now)
        sides[weak].append(other)
    strong, weaker = map(tuple, sides)
    lone = (node.quarantined and node.more) or len(strong) > rules.degree(node.type)
    if (strong, weaker, lone) == (node.neighbours, node.weak, node.quarantined):
        return node, changed
    return replace(node, neighbours=strong, weak=weaker, quarantined=lone), changed


def refresh(draft: Draft, key: str, rules: Rules) -> None:
    """Have what is kept of *key* as *rules* have it."""
    node = draft.nodes[key]
    after, edges = judged(draft, key, rules)
    for edge in edges:
        draft.put_edge(edge)
        if edge.strength < 1 and not edge.by_hand:
            draft.mark_refused(edge, None)
    if after is not node:
        draft.put_node(key, after)
        if after.quarantined is not node.quarantined:
            draft.quarantine[key] = after.quarantined


def _has(keys: tuple[str, ...], key: str) -> bool:
    at = bisect_left(keys, key)
    return at < len(keys) and keys[at] == key


def _with(keys: tuple[str, ...], key: str) -> tuple[str, ...]:
    at = bisect_left(keys, key)
    return (*keys[:at], key, *keys[at:])
