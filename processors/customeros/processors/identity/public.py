"""What of the graph is public: the values of `identity.links` and `identity.changes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from customeros.processors.identity.model import Edge, Joined, Node, Pair
from customeros.processors.identity.proofs import Kept
from customeros.schemas.identity import (
    Adoption,
    Cut,
    Endpoint,
    Evidence,
    EvidenceKind,
    IdentityChange,
    IdentityLink,
    Join,
    Proof,
    Refusal,
)

SPLIT = "split"
JOIN = "join"
RULES = "rules"
_NO_PROOF: Final = Kept(0, "", "", "")


def pair_name(a: str, b: str = "") -> str:
    """The key of a link within its workspace; without *b* that of a quarantine."""
    return f"{a}.{b}"


def link_of(
    edge: Edge, nodes: Mapping[str, Node], workspace: str, version: int
) -> IdentityLink | None:
    """What is known of the pair; None: nobody says any more that it belongs together."""
    joined = edge.joined if edge.by_hand else None
    if not edge.proofs and joined is None:
        return None
    best = edge.proofs[0] if edge.proofs else _NO_PROOF
    reason, detail = edge.refused or (None, "")
    if edge.strength < 1 and joined is None:
        reason = Refusal.WEAK
    return IdentityLink(
        workspace=workspace,
        a=edge.a,
        b=edge.b,
        version=version,
        a_type=nodes[edge.a].type,
        b_type=nodes[edge.b].type,
        strength=edge.strength,
        occurred_at=best.occurred_at,
        event_id=best.event_id,
        source=best.source,
        rule=best.rule,
        change_id=None if joined is None else joined.change_id,
        refused=None if reason is None else reason.value,
        detail=detail,
        proofs=tuple(
            Proof(
                occurred_at=kept.occurred_at,
                event_id=kept.event_id,
                source=kept.source,
                rule=kept.rule,
            )
            for kept in edge.proofs
        ),
    )


def proofs_of(link: IdentityLink) -> tuple[Kept, ...]:
    """The evidence of events in *link*, as the graph has it."""
    return tuple(Kept(p.occurred_at, p.event_id, p.source, p.rule) for p in link.proofs)


def quarantine_of(key: str, node: Node, workspace: str, version: int) -> IdentityLink:
    """That an identifier has too many neighbours to join anybody."""
    return IdentityLink(
        workspace=workspace,
        a=key,
        b="",
        version=version,
        a_type=node.type,
        b_type="",
        strength=0,
        occurred_at=version,
        event_id="",
        source="",
        rule="",
        refused=Refusal.QUARANTINED.value,
        detail=node.type,
        complete=not node.more,
    )


def change_of(said: Cut | tuple[Pair, Joined] | Adoption, workspace: str) -> IdentityChange:
    """What a person said, as others may read it."""
    if isinstance(said, Adoption):
        return IdentityChange(
            workspace=workspace,
            change_id=f"{RULES}-{said.version}",
            version=said.version,
            kind=RULES,
            on=True,
            left=(),
            right=(),
            by=said.by,
            why=said.why,
            made_at=said.made_at,
            text=said.text,
        )
    if isinstance(said, Cut):
        made: Cut | Joined = said
        ends: tuple[Endpoint, ...] = ()
        kind, change_id = SPLIT, said.cut_id
        left, right = said.left, said.right
    else:
        (a, b), made = said
        left, right, kind, change_id, ends = (a,), (b,), JOIN, made.change_id, made.ends
    return IdentityChange(
        workspace=workspace,
        change_id=change_id,
        version=made.version,
        kind=kind,
        on=made.on,
        left=left,
        right=right,
        by=made.by,
        why=made.why,
        made_at=made.made_at,
        undone_by=made.undone_by,
        ends=ends,
    )


def evidence_of(change: IdentityChange) -> Evidence:
    """What the graph was told when *change* came to be: told again, it makes the same change."""
    said: dict[str, Any] = {
        "version": change.version,
        "by": change.by,
        "why": change.why,
        "made_at": change.made_at,
    }
    if change.kind == RULES:
        adoption = Adoption(text=change.text, **said)
        return Evidence(workspace=change.workspace, kind=EvidenceKind.RULES, rules=adoption)
    said |= {"on": change.on, "undone_by": change.undone_by}
    if change.kind == SPLIT:
        cut = Cut(cut_id=change.change_id, left=change.left, right=change.right, **said)
        return Evidence(workspace=change.workspace, kind=EvidenceKind.CUT, cut=cut)
    a, b = change.ends
    join = Join(change_id=change.change_id, a=a, b=b, **said)
    return Evidence(workspace=change.workspace, kind=EvidenceKind.JOIN, join=join)
