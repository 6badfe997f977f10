"""Lists of a profile as v0 kept them, and the entries that they are now."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from customeros.processors.profile.entries import Entry, thing_entry, timeline_entry
from customeros.schemas.customer import OpenThing, TimelineEntry


class ThingMark(msgspec.Struct, frozen=True, array_like=True, gc=False):
    occurred_at: int
    event_id: str
    source: str
    kind: str
    ref: str
    state: str
    amount: int = 0
    currency: str = ""  # empty: no amount


class TimelineMark(msgspec.Struct, frozen=True, array_like=True, gc=False):
    occurred_at: int
    event_id: str
    source: str
    family: str
    name: str
    ref: str = ""  # empty: of no thing


def things_now(marks: Iterable[ThingMark]) -> tuple[Entry, ...]:
    """The entries of *marks*, newest first."""
    found = [
        thing_entry(
            OpenThing(
                kind=mark.kind,
                ref=mark.ref,
                state=mark.state,
                occurred_at=mark.occurred_at,
                event_id=mark.event_id,
                amount=mark.amount if mark.currency else None,
                currency=mark.currency or None,
            )
        )
        for mark in marks
    ]
    return tuple(sorted(found, reverse=True))


def timeline_now(marks: Iterable[TimelineMark]) -> tuple[Entry, ...]:
    """The entries of *marks*, newest first."""
    return tuple(sorted(map(entry_now, marks), reverse=True))


def entry_now(mark: TimelineMark) -> Entry:
    """The entry of *mark*."""
    return timeline_entry(
        TimelineEntry(
            occurred_at=mark.occurred_at,
            event_id=mark.event_id,
            source=mark.source,
            family=mark.family,
            name=mark.name,
            ref=mark.ref or None,
        )
    )
