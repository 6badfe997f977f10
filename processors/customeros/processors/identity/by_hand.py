"""What a person may change about who is one customer, and the evidence that says so."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from customeros.processors.identity.fold import MAX_CUT_KEYS
from customeros.processors.identity.model import NEVER
from customeros.processors.identity.public import JOIN, RULES, SPLIT
from customeros.processors.identity.rules import Rules
from customeros.processors.identity.why import Graph, other_end, parting, uniting
from customeros.schemas.identity import (
    Cut,
    Endpoint,
    Evidence,
    EvidenceKind,
    IdentityChange,
    Join,
    Refusal,
)

# Sorts after every event's id: what an event says of the same millisecond is more precise.
_NO_EVENT: Final = "\uffff"


class Impossible(ValueError):
    """
    A change that is refused, with nothing changed.

    Args:
        code: stable, for programs; the text says why and what to do, without personal data.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Change(NamedTuple):
    """Who changes what why; `now` in ms."""

    change_id: str
    by: str
    why: str
    now: int


def split(
    graph: Graph, members: Sequence[str], leaving: Iterable[str], change: Change, workspace: str
) -> Evidence:
    """
    The identifiers *leaving* are somebody else than the rest of *members*.

    Raises:
        Impossible: it would part nobody, or contradicts a join.
    """
    left = sorted({*leaving})
    if not {*left} <= {*members}:
        raise Impossible("not_of_customer", "an identifier that is named is not the customer's")
    right = sorted({*members} - {*left})
    if not left or not right:
        raise Impossible(
            "splits_nobody", "name some of the customer's identifiers: not none, not all"
        )
    return _cut(graph, left, right, change, workspace)


def refuse(
    graph: Graph, one: Iterable[str], other: Iterable[str], change: Change, workspace: str
) -> Evidence:
    """
    The customers with the identifiers *one* and *other* are two persons, whatever evidence comes.

    Raises:
        Impossible: they are one customer, that was said already, or it contradicts a join.
    """
    left, right = sorted({*one}), sorted({*other})
    if {graph.customer(key) for key in left} & {graph.customer(key) for key in right}:
        raise Impossible("already_one", "they are one customer: a split parts them")
    said = parting(graph, left, right)
    if said:
        named = ", ".join(one.change_id for one in said)
        raise Impossible("already_apart", f"it was said already that they are two: {named}")
    return _cut(graph, left, right, change, workspace)


def join(
    graph: Graph,
    ends: tuple[Endpoint, Endpoint],
    *,
    members: tuple[Sequence[str], Sequence[str]],
    types: Mapping[str, str],
    rules: Rules,
    change: Change,
) -> Evidence:
    """
    The two *ends*, and with them their customers, are one.

    Args:
        members: of either customer. types: of those that no evidence names.

    Raises:
        Impossible: they are already, or a rule forbids it.
    """
    a, b = ends
    if graph.customer(a.key) == graph.customer(b.key):
        raise Impossible("already_one", "they are one customer already")
    for point in (a, b):
        if graph.quarantined(point.key):
            raise Impossible("quarantined", f"this {point.type} is shared by too many to join")
        if point.key in rules.blocked:
            raise Impossible("blocked", f"the rules block this {point.type}")
    obstacle = uniting(graph, *members, types, rules)
    if obstacle is not None and obstacle.reason == Refusal.CUT:
        raise Impossible("contradicts_split", f"split by hand: undo {obstacle.detail} first")
    if obstacle is not None:
        raise Impossible(
            "limit", f"one customer would have more {obstacle.detail} than the rules allow"
        )
    return Evidence(
        workspace=rules.workspace,
        kind=EvidenceKind.JOIN,
        join=Join(
            change_id=change.change_id,
            version=change.now,
            on=True,
            a=a,
            b=b,
            by=change.by,
            why=change.why,
            made_at=change.now,
        ),
    )


def undo(made: IdentityChange, by: str, now: int, ends: Mapping[str, tuple[str, int]]) -> Evidence:
    """
    Take *made* back.

    Args:
        ends: type and epoch of each identifier of a join.

    Raises:
        Impossible: it was taken back already, or is not to be taken back.
    """
    if made.kind == RULES:
        raise Impossible("rules", "rules are not taken back: adopt those from before again")
    if not made.on:
        raise Impossible("already_undone", "this change was taken back already")
    version = max(made.version + 1, now)
    if made.kind == SPLIT:
        cut = Cut(
            cut_id=made.change_id,
            version=version,
            on=False,
            left=made.left,
            right=made.right,
            by=made.by,
            why=made.why,
            made_at=made.made_at,
            undone_by=by,
        )
        return Evidence(workspace=made.workspace, kind=EvidenceKind.CUT, cut=cut)
    a, b = (endpoint(key, *ends[key]) for key in (made.left[0], made.right[0]))
    back = Join(
        change_id=made.change_id,
        version=version,
        on=False,
        a=a,
        b=b,
        by=made.by,
        why=made.why,
        made_at=made.made_at,
        undone_by=by,
    )
    return Evidence(workspace=made.workspace, kind=EvidenceKind.JOIN, join=back)


def fate_of(graph: Graph, made: IdentityChange) -> tuple[str, str]:
    """
    What has become of *made*, and what is in its way if something is.

    `in_force`; `undone`; `overruled`: a later word on the two, or the erasure of one, holds;
    `refused`: a join that a limit (of a type), a split (its id) or a quarantine keeps from joining.
    """
    if not made.on:
        return "undone", ""
    if made.kind != JOIN:
        return "in_force", ""
    (a,), (b,) = made.left, made.right
    link = next((one for one in graph.links(a) if b in (one.a, one.b)), None)
    if link is None or link.change_id != made.change_id:
        return "overruled", ""
    if link.refused is not None:
        return "refused", link.detail
    if graph.quarantined(a) or graph.quarantined(b):
        return "refused", Refusal.QUARANTINED.value
    return "in_force", ""


def endpoint(key: str, kind: str, epoch: int, first_seen_at: int = NEVER) -> Endpoint:
    """An identifier as a person names it; no event of it is known here."""
    return Endpoint(
        key=key, type=kind, first_seen_at=first_seen_at, first_event_id=_NO_EVENT, epoch=epoch
    )


def _cut(
    graph: Graph, left: Sequence[str], right: Sequence[str], change: Change, workspace: str
) -> Evidence:
    if len(left) + len(right) > MAX_CUT_KEYS:
        raise Impossible("too_many", f"a split names at most {MAX_CUT_KEYS} identifiers")
    joins = _joins_across(graph, left, {*right})
    if joins:
        raise Impossible(
            "contradicts_join", f"joined by hand: undo {', '.join(joins)} before the split"
        )
    return Evidence(
        workspace=workspace,
        kind=EvidenceKind.CUT,
        cut=Cut(
            cut_id=change.change_id,
            version=change.now,
            on=True,
            left=tuple(left),
            right=tuple(right),
            by=change.by,
            why=change.why,
            made_at=change.now,
        ),
    )


def _joins_across(graph: Graph, left: Sequence[str], right: Collection[str]) -> list[str]:
    """The joins in force that hold one of *left* and one of *right* together."""
    return sorted(
        {
            link.change_id
            for key in left
            for link in graph.links(key)
            if link.change_id is not None and other_end(link, key) in right
        }
    )
