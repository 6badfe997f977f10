"""What rules would change, as the API tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from customeros.processors.identity.resolve import ANY_TYPE
from customeros.processors.identity.what_if import Join, Reason, Split, WhatIf
from customeros.schemas.identity import IdentityLink, Refusal

# Of one customer; as many as can be read.
_IDENTIFIERS: Final = 20
_REASONS: Final = 10

Names = Mapping[str, str]


def what_if_told(found: WhatIf, names: Names) -> dict[str, Any]:
    """
    *found* for programs and people.

    Args:
        names: of identifiers, `type:value`; of others their key is told.
    """
    return {
        "identifiers": found.identifiers,
        "behind": found.behind,
        "joins": {
            "total": found.joins,
            "customers": found.joined,
            "first": [_join(one, names) for one in found.first_joins],
        },
        "splits": {
            "total": found.splits,
            "first": [_split(one, names) for one in found.first_splits],
        },
        "consent": {
            "total": sum(found.narrowed.values()),
            "purposes": found.narrowed,
            "first": [one._asdict() for one in found.first_narrowed],
        },
        "quarantine": {
            "added": found.quarantined,
            "released": found.released,
            "unjudged": found.unjudged,
        },
        "blocked": found.blocked,
    }


def keys_told(found: WhatIf) -> Iterable[str]:
    """Identifiers whose names `what_if_told` uses."""
    for join in found.first_joins:
        yield from join.identifiers[:_IDENTIFIERS]
    for split in found.first_splits:
        for part in split.parts:
            yield from part[:_IDENTIFIERS]
    reasons = [one.reasons for one in found.first_joins]
    reasons += [one.reasons for one in found.first_splits]
    for of_one in reasons:
        for reason in of_one[:_REASONS]:
            yield from (reason.link.a, reason.link.b)


def reason_text(reason: Reason, *, joins: bool) -> str:
    """Why two would join, or would join no more: one sentence."""
    link, detail, now, then = reason.link, reason.detail, reason.now, reason.then
    match reason.stood:
        case Refusal.WEAK:
            return f"{_evidence(link)} has strength {then} instead of {now}"
        case Refusal.LIMIT if now != then:
            called = "" if detail == ANY_TYPE else f"{detail} "
            kept = "no longer stands" if joins else "stands"
            return f"a limit of {_limit(now if joins else then)} {called}{kept} between them"
        case Refusal.QUARANTINED if now != then:
            return f"with a degree of {then} instead of {now} this {detail} " + (
                "is no longer shared by too many" if joins else "is shared by too many"
            )
        case Refusal.BLOCKED:
            return f"this {detail} is {'no longer ' if joins else ''}blocked"
        case Refusal.CUT:
            return f"{_beside(joins=joins)} ({detail})"
        case _:
            return f"{_beside(joins=joins)} ({reason.stood} of {detail})"


def _beside(*, joins: bool) -> str:
    end = "allows it" if joins else "forbids it"
    return f"whom either of them is with then {end}"


def _limit(limit: int | None) -> str:
    return "any number" if limit is None else str(limit)


def _evidence(link: IdentityLink) -> str:
    return f"evidence {link.event_id} of rule {link.rule} from {link.source}"


def _join(one: Join, names: Names) -> dict[str, Any]:
    return {
        "customers": one.customers,
        "in_part": sorted(one.parts),
        **_named(one.identifiers, names),
        "reasons": [_reason(reason, names, joins=True) for reason in one.reasons[:_REASONS]],
    }


def _split(one: Split, names: Names) -> dict[str, Any]:
    return {
        "customer": one.customer,
        "parts": [_named(part, names) for part in one.parts],
        "reasons": [_reason(reason, names, joins=False) for reason in one.reasons[:_REASONS]],
    }


def _named(keys: tuple[str, ...], names: Names) -> dict[str, Any]:
    shown = [names.get(key, f"({key})") for key in keys[:_IDENTIFIERS]]
    return {"identifiers": shown, "total": len(keys)}


def _reason(reason: Reason, names: Names, *, joins: bool) -> dict[str, Any]:
    link = reason.link
    return {
        "a": names.get(link.a, f"({link.a})"),
        "b": names.get(link.b, f"({link.b})"),
        "reason": reason.stood,
        "detail": reason.detail,
        "now": reason.now,
        "then": reason.then,
        "rule": link.rule,
        "source": link.source,
        "event_id": link.event_id,
        "change_id": link.change_id,
        "text": reason_text(reason, joins=joins),
    }
