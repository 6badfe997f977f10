"""Fold one piece of evidence into the graph, and note whose customer it may change."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

from msgspec.structs import replace

from customeros.processors.identity.draft import Draft
from customeros.processors.identity.model import NEVER, Edge, Joined, Node, edge_of, pair_of
from customeros.processors.identity.resolve import own_customer, unfit
from customeros.processors.identity.rules import Rules
from customeros.processors.identity.settle import Touch
from customeros.schemas.identity import Cut, Endpoint, Join, Link, Refusal

# Records stay under 256 kB: a cut names this many keys, and so many cuts name an identifier.
MAX_CUT_KEYS: Final = 5_000
MAX_CUTS: Final = 1_000
MAX_JOINS: Final = 1_000
MAX_ID_CHARACTERS: Final = 128


class Contradiction(ValueError):
    """A cut or a join that cannot be taken as it is; the text says why, without personal data."""


class Fold:
    """
    What evidence changes in *draft*; every method may be called in any order, any number of times.

    Args:
        touches: evidence that was added.
        losses: identifiers that lost evidence or got a cut, with the cause.
        refusals: evidence that can join nobody, by reason.
    """

    def __init__(self, draft: Draft, rules: Rules) -> None:
        self.rules = rules
        self.touches: list[Touch] = []
        self.losses: dict[str, str] = {}
        self.refusals: Counter[Refusal] = Counter()
        self._draft = draft

    def link(self, link: Link) -> None:
        """Two identifiers belong together."""
        draft, a, b, cause = self._draft, link.a, link.b, link.event_id
        self.meet(a, cause)
        self.meet(b, cause)
        if a.key == b.key:
            return
        edge = edge_of(link)
        known = draft.edges.get(edge.pair)
        if (known is None or known.strength < 1) and edge.strength > 0:
            self._put_beside(a, b.key, cause)
            self._put_beside(b, a.key, cause)
        reason = unfit(edge, draft.nodes[edge.a], draft.nodes[edge.b], self.rules)
        if reason is not None:
            self.refusals[reason] += 1
        # What is blocked today is kept, as other rules may let it pass.
        if reason in (None, Refusal.BLOCKED) and (known is None or edge.beats(known)):
            draft.put_edge(
                replace(edge, refused=known.refused, joined=known.joined) if known else edge
            )
            if reason is None:
                self.touches.append(Touch(edge.a, edge.b, cause))

    def meet(self, point: Endpoint, cause: str) -> None:
        """An identifier was seen."""
        node = self._draft.nodes.get(point.key)
        if node is None:
            own = own_customer(self.rules.workspace, point.key, point.epoch)
            self._draft.put_node(point.key, _new(point, own))
        elif point.epoch > node.epoch:
            self._renew(node, point, cause)
        elif point.epoch == node.epoch and (
            (point.first_seen_at, point.first_event_id) < (node.first_seen_at, node.first_event_id)
        ):
            self._draft.put_node(
                point.key,
                replace(
                    node,
                    type=point.type,
                    first_seen_at=point.first_seen_at,
                    first_event_id=point.first_event_id,
                ),
            )
            # Whom a customer is named after stays so by being seen still earlier.
            own = own_customer(self.rules.workspace, point.key, node.epoch)
            if node.around and node.customer != own:
                self.touches.append(Touch(point.key, point.key, cause))

    def erase(self, point: Endpoint) -> None:
        """All evidence about an identifier from before this epoch is void."""
        cause = point.first_event_id
        node = self._draft.nodes.get(point.key)
        if node is None:
            # Others may know it all the same, so its customer is said in any case.
            self._draft.put_node(point.key, _new(point, customer=""))
            self.losses[point.key] = cause
        else:
            self.meet(point, cause)

    def cut(self, cut: Cut) -> None:
        """
        Two sets of identifiers are not to be together, or may be again.

        Raises:
            Contradiction: nothing was changed.
        """
        draft = self._draft
        draft.read_cuts([cut.cut_id])
        known = draft.cuts.get(cut.cut_id)
        if known is not None and _order(known) >= _order(cut):
            return
        released = {*known.left, *known.right} if known is not None and known.on else set()
        named = {*cut.left, *cut.right} if cut.on else set()
        draft.read_nodes(sorted(released | named))
        if problem := self._problem(cut):
            raise Contradiction(problem)
        draft.put_cut(cut)
        for key in sorted(released | named):
            node = draft.nodes.get(key) or _unseen(self.rules.workspace, key)
            cuts = {*node.cuts} - {cut.cut_id} | ({cut.cut_id} if key in named else set())
            draft.put_node(key, replace(node, cuts=tuple(sorted(cuts))))
            self.losses[key] = cut.cut_id

    def join(self, join: Join) -> None:
        """
        A person says that two identifiers belong together, or takes that back.

        Raises:
            Contradiction: nothing was changed.
        """
        draft, cause = self._draft, join.change_id
        a, b = (join.a, join.b) if join.a.key < join.b.key else (join.b, join.a)
        if a.key == b.key or max(map(len, (cause, a.key, b.key))) > MAX_ID_CHARACTERS:
            raise Contradiction("a join is of two identifiers, and its names are short")
        nodes = draft.nodes
        if join.on and any(len(nodes[p.key].joined) >= MAX_JOINS for p in (a, b) if p.key in nodes):
            raise Contradiction(f"an identifier is named by {MAX_JOINS} joins already")
        self.meet(a, cause)
        self.meet(b, cause)
        if a.epoch < nodes[a.key].epoch or b.epoch < nodes[b.key].epoch:
            self.refusals[Refusal.ERASED] += 1
            return
        said = Joined(
            join.version,
            join.on,
            join.change_id,
            a.epoch,
            b.epoch,
            join.by,
            join.why,
            join.made_at,
            join.undone_by,
        )
        pair = pair_of(a.key, b.key)
        edge = draft.edges.get(pair) or Edge(*pair, 0, 0, "", "", "", a.epoch, b.epoch)
        if edge.joined is not None and edge.joined.order >= said.order:
            return
        draft.joins[pair] = said
        draft.put_edge(replace(edge, joined=said))
        for mine, other in (pair, pair[::-1]):
            beside = {*nodes[mine].joined} - {other} | ({other} if join.on else set())
            draft.put_node(mine, replace(nodes[mine], joined=tuple(sorted(beside))))
            self.losses[mine] = cause
        if not join.on and edge.strength < 1:
            draft.mark_refused(draft.edges[pair], None)

    def bound(self, key: str, cause: str) -> None:
        """Quarantine *key* if it has too many neighbours; its evidence is kept."""
        node = self._draft.nodes[key]
        if not node.quarantined and len(node.neighbours) > self.rules.degree(node.type):
            self._draft.put_node(key, replace(node, quarantined=True))
            self._draft.quarantine[key] = True
            self._lose(key, node, cause)

    def _put_beside(self, point: Endpoint, other: str, cause: str) -> None:
        """Count *other* as a neighbour, up to one more than there may be."""
        node = self._draft.nodes[point.key]
        if node.quarantined or point.epoch < node.epoch:
            return
        beside = node.neighbours
        at = bisect_left(beside, other)
        if at < len(beside) and beside[at] == other:
            return
        beside = (*beside[:at], other, *beside[at:])
        self._draft.put_node(point.key, replace(node, neighbours=beside))
        if len(beside) > self.rules.degree(node.type):
            self.bound(point.key, cause)

    def _renew(self, node: Node, point: Endpoint, cause: str) -> None:
        """Begin *point*'s epoch with nothing but the cuts that name it."""
        draft = self._draft
        pairs = [pair_of(point.key, other) for other in node.around]
        draft.read_edges(pairs)
        for edge in [draft.edges[pair] for pair in pairs if pair in draft.edges]:
            draft.drop_edge(edge)
        draft.put_node(point.key, replace(_new(point, customer=""), cuts=node.cuts))
        if node.quarantined:
            draft.quarantine[point.key] = False
        self._lose(point.key, node, cause)

    def _lose(self, key: str, node: Node, cause: str) -> None:
        self.losses.update(dict.fromkeys((key, *node.around), cause))

    def _problem(self, cut: Cut) -> str | None:
        nodes = self._draft.nodes
        keys = (*cut.left, *cut.right)
        if len(keys) > MAX_CUT_KEYS or max(map(len, (cut.cut_id, *keys))) > MAX_ID_CHARACTERS:
            return f"more than {MAX_CUT_KEYS} keys, or one over {MAX_ID_CHARACTERS} characters"
        if not cut.left or not cut.right or {*cut.left} & {*cut.right}:
            return "the sides of a cut are not empty and have no identifier in common"
        if cut.on and any(len(nodes[key].cuts) >= MAX_CUTS for key in keys if key in nodes):
            return f"an identifier is named by {MAX_CUTS} cuts already"
        return None


def _new(point: Endpoint, customer: str) -> Node:
    return Node(point.type, point.epoch, point.first_seen_at, point.first_event_id, customer)


def _unseen(workspace: str, key: str) -> Node:
    # Later than a person's word, too, which brings its type.
    return Node("", 0, NEVER + 1, "", own_customer(workspace, key, 0))


def _order(cut: Cut) -> tuple[int, bool, tuple[str, ...], tuple[str, ...]]:
    return cut.version, cut.on, cut.left, cut.right
