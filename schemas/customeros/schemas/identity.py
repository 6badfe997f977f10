"""What the identity graph is told (evidence) and what it answers (assignments)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final

import msgspec


class Strength(IntEnum):
    """How far evidence goes; 0 only ever suggests."""

    SUGGESTED = 0
    SEEN_TOGETHER = 1
    LOGIN = 2
    EXPLICIT = 3


# By rule: what makes an event say that two identifiers belong together, and how far that goes
# unless a workspace says otherwise.
STRENGTHS: Final[Mapping[str, Strength]] = {
    "alias": Strength.EXPLICIT,
    "identify": Strength.LOGIN,
    "external_id": Strength.LOGIN,
    "seen_identify": Strength.SEEN_TOGETHER,
    "seen_track": Strength.SEEN_TOGETHER,
    "seen_page": Strength.SEEN_TOGETHER,
    "seen_screen": Strength.SEEN_TOGETHER,
    "seen_group": Strength.SEEN_TOGETHER,
}


class EvidenceKind(StrEnum):
    """Everything that `resolve()` takes comes as one of these."""

    LINK = "link"
    SEEN = "seen"
    CUT = "cut"
    RULES = "rules"
    ERASE = "erase"
    JOIN = "join"
    SWEEP = "sweep"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """
    One identifier as the sender of evidence knows it.

    Args:
        first_seen_at: the earliest the sender knows, ms.
        first_event_id: the event that says so; orders identifiers first seen in one millisecond.
        epoch: how often it has been erased.
    """

    key: str
    type: str
    first_seen_at: int
    first_event_id: str
    epoch: int = 0


class Proof(msgspec.Struct, frozen=True, order=True, gc=False):
    """The earliest event of `source` that says by `rule` that two identifiers belong together."""

    occurred_at: int
    event_id: str
    source: str
    rule: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Two identifiers belong together, says event `event_id`."""

    a: Endpoint
    b: Endpoint
    occurred_at: int
    event_id: str
    source: str
    rule: str


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """
    Identifiers of `left` must not be with those of `right`; `on` False takes it back.

    Args:
        by: who made it, `made_at` when (ms).
        undone_by: who took it back, at `version`.
    """

    cut_id: str
    version: int
    on: bool
    left: tuple[str, ...]
    right: tuple[str, ...]
    by: str
    why: str
    made_at: int = 0
    undone_by: str | None = None


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """
    Two identifiers belong together, says a person; `on` False takes it back.

    Of several for one pair the highest version holds. Like a cut's, its fields tell who and why.
    """

    change_id: str
    version: int
    on: bool
    a: Endpoint
    b: Endpoint
    by: str
    why: str
    made_at: int = 0
    undone_by: str | None = None


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """
    These are the rules from now on.

    Args:
        version: counts the rules of a workspace from 1; older ones are not taken again.
        text: as `processors.identity.rules.text_of` writes them.
        by: who adopted them, `made_at` when (ms).
    """

    version: int
    text: str
    by: str
    why: str
    made_at: int = 0


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """The graph tells itself to take up rules `version` for the identifiers after `after`."""

    version: int
    after: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One record of `identity.evidence`; the field named by `kind` is the one that is set."""

    workspace: str
    kind: EvidenceKind
    link: Link | None = None
    seen: Endpoint | None = None
    cut: Cut | None = None
    rules: Adoption | None = None
    erase: Endpoint | None = None
    join: Join | None = None
    sweep: Sweep | None = None


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """
    Identifier `key` belongs to `customer_id` from `version` on.

    Args:
        version: hybrid clock, ms; grows per identifier, so an older one is ignored.
        cause: the event id of the evidence that moved it.
        limit: identifiers of its type that one customer could have then; 0: any number, -1: it
            is not said.
    """

    workspace: str
    key: str
    type: str
    customer_id: str
    version: int
    epoch: int
    cause: str
    limit: int = -1


class Refusal(StrEnum):
    """Why evidence joined nobody."""

    BLOCKED = "blocked"
    QUARANTINED = "quarantined"
    ERASED = "erased"
    LIMIT = "limit"
    CUT = "cut"
    WEAK = "weak"


class IdentityLink(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is known about two identifiers beside each other: a value of `identity.links`.

    Args:
        a, b: keys, the smaller one first; `b` empty: about `a` alone, which is quarantined.
        strength, occurred_at, event_id, source, rule: the best evidence of events under the
            rules in force; strength 0 and empty where only a person said so.
        change_id: of the join in force for the two.
        refused: why it joined nobody, a `Refusal`; `detail` the type or the cut in the way.
        proofs: all evidence of events that is kept, best first.
        complete: False: more neighbours came than are kept, so no rules can release `a`.
    """

    workspace: str
    a: str
    b: str
    version: int
    a_type: str
    b_type: str
    strength: int
    occurred_at: int
    event_id: str
    source: str
    rule: str
    change_id: str | None = None
    refused: str | None = None
    detail: str = ""
    proofs: tuple[Proof, ...] = ()
    complete: bool = True


class IdentityChange(msgspec.Struct, frozen=True, kw_only=True):
    """
    A split or a join that a person made, or rules that were adopted: of `identity.changes`.

    Args:
        kind: `split`, `join` or `rules`.
        on: False: it was taken back, by `undone_by`, at `version` (hybrid clock, ms).
        version: of rules, which they are, counted from 1.
        left, right: keys; of a join one each; of rules none.
        ends: of a join the identifiers as they were named.
        text: of rules, as evidence carries them.
    """

    workspace: str
    change_id: str
    version: int
    kind: str
    on: bool
    left: tuple[str, ...]
    right: tuple[str, ...]
    by: str
    why: str
    made_at: int
    undone_by: str | None = None
    ends: tuple[Endpoint, ...] = ()
    text: str = ""
