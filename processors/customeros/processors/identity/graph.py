"""What a batch of evidence changes in a workspace's graph, and whom it gives another customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from customeros.processors.identity.draft import Draft, Known
from customeros.processors.identity.fold import Contradiction, Fold, Malformed, Outdated
from customeros.processors.identity.model import (
    Conflict,
    Edge,
    InForce,
    Joined,
    Node,
    Pair,
    pair_of,
)
from customeros.processors.identity.rules import Rules, text_of
from customeros.processors.identity.settle import settle, settle_loss
from customeros.processors.identity.sweep import swept, take_up
from customeros.schemas.identity import (
    Adoption,
    Assignment,
    Cut,
    Endpoint,
    Evidence,
    EvidenceKind,
    Join,
    Link,
    Refusal,
    Sweep,
)

# Who adopted the rules that nobody adopted.
FILE: Final = "customeros.toml"


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
        rules: those that hold from now on, and for whom; None: as before.
        adopted: rules, in order. sweep: what the graph is to be told next; None: nothing.
        refusals: evidence that can join nobody, counted by reason.
        version: of everything that is said.
        joins: what persons said of pairs. quarantine: who came into it (True), or out.
    """

    nodes: Mapping[str, Node]
    edges: Mapping[Pair, Edge | None]
    cuts: Mapping[str, Cut]
    conflicts: Mapping[Pair, Conflict | None]
    clock: int | None
    rules: InForce | None
    adopted: Sequence[Adoption]
    sweep: Sweep | None
    assignments: Sequence[Assignment]
    refusals: Mapping[Refusal, int]
    rejected: Sequence[Rejected]
    version: int
    joins: Sequence[tuple[Pair, Joined]]
    quarantine: Mapping[str, bool]


def update(known: Known, told: Sequence[Evidence], first: Rules, now: int) -> Changes:
    """
    Take *told* into the graph and recompute each customer concerned once.

    Everybody's customer is then that of `resolve` over all evidence ever told: order, repetition
    and how it was cut into batches do not matter. Other rules hold at once for whom evidence
    names, and piece by piece for everybody else: until `sweep` is None, told again each time.
    Who was quarantined while more came than is kept stays so for its epoch, whatever rules come.

    Args:
        told: all about one workspace.
        first: adopted with its first evidence, unless that brings rules itself.
        now: ms; versions are hybrid clocks.
    """
    draft = Draft(known, max(known.clock() + 1, now))
    _read(draft, told)
    before = known.in_force()
    fold = Fold(draft, before or InForce(0, first))
    rejected: list[Rejected] = []
    for position, evidence in enumerate(told):
        if not fold.in_force.version and evidence.kind is not EvidenceKind.RULES:
            fold.adopt(_unasked(first, now))
        try:
            _take(fold, evidence)
        except (Malformed, Contradiction, Outdated) as problem:
            rejected.append(Rejected(position, _REASONS[type(problem)], str(problem)))
    in_force = fold.in_force
    if in_force.sweep is not None:
        take_up(draft, fold.causes, in_force)
        if fold.sweeps and before is not None and in_force.version == before.version:
            in_force = swept(draft, in_force)
    if fold.losses:
        settle_loss(draft, fold.losses, fold.rules)
    settle(draft, fold.touches, fold.rules)
    moved = [key for key, old in draft.before.items() if draft.nodes[key].customer != old]
    return Changes(
        nodes={key: draft.nodes[key] for key in draft.changed_nodes},
        edges={pair: draft.edges.get(pair) for pair in draft.changed_edges},
        cuts={cut: draft.cuts[cut] for cut in draft.changed_cuts},
        conflicts=draft.conflicts,
        clock=draft.version if moved or draft.changed_edges or draft.changed_cuts else None,
        rules=in_force if in_force != before else None,
        adopted=fold.adopted,
        sweep=_next(in_force) if fold.sweeps else None,
        assignments=[_assignment(draft, key, fold.rules) for key in moved],
        refusals=fold.refusals,
        rejected=rejected,
        version=draft.version,
        joins=list(draft.joins.values()),
        quarantine=draft.quarantine,
    )


_REASONS: Final[Mapping[type[Exception], str]] = {
    Malformed: "malformed_evidence",
    Contradiction: "contradiction",
    Outdated: "outdated_rules",
}


def _unasked(first: Rules, now: int) -> Adoption:
    return Adoption(version=1, text=text_of(first), by=FILE, why="", made_at=now)


def _next(in_force: InForce) -> Sweep | None:
    if in_force.sweep is None:
        return None
    return Sweep(version=in_force.version, after=in_force.sweep)


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


def _take(fold: Fold, evidence: Evidence) -> None:
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
        case Evidence(kind=EvidenceKind.RULES, rules=Adoption() as adoption):
            fold.adopt(adoption)
        case Evidence(kind=EvidenceKind.SWEEP, sweep=Sweep() as sweep):
            fold.sweep(sweep)
        case _:
            raise Malformed(f"{evidence.kind.value} evidence without its own field")


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
