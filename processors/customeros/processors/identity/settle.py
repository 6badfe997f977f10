"""
Which customers new evidence changes, without a look at those that it cannot change.

Limits and cuts only ever forbid more to a larger cluster. Therefore:
evidence within a customer changes nothing; two customers that may be one under every rule become
one, with no other effect; and where a customer falls apart or loses evidence, only its neighbours
can come to join differently. So `resolve` runs over the customers that evidence touches, and
their neighbours are taken in only while a customer of the region falls apart. The answer is that
of `resolve` over everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from customeros.processors.identity.draft import Draft
from customeros.processors.identity.model import Edge, pairs_among
from customeros.processors.identity.resolve import (
    Cluster,
    Resolution,
    anchor_of,
    own_customer,
    resolve,
    sides_of,
)
from customeros.processors.identity.rules import Rules
from customeros.schemas.identity import Refusal

_CONFLICTS = frozenset({Refusal.LIMIT, Refusal.CUT})


class Touch(NamedTuple):
    """Evidence `cause` joins *a* and *b*, or says when *a* was first seen (both are *a*)."""

    a: str
    b: str
    cause: str


def settle(draft: Draft, touches: Sequence[Touch], rules: Rules) -> None:
    """Give the identifiers of *touches* their customers; evidence was only added."""
    ends = dict.fromkeys(key for touch in touches for key in (touch.a, touch.b))
    _neighbours(draft, ends, ())  # by one look-up
    while touches:
        groups = _groups(draft, touches)
        touches = ()
        for at, group in enumerate(groups):
            clusters = [members_of(draft, key) for key in group.seeds]
            if _unite(draft, group, clusters, rules):
                continue
            causes = {key: group.cause for members in clusters for key in members}
            if _Region(draft, rules).resolve(causes):
                # It may have gone beyond the group's own customers.
                touches = [touch for later in groups[at + 1 :] for touch in later.touches]
                break


def settle_loss(draft: Draft, causes: Mapping[str, str], rules: Rules) -> None:
    """Give customers to those around the keys of *causes*, which lost evidence or got a cut."""
    _Region(draft, rules).resolve(causes, around=True)


def tell(
    draft: Draft, resolution: Resolution, edges: Iterable[Edge], causes: Mapping[str, str]
) -> bool:
    """
    Note what *resolution* says of *edges* and their ends; whether anybody moved.

    Args:
        causes: by identifier.
    """
    moved = False
    for key, customer in resolution.assignments.items():
        moved |= draft.move(key, customer, causes[key])
    refused = {
        one.edge.pair: (one.reason, one.detail)
        for one in resolution.refused
        if one.reason in _CONFLICTS
    }
    for edge in edges:
        draft.mark_refused(edge, refused.get(edge.pair))
    return moved


def members_of(draft: Draft, seed: str) -> list[str]:
    """All identifiers of the customer to whom *seed* was last said to belong."""
    draft.read_nodes([seed])
    customer = draft.nodes[seed].customer
    members = {seed: None}
    looked = {seed}
    frontier = [seed] if customer else []
    while frontier:
        around = _neighbours(draft, frontier, looked)
        frontier = [key for key in around if draft.nodes[key].customer == customer]
        members.update(dict.fromkeys(frontier))
        looked.update(around)
    return list(members)


class _Group:
    """Customers that touches tie together: one member and the label of each."""

    def __init__(self, seed: str, label: str) -> None:
        self.seeds = [seed]
        self.labels = [label]
        self.touches: list[Touch] = []

    @property
    def cause(self) -> str:
        return self.touches[-1].cause

    @property
    def renames(self) -> bool:
        """Whether it was said anew when somebody was first seen."""
        return any(touch.a == touch.b for touch in self.touches)


def _groups(draft: Draft, touches: Sequence[Touch]) -> list[_Group]:
    group_of: dict[str, _Group] = {}
    for touch in touches:
        if not _counts(draft, touch.a, touch.b):
            continue
        one = _group(draft, touch.a, group_of)
        other = _group(draft, touch.b, group_of)
        if len(one.touches) < len(other.touches):
            one, other = other, one
        one.touches.append(touch)
        if one is not other:
            one.seeds += other.seeds
            one.labels += other.labels
            one.touches += other.touches
            group_of.update(dict.fromkeys(other.labels, one))
    return list(dict.fromkeys(group_of.values()))


def _counts(draft: Draft, a: str, b: str) -> bool:
    """Whether the touch still stands and can change a customer."""
    one, other = draft.nodes[a], draft.nodes[b]
    if a == b:
        return True
    edge = draft.edges.get((a, b))
    return (
        one.customer != other.customer
        and not (one.quarantined or other.quarantined)
        and edge is not None
        and (edge.strength > 0 or edge.by_hand)
    )


def _group(draft: Draft, key: str, group_of: dict[str, _Group]) -> _Group:
    label = draft.nodes[key].customer
    if label not in group_of:
        group_of[label] = _Group(key, label)
    return group_of[label]


def _unite(draft: Draft, group: _Group, clusters: Sequence[list[str]], rules: Rules) -> bool:
    """Make one customer of *clusters*, unless a rule forbids it."""
    nodes = draft.nodes
    members = [key for cluster in clusters for key in cluster]
    if len(clusters) > 1:
        sides = sides_of(draft.cuts_naming(members))
        whole = Cluster.of((), nodes, sides, rules)
        for cluster in clusters:
            part = Cluster.of(cluster, nodes, sides, rules)
            if whole.obstacle(part, rules) is not None:
                return False
            whole.absorb(part)
    anchor = anchor_of(members, nodes)
    # The first seen of all is the first seen of its former customer, unless that has just changed.
    customer = nodes[anchor].customer
    if group.renames:
        customer = own_customer(rules.workspace, anchor, nodes[anchor].epoch)
    for key in members:
        draft.move(key, customer, group.cause)
    return True


class _Region:
    """Whole customers that are resolved together."""

    def __init__(self, draft: Draft, rules: Rules) -> None:
        self._draft = draft
        self._rules = rules
        self._clusters: list[list[str]] = []
        self._home: dict[str, int] = {}

    def resolve(self, causes: Mapping[str, str], *, around: bool = False) -> bool:
        """
        Resolve the customers of the keys of *causes*, and whoever that may change.

        Returns whether anybody moved.

        Args:
            around: evidence was lost, so the neighbours count from the start.
        """
        self._take_in(causes)
        grown: set[int] = set()
        if around:
            grown.update(self._home[key] for key in causes)
            self._grow(grown)
        while True:
            resolution = self._resolution()
            split = {at for at in range(len(self._clusters)) if self._falls_apart(at, resolution)}
            if not self._grow(split - grown):
                break
            grown |= split
        return self._apply(resolution, causes)

    def _take_in(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key not in self._home:
                members = members_of(self._draft, key)
                self._home.update(dict.fromkeys(members, len(self._clusters)))
                self._clusters.append(members)

    def _grow(self, clusters: Iterable[int]) -> bool:
        """Take in the neighbours of *clusters*; whether there were any new ones."""
        size = len(self._home)
        members = [key for at in clusters for key in self._clusters[at]]
        self._take_in(_neighbours(self._draft, members, self._home))
        return len(self._home) > size

    def _falls_apart(self, at: int, resolution: Resolution) -> bool:
        customers = {resolution.assignments[key] for key in self._clusters[at]}
        return len(customers) > 1

    def _resolution(self) -> Resolution:
        draft = self._draft
        nodes = {key: draft.nodes[key] for key in self._home}
        pairs = pairs_among(nodes)
        draft.read_edges(pairs)
        self._edges = [draft.edges[pair] for pair in pairs if pair in draft.edges]
        return resolve(nodes, self._edges, draft.cuts_naming(nodes), self._rules)

    def _apply(self, resolution: Resolution, causes: Mapping[str, str]) -> bool:
        newest = list(causes.values())[-1]
        by_cluster = {self._home[key]: cause for key, cause in causes.items()}
        of_each = {key: by_cluster.get(at, newest) for key, at in self._home.items()}
        return tell(self._draft, resolution, self._edges, of_each)


def _neighbours(draft: Draft, keys: Iterable[str], known: Iterable[str]) -> list[str]:
    """Neighbours of *keys* that are not *known* yet, in a fixed order."""
    skip = known if isinstance(known, set | dict) else set(known)
    around = dict.fromkeys(
        other for key in keys for other in draft.nodes[key].around if other not in skip
    )
    draft.read_nodes(around)
    return list(around)
