"""Fold one piece of evidence into the graph, and note whose customer it may change."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

from msgspec.structs import replace

from customeros.processors.identity.draft import Draft
from customeros.processors.identity.model import (
    NEVER,
    Edge,
    Joined,
    Node,
    edge_of,
    pair_of,
    proof_of,
)
from customeros.processors.identity.proofs import with_proof
from customeros.processors.identity.resolve import own_customer, unfit
from customeros.processors.identity.rules import Rules
from customeros.processors.identity.settle import Touch
from customeros.schemas.identity import Cut, Endpoint, Join, Link, Refusal

# Records stay under 256 kB: a cut names this many keys, and so many cuts name an identifier.
MAX_CUT_KEYS: Final = 5_000
MAX_CUTS: Final = 1_000
MAX_JOINS: Final = 1_000
MAX_ID_CHARACTERS: Final = 128
# Beside one identifier; above most degrees, so that stronger they would quarantine it.
MAX_WEAK: Final = 100


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
        draft, rules, (a, b) = self._draft, self.rules, (link.a, link.b)
        self.meet(a, link.event_id)
        self.meet(b, link.event_id)
        if a.key == b.key:
            return
        edge = edge_of(link, rules)
        if any(point.epoch < draft.nodes[point.key].epoch for point in (a, b)):
            self.refusals[Refusal.ERASED] += 1
            if edge.strength > 0:
                self._put_beside(edge, (a, b), link.event_id)
            return
        known, kept = draft.edges.get(edge.pair), True
        if known is not None:
            # One without proofs may be of an epoch before: a join that was taken back.
            now = known if known.proofs else _at(known, edge.a_epoch, edge.b_epoch)
            edge = now.proved(with_proof(known.proofs, proof_of(link)), rules)
        if known is None or not known.proofs or known.strength < 1 <= edge.strength:
            kept = self._put_beside(edge, (a, b), link.event_id)
        reason = unfit(edge, draft.nodes[edge.a], draft.nodes[edge.b], rules)
        if reason is not None:
            self.refusals[reason] += 1
        # What joins nobody today is kept as well, as other rules may let it pass.
        if kept and edge is not known:
            draft.put_edge(edge)
            if reason is None and (known is None or edge.rank != known.rank):
                self.touches.append(Touch(edge.a, edge.b, link.event_id))

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
            (a, b),
        )
        pair = pair_of(a.key, b.key)
        edge = draft.edges.get(pair) or Edge(*pair, a_epoch=a.epoch, b_epoch=b.epoch)
        held = edge.joined
        if held is not None and held.order >= said.order:
            if held.change_id != said.change_id:
                draft.note_join(pair, said)  # it is overruled already, and listed all the same
            return
        draft.note_join(pair, said)
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

    def refresh(self, key: str) -> None:
        """Take what is kept around *key* as the rules now have it."""
        draft = self._draft
        draft.read_nodes([key])
        node = draft.nodes[key]
        pairs = {other: pair_of(key, other) for other in (*node.neighbours, *node.weak)}
        draft.read_edges(pairs.values())
        sides: tuple[list[str], list[str]] = ([], [])
        for other, pair in sorted(pairs.items()):
            edge = draft.edges.get(pair)
            weak = other in node.weak
            if edge is not None:
                judged = edge.proved(edge.proofs, self.rules)
                weak = judged.strength < 1
                if judged is not edge:
                    draft.put_edge(judged)
                if weak and not judged.by_hand:
                    draft.mark_refused(judged, None)
            sides[weak].append(other)
        lone = (node.quarantined and node.more) or len(sides[0]) > self.rules.degree(node.type)
        after = replace(node, neighbours=tuple(sides[0]), weak=tuple(sides[1]), quarantined=lone)
        if after != node:
            draft.put_node(key, after)
        if lone is not node.quarantined:
            draft.quarantine[key] = lone

    def _put_beside(self, edge: Edge, ends: tuple[Endpoint, Endpoint], cause: str) -> bool:
        """Note at either end of the same epoch that *edge* names the other; whether both do."""
        nodes, kept = self._draft.nodes, True
        for point, other in (ends, ends[::-1]):
            node = nodes[point.key]
            if point.epoch == node.epoch:
                after, listed = beside(node, other.key, strong=edge.strength > 0)
                kept &= listed
                if after is not node:
                    self._draft.put_node(point.key, after)
                    if node.quarantined:
                        self._draft.quarantine[point.key] = True
                    else:
                        self.bound(point.key, cause)
        return kept

    def _renew(self, node: Node, point: Endpoint, cause: str) -> None:
        """Begin *point*'s epoch with nothing but the cuts that name it."""
        draft = self._draft
        pairs = [pair_of(point.key, other) for other in (*node.around, *node.weak)]
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


def _at(edge: Edge, a_epoch: int, b_epoch: int) -> Edge:
    return replace(edge, a_epoch=a_epoch, b_epoch=b_epoch)


def _has(keys: tuple[str, ...], key: str) -> bool:
    at = bisect_left(keys, key)
    return at < len(keys) and keys[at] == key


def _with(keys: tuple[str, ...], key: str) -> tuple[str, ...]:
    at = bisect_left(keys, key)
    return (*keys[:at], key, *keys[at:])


def _new(point: Endpoint, customer: str) -> Node:
    return Node(point.type, point.epoch, point.first_seen_at, point.first_event_id, customer)


def _unseen(workspace: str, key: str) -> Node:
    # Later than a person's word, too, which brings its type.
    return Node("", 0, NEVER + 1, "", own_customer(workspace, key, 0))


def _order(cut: Cut) -> tuple[int, bool, tuple[str, ...], tuple[str, ...], str]:
    return cut.version, cut.on, cut.left, cut.right, cut.undone_by or ""
