"""Evidence and obstacles in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from customeros.processors.identity.why import NO_EVIDENCE, Obstacle
from customeros.schemas.identity import IdentityChange, IdentityLink, Refusal

Row = Mapping[str, Any]


def step_text(link: IdentityLink, event: Row | None, change: IdentityChange | None) -> str:
    """
    What says that the two belong together: `both on order 1001 from shop, 3 March 2026`.

    Args:
        event: as ClickHouse has it; None: not known there.
        change: the join by hand, where that is what counts.
    """
    if change is not None:
        return f"joined by {change.by}, {day(change.made_at)}: {change.why}"
    return f"{_what(link.rule, event)} from {link.source}, {day(link.occurred_at)}"


def _what(rule: str, event: Row | None) -> str:
    if rule == "alias":
        return "said to be the same by an alias call"
    if rule == "identify":
        return "logged in: one identify call names both,"
    if event is None:
        return "both in one event"
    if event["order_id"]:
        return f"both on order {event['order_id']}"
    if event["conversation_id"]:
        return f"both in conversation {event['conversation_id']}"
    return f"both in \u201c{event['name']}\u201d"


def obstacle_text(obstacle: Obstacle) -> str:
    """What keeps the two apart, as a sentence."""
    detail = obstacle.detail
    match obstacle.reason:
        case Refusal.LIMIT:
            return f"together they would have more {_called(detail)} than one customer may"
        case Refusal.CUT:
            return f"they were split by hand ({detail})"
        case Refusal.QUARANTINED:
            return f"this {detail} is shared by too many to say who somebody is"
        case Refusal.WEAK:
            return "what names both only suggests it: the rules give it strength 0"
        case Refusal.BLOCKED:
            return "the value names nobody: software writes it when it does not know"
        case _:
            return "no evidence leads from one to the other"


def remedy(obstacle: Obstacle) -> str:
    """What would resolve it."""
    detail = obstacle.detail
    match obstacle.reason:
        case Refusal.LIMIT:
            return (
                f"rules with a higher limit for {detail} (customeros identity adopt --rules FILE), "
                "or a split that gives the evidence to one of the two"
            )
        case Refusal.CUT:
            return f"customeros undo {detail}"
        case Refusal.QUARANTINED:
            return (
                f"nothing short of its erasure; rules with a higher degree for {detail} "
                "(customeros identity adopt --rules FILE) spare the next"
            )
        case Refusal.WEAK:
            return "stronger evidence, or: customeros join A B --why TEXT"
        case Refusal.BLOCKED:
            return "an identifier that names somebody"
        case _:
            return "an event that names both, or: customeros join A B --why TEXT"


def apart(obstacle: Obstacle) -> dict[str, str]:
    """The same as fields of an answer."""
    return {
        "reason": obstacle.reason,
        "detail": obstacle.detail,
        "text": obstacle_text(obstacle),
        "remedy": remedy(obstacle),
    }


def obstacle_of(link: IdentityLink) -> Obstacle:
    """Why *link* joined nobody."""
    return Obstacle(link.refused or NO_EVIDENCE, link.detail, link)


def day(milliseconds: int) -> str:
    """`3 March 2026`."""
    time = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{time.day} {_MONTHS[time.month - 1]} {time.year}"


_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def _called(kind: str) -> str:
    return "identifiers" if kind == "identifiers" else f"identifiers of type {kind}"
