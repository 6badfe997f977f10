"""What a batch of evidence changes in a workspace's graph, and whom it gives another customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from customeros.processors.identity.draft import Draft, Known
from customeros.processors.identity.fold import Contradiction, Fold
from customeros.processors.identity.model import Conflict, Edge, Joined, Node, Pair, pair_of
from customeros.processors.identity.rules import Rules, rules_from
from customeros.processors.identity.settle import settle, settle_all, settle_loss
from customeros.schemas.identity import (
    Assignment,
    Cut,
    Endpoint,
    Evidence,
    EvidenceKind,
    Join,
    Link,
    Refusal,
)


class Rejected(NamedTuple):
    """Evidence at `position` of the batch that cannot be taken as it is."""

    position: int
    reason: str
    detail: str


class Changes(NamedTuple):
    """
    What to store and what to say; all of it empty where evidence says nothing new.

    Args:
        edges, conflicts: None: no longer there.
        clock: the newest version given out; None: as before.
        rules: those that hold from now on; None: as before.
        refusals: evidence that can join nobody, counted by reason.
        version: of everything that is said.
        joins: what persons said of pairs. quarantine: who came into it (True), or out.
    """

    nodes: Mapping[str, Node]
    edges: Mapping[Pair, Edge | None]
    cuts: Mapping[str, Cut]
    conflicts: Mapping[Pair, Conflict | None]
    clock: int | None
    rules: Rules | None
    assignments: Sequence[Assignment]
    refusals: Mapping[Refusal, int]
    rejected: Sequence[Rejected]
    version: int
    joins: Sequence[tuple[Pair, Joined]]
    quarantine: Mapping[str, bool]


def update(known: Known, told: Sequence[Evidence], rules: Rules, now: int) -> Changes:
    """
    Take *told* into the graph and recompute each customer concerned once.

    Everybody's customer is then that of `resolve` over all evidence ever told: order, repetition
    and how it was cut into batches do not matter, except for rules, which hold from where they
    come. Quarantine lasts for its epoch, whatever rules come later.

    Args:
        rules: in force before *told*, of the workspace that all of *told* is about.
        now: ms; versions are hybrid clocks.
    """
    draft = Draft(known, max(known.clock() + 1, now))
    _read(draft, told)
    fold = Fold(draft, rules)
    adopted = False
    rejected: list[Rejected] = []
    for position, evidence in enumerate(told):
        try:
            adopted |= _take(fold, evidence)
        except (_Malformed, Contradiction) as problem:
            reason = "contradiction" if isinstance(problem, Contradiction) else "malformed_evidence"
            rejected.append(Rejected(position, reason, str(problem)))
    if adopted:
        for key in draft.every_key():
            fold.refresh(key)
        settle_all(draft, "rules", fold.rules)
    else:
        if fold.losses:
            settle_loss(draft, fold.losses, rules)
        settle(draft, fold.touches, rules)
    moved = [key for key, old in draft.before.items() if draft.nodes[key].customer != old]
    return Changes(
        nodes={key: draft.nodes[key] for key in draft.changed_nodes},
        edges={pair: draft.edges.get(pair) for pair in draft.changed_edges},
        cuts={cut: draft.cuts[cut] for cut in draft.changed_cuts},
        conflicts=draft.conflicts,
        clock=draft.version if moved or draft.changed_edges or draft.changed_cuts else None,
        rules=fold.rules if adopted else None,
        assignments=[_assignment(draft, key, fold.rules) for key in moved],
        refusals=fold.refusals,
        rejected=rejected,
        version=draft.version,
        joins=list(draft.joins.values()),
        quarantine=draft.quarantine,
    )


class _Malformed(ValueError):
    """Evidence without the field that its kind names, or rules that are none."""


def _read(draft: Draft, told: Sequence[Evidence]) -> None:
    """Have at hand what *told* names, by one look-up each."""
    links = [evidence.link for evidence in told if evidence.link is not None]
    keys = [p.key for evidence in told for p in (evidence.seen, evidence.erase) if p is not None]
    joins = [evidence.join for evidence in told if evidence.join is not None]
    beside = [(said.a.key, said.b.key) for said in links]
    beside += [(said.a.key, said.b.key) for said in joins]
    keys += [key for pair in beside for key in pair]
    draft.read_nodes(keys)
    draft.read_edges([pair_of(*pair) for pair in beside])


def _take(fold: Fold, evidence: Evidence) -> bool:
    """Fold *evidence*; whether it changed the rules."""
    match evidence:
        case Evidence(kind=EvidenceKind.LINK, link=Link() as link):
            fold.link(link)
        case Evidence(kind=EvidenceKind.SEEN, seen=Endpoint() as point):
            fold.meet(point, point.first_event_id)
        case Evidence(kind=EvidenceKind.ERASE, erase=Endpoint() as point):
            fold.erase(point)
        case Evidence(kind=EvidenceKind.CUT, cut=Cut() as cut):
            fold.cut(cut)
        case Evidence(kind=EvidenceKind.JOIN, join=Join() as join):
            fold.join(join)
        case Evidence(kind=EvidenceKind.RULES, rules=str() as text):
            rules, fold.rules = fold.rules, _rules(text, fold.rules.workspace)
            return fold.rules != rules
        case _:
            raise _Malformed(f"{evidence.kind.value} evidence without its own field")
    return False


def _rules(text: str, workspace: str) -> Rules:
    try:
        return rules_from(text, workspace)
    except ValueError as problem:
        raise _Malformed(str(problem)) from None


def _assignment(draft: Draft, key: str, rules: Rules) -> Assignment:
    node = draft.nodes[key]
    return Assignment(
        workspace=rules.workspace,
        key=key,
        type=node.type,
        customer_id=node.customer,
        version=draft.version,
        epoch=node.epoch,
        cause=draft.causes[key],
        limit=rules.limit(node.type) or 0,
    )
