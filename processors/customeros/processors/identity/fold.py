"""Fold one piece of evidence into the graph, and note whose customer it may change."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Final

from msgspec.structs import replace

from customeros.processors.identity.draft import Draft
from customeros.processors.identity.model import (
    NEVER,
    Edge,
    InForce,
    Joined,
    Node,
    pair_of,
    proof_of,
)
from customeros.processors.identity.neighbours import beside, refresh
from customeros.processors.identity.proofs import with_proof
from customeros.processors.identity.resolve import own_customer, unfit
from customeros.processors.identity.rules import Rules, rules_from
from customeros.processors.identity.settle import Touch
from customeros.schemas.identity import Adoption, Cut, Endpoint, Join, Link, Refusal, Sweep

# Records stay under 256 kB: a cut names this many keys, and so many cuts name an identifier.
MAX_CUT_KEYS: Final = 5_000
MAX_CUTS: Final = 1_000
MAX_JOINS: Final = 1_000
MAX_ID_CHARACTERS: Final = 128
MAX_WORDS: Final = 4_000


class Contradiction(ValueError):
    """A cut or a join that cannot be taken as it is; the text says why, without personal data."""


class Malformed(ValueError):
    """Evidence that says nothing, or rules that are none; the text says why."""


class Outdated(ValueError):
    """Rules of a version that others were adopted as."""


class Fold:
    """
    What evidence changes in *draft*; every method may be called in any order, any number of times.

    Args:
        touches: evidence that was added.
        losses: identifiers that lost evidence or got a cut, with the cause.
        stale: identifiers that evidence names while their customer follows older rules.
        refusals: evidence that can join nobody, by reason.
        adopted: rules, in order; the last are in force.
        sweeps: whether the next identifiers are to follow the rules in force.
    """

    def __init__(self, draft: Draft, in_force: InForce) -> None:
        self.in_force = in_force
        self.touches: list[Touch] = []
        self.losses: dict[str, str] = {}
        self.stale: dict[str, str] = {}
        self.refusals: Counter[Refusal] = Counter()
        self.adopted: list[Adoption] = []
        self.sweeps = False
        self._refreshed: set[str] = set()
        self._draft = draft

    @property
    def rules(self) -> Rules:
        return self.in_force.rules

    @property
    def causes(self) -> dict[str, str]:
        """Everybody whose customer may change, with the evidence that does it."""
        touched = {key: touch.cause for touch in self.touches for key in (touch.a, touch.b)}
        return {**self.stale, **touched, **self.losses}

    def adopt(self, said: Adoption) -> None:
        """
        Other rules hold from here on; the same ones again change nothing.

        Raises:
            Malformed, Outdated: nothing was changed.
        """
        try:
            rules = rules_from(said.text, self.rules.workspace)
        except ValueError as problem:
            raise Malformed(str(problem)) from None
        now = self.in_force
        if said.version < 1 or max(len(said.by), len(said.why)) > MAX_WORDS:
            raise Malformed("rules are counted from 1, and the words with them are short")
        if said.version <= now.version:
            mine = {one.version: digest_of(one) for one in self.adopted}
            if digest_of(said) != (mine.get(said.version) or self._draft.adopted(said.version)):
                raise Outdated(f"rules of version {now.version} are in force already")
            return
        # Whatever was to be looked at is looked at by the new rules alone.
        self.stale, self.touches, self.losses = self.causes, [], {}
        self._refreshed.clear()
        self.in_force = InForce(said.version, rules, "" if now.version else None)
        self.adopted.append(said)
        self.sweeps = True

    def sweep(self, said: Sweep) -> None:
        """Go on, unless this is of rules that were superseded, or was done already."""
        self.sweeps |= (said.version, said.after) == (self.in_force.version, self.in_force.sweep)

    def link(self, link: Link) -> None:
        """Two identifiers belong together."""
        draft, rules, (a, b) = self._draft, self.rules, (link.a, link.b)
        for point in (a, b):
            self.meet(point, link.event_id)
            self._take_up(point.key, link.event_id)
        if a.key == b.key:
            return
        a, b = (a, b) if a.key < b.key else (b, a)
        if any(point.epoch < draft.nodes[point.key].epoch for point in (a, b)):
            self.refusals[Refusal.ERASED] += 1
            if rules.strength_of(link.rule, link.source) > 0:
                self._put_beside((a, b), link.event_id, strong=True)
            return
        known = draft.edges.get((a.key, b.key))
        edge = known or Edge(a.key, b.key)
        if not edge.proofs:  # then it may be of an epoch before, as a join that was taken back
            edge = replace(edge, a_epoch=a.epoch, b_epoch=b.epoch)
        proofs = with_proof(edge.proofs, proof_of(link))
        if proofs is not edge.proofs:
            edge = edge.proved(proofs, rules)
        kept = True
        if known is None or not known.proofs or known.strength < 1 <= edge.strength:
            kept = self._put_beside((a, b), link.event_id, strong=edge.strength > 0)
        reason = unfit(edge, draft.nodes[a.key], draft.nodes[b.key], rules)
        if reason is not None:
            self.refusals[reason] += 1
        # What joins nobody today is kept as well, as other rules may let it pass.
        if kept and edge is not known:
            draft.put_edge(edge)
            if reason is None and (known is None or edge.rank != known.rank):
                self.touches.append(Touch(a.key, b.key, link.event_id))

    def meet(self, point: Endpoint, cause: str) -> None:
        """An identifier was seen."""
        node = self._draft.nodes.get(point.key)
        if node is None:
            own = own_customer(self.rules.workspace, point.key, point.epoch)
            self._draft.put_node(point.key, self._new(point, own))
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
            self._draft.put_node(point.key, self._new(point, ""))
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
            node = draft.nodes.get(key) or self._unseen(key)
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
        for point in (a, b):
            if point.key in nodes:
                self.meet(point, cause)
            else:
                # Whoever holds it is to hear of it, to tell in turn when it was first seen.
                draft.put_node(point.key, self._new(point, ""))
                self.losses[point.key] = cause
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

    def _put_beside(self, ends: tuple[Endpoint, Endpoint], cause: str, *, strong: bool) -> bool:
        """Note at either end of the same epoch that the other is beside it; whether both do."""
        nodes, kept = self._draft.nodes, True
        for point, other in (ends, ends[::-1]):
            node = nodes[point.key]
            if point.epoch == node.epoch:
                after, listed = beside(node, other.key, strong=strong)
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
        pairs = [pair_of(point.key, other) for other in node.kept]
        draft.read_edges(pairs)
        for edge in [draft.edges[pair] for pair in pairs if pair in draft.edges]:
            draft.drop_edge(edge)
        draft.put_node(point.key, replace(self._new(point, ""), cuts=node.cuts))
        if node.quarantined:
            draft.quarantine[point.key] = False
        self._lose(point.key, node, cause)

    def _lose(self, key: str, node: Node, cause: str) -> None:
        self.losses.update(dict.fromkeys((key, *node.around), cause))

    def _take_up(self, key: str, cause: str) -> None:
        """Have what is kept around *key* as the rules in force have it."""
        draft, node = self._draft, self._draft.nodes[key]
        if self.in_force.sweep is not None and node.rules != self.in_force.version:
            if key not in self._refreshed:
                self._refreshed.add(key)
                refresh(draft, key, self.rules)
            self.stale[key] = cause

    def _new(self, point: Endpoint, customer: str) -> Node:
        return Node(
            point.type,
            point.epoch,
            point.first_seen_at,
            point.first_event_id,
            customer,
            rules=self.in_force.version,
        )

    def _unseen(self, key: str) -> Node:
        # Later than a person's word, too, which brings its type.
        own = own_customer(self.rules.workspace, key, 0)
        return Node("", 0, NEVER + 1, "", own, rules=self.in_force.version)

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


def digest_of(said: Adoption) -> str:
    """By which rules are known again."""
    return hashlib.sha256(said.text.encode()).hexdigest()


def _order(cut: Cut) -> tuple[int, bool, tuple[str, ...], tuple[str, ...], str]:
    return cut.version, cut.on, cut.left, cut.right, cut.undone_by or ""
