"""The part of the graph that a batch works on: read once, changed here, written at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from customeros.processors.identity.model import Conflict, Edge, InForce, Joined, Node, Pair
from customeros.schemas.identity import Cut, Refusal


class Known(Protocol):
    """A workspace's graph as it was stored; what is absent is absent from the answer."""

    def nodes(self, keys: Iterable[str]) -> Mapping[str, Node]: ...

    def edges(self, pairs: Iterable[Pair]) -> Mapping[Pair, Edge]: ...

    def cuts(self, ids: Iterable[str]) -> Mapping[str, Cut]: ...

    def keys(self, beyond: str, limit: int) -> Sequence[str]:
        """So many identifiers in order, those after *beyond*."""

    def clock(self) -> int:
        """The newest version that an assignment has; 0: none was made."""

    def in_force(self) -> InForce | None:
        """The rules that were adopted last; None: none were."""

    def adopted(self, version: int) -> str | None:
        """A digest of the rules that were adopted as *version*; None: there are none."""


class Draft:
    """
    A workspace's graph with a batch's changes above it.

    Args:
        version: what assignments made now are to carry.
    """

    def __init__(self, known: Known, version: int) -> None:
        self.version = version
        self._known = known
        self.nodes: dict[str, Node] = {}
        self.edges: dict[Pair, Edge] = {}
        self.cuts: dict[str, Cut] = {}
        self.conflicts: dict[Pair, Conflict | None] = {}
        self.joins: dict[str, tuple[Pair, Joined]] = {}  # said or taken back, by change id
        self.quarantine: dict[str, bool] = {}  # who came into it, or out by erasure
        self.before: dict[str, str] = {}  # of each that moved, the customer it came from
        self.causes: dict[str, str] = {}
        self.changed_nodes: dict[str, None] = {}
        self.changed_edges: dict[Pair, None] = {}
        self.changed_cuts: dict[str, None] = {}
        self._read_nodes: set[str] = set()
        self._read_edges: set[Pair] = set()

    def read_nodes(self, keys: Iterable[str]) -> None:
        """Have *keys* at hand in `nodes`, those that exist."""
        new = [key for key in dict.fromkeys(keys) if key not in self._read_nodes]
        if new:
            self._read_nodes.update(new)
            self.nodes.update(self._known.nodes(new))

    def read_edges(self, pairs: Iterable[Pair]) -> None:
        """Have *pairs* at hand in `edges`, those that exist."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._read_edges]
        if new:
            self._read_edges.update(new)
            self.edges.update(self._known.edges(new))

    def cuts_naming(self, keys: Iterable[str]) -> list[Cut]:
        """The cuts in force that name any of *keys*."""
        nodes = self.nodes
        named = [cuts for key in keys if (cuts := nodes[key].cuts)]
        ids = dict.fromkeys(cut for cuts in named for cut in cuts)
        self.read_cuts(ids)
        return [self.cuts[cut] for cut in ids]

    def read_cuts(self, ids: Iterable[str]) -> None:
        new = [cut for cut in ids if cut not in self.cuts]
        if new:
            self.cuts.update(self._known.cuts(new))

    def next_keys(self, beyond: str, limit: int) -> Sequence[str]:
        """So many stored identifiers in order, those after *beyond*."""
        return self._known.keys(beyond, limit)

    def adopted(self, version: int) -> str | None:
        """A digest of the rules that were adopted as *version*; None: there are none."""
        return self._known.adopted(version)

    def put_node(self, key: str, node: Node) -> None:
        self.nodes[key] = node
        self.changed_nodes[key] = None

    def note_join(self, pair: Pair, said: Joined) -> None:
        """A person says *said* of *pair*; of a change the newest word is told."""
        _, known = self.joins.get(said.change_id, (pair, said))
        if known.order <= said.order:
            self.joins[said.change_id] = pair, said

    def put_edge(self, edge: Edge) -> None:
        self.edges[edge.pair] = edge
        self.changed_edges[edge.pair] = None

    def drop_edge(self, edge: Edge) -> None:
        del self.edges[edge.pair]
        self.changed_edges[edge.pair] = None
        if edge.refused:
            self.conflicts[edge.pair] = None

    def put_cut(self, cut: Cut) -> None:
        self.cuts[cut.cut_id] = cut
        self.changed_cuts[cut.cut_id] = None

    def move(self, key: str, customer: str, cause: str) -> bool:
        """*key* belongs to *customer*, because of the evidence *cause*; whether that is new."""
        node = self.nodes[key]
        if node.customer == customer:
            return False
        self.before.setdefault(key, node.customer)
        self.causes[key] = cause
        self.put_node(key, msgspec.structs.replace(node, customer=customer))
        return True

    def mark_refused(self, edge: Edge, refusal: tuple[Refusal, str] | None) -> None:
        """Keep in sight what stood in the way of *edge*; None: nothing does."""
        if edge.refused == refusal:
            return
        self.put_edge(msgspec.structs.replace(edge, refused=refusal))
        self.conflicts[edge.pair] = refusal and Conflict(*refusal, self.version)
