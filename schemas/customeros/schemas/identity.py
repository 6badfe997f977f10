"""What the identity graph is told (evidence) and what it answers (assignments)."""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec


class Strength(IntEnum):
    """How far evidence goes; 0 only ever suggests."""

    SUGGESTED = 0
    SEEN_TOGETHER = 1
    LOGIN = 2
    EXPLICIT = 3


class EvidenceKind(StrEnum):
    """Everything that `resolve()` takes comes as one of these."""

    LINK = "link"
    SEEN = "seen"
    CUT = "cut"
    RULES = "rules"
    ERASE = "erase"


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


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Two identifiers belong together, says event `event_id`."""

    a: Endpoint
    b: Endpoint
    strength: int
    occurred_at: int
    event_id: str
    source: str
    rule: str


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Identifiers of `left` must not be with those of `right`; `on` False takes it back."""

    cut_id: str
    version: int
    on: bool
    left: tuple[str, ...]
    right: tuple[str, ...]
    by: str
    why: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One record of `identity.evidence`; the field named by `kind` is the one that is set."""

    workspace: str
    kind: EvidenceKind
    link: Link | None = None
    seen: Endpoint | None = None
    cut: Cut | None = None
    rules: str | None = None
    erase: Endpoint | None = None


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """
    Identifier `key` belongs to `customer_id` from `version` on.

    Args:
        version: hybrid clock, ms; grows per identifier, so an older one is ignored.
        cause: the event id of the evidence that moved it.
    """

    workspace: str
    key: str
    type: str
    customer_id: str
    version: int
    epoch: int
    cause: str


class Refusal(StrEnum):
    """Why evidence joined nobody."""

    BLOCKED = "blocked"
    QUARANTINED = "quarantined"
    ERASED = "erased"
    LIMIT = "limit"
    CUT = "cut"
    WEAK = "weak"
