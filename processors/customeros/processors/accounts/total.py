"""
What several identifiers say of one organisation, added up; any order, any grouping, the same.

So an organisation of many may be kept as a tree of totals over 4,096 buckets of its customers: a
change then costs one bucket's identifiers and 16 totals of each level, and not everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar
from zlib import crc32

import msgspec
from msgspec.structs import force_setattr

from customeros.processors.accounts.model import NOBODY, Part
from customeros.processors.profile.entries import Entry, with_customer
from customeros.processors.profile.formerly import TimelineMark, entry_now
from customeros.processors.profile.kept import newest
from customeros.processors.profile.merge import merge
from customeros.processors.profile.model import (
    EMPTY,
    TIMELINE_ENTRIES,
    First,
    Profile,
    Role,
    Said,
    Standing,
    TraitMark,
)
from customeros.processors.profile.standing import merged

M = TypeVar("M", First, TraitMark)

LEVELS: Final = 3
_FAN_OUT: Final = 16
MEMBERS: Final = 100


class Held(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An identifier's newest part; the highest `sequence` counts."""

    customer_id: str
    sequence: int
    part: Part


class MemberMark(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """A customer who belongs to the organisation; those last seen stay."""

    last_at: int
    customer_id: str
    since: int
    said: Said
    role: Role | None = None


class EntryMark(TimelineMark, frozen=True, array_like=True, gc=False):
    """An event of the timeline as v0 kept it; `customer_id` may be `NOBODY`."""

    customer_id: str = NOBODY


class Total(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    Args:
        parts: how many identifiers are in it.
        member_count: customers who belong to the organisation; members: those last seen.
        profile: without its timeline, which is `timeline`, with whose the events are.
        timeline_before: as v0 wrote it; always empty.
    """

    parts: int = 0
    member_count: int = 0
    members: tuple[MemberMark, ...] = ()
    profile: Profile = EMPTY
    timeline_before: tuple[EntryMark, ...] = ()
    closed: First | None = None
    parent: TraitMark | None = None
    timeline: tuple[Entry, ...] = ()

    def __post_init__(self) -> None:
        if self.timeline_before:
            marks = [(entry_now(mark), mark.customer_id) for mark in self.timeline_before]
            force_setattr(self, "timeline", _newest_entries(marks))
            force_setattr(self, "timeline_before", ())


NOTHING: Final = Total()


def bucket_of(customer_id: str) -> bytes:
    """The way to the bucket with all identifiers of a customer: a byte for each level."""
    hashed = crc32(customer_id.encode())
    return bytes(hashed // _FAN_OUT**level % _FAN_OUT for level in range(LEVELS))


def total_of(held: Mapping[str, Held]) -> Total:
    """The total of identifiers, by key; a customer's must all be there."""
    if not held:
        return NOTHING
    standings: dict[str, list[Standing]] = {}
    for each in held.values():
        if each.customer_id != NOBODY and each.part.standing is not None:
            standings.setdefault(each.customer_id, []).append(each.part.standing)
    members = []
    for customer, several in standings.items():
        one = merged(several)
        if not one.said.left:
            members.append(MemberMark(one.last_at, customer, one.since, one.said, one.role))
    parts = [each.part for each in held.values()]
    return Total(
        len(held),
        len(members),
        _last_seen(members),
        _untimed(merge(part.profile for part in parts)),
        closed=_greatest(part.closed for part in parts),
        parent=_greatest(part.parent for part in parts),
        timeline=_newest_entries(
            (entry, each.customer_id)
            for each in held.values()
            for entry in each.part.profile.timeline
        ),
    )


def added(totals: Iterable[Total]) -> Total:
    """The total of totals of different customers."""
    several = [total for total in totals if total.parts]
    if len(several) < 2:
        return several[0] if several else NOTHING
    return Total(
        sum(total.parts for total in several),
        sum(total.member_count for total in several),
        _last_seen(member for total in several for member in total.members),
        merge(total.profile for total in several),
        closed=_greatest(total.closed for total in several),
        parent=_greatest(total.parent for total in several),
        timeline=newest(
            (), (entry for total in several for entry in total.timeline), TIMELINE_ENTRIES
        ),
    )


def _last_seen(members: Iterable[MemberMark]) -> tuple[MemberMark, ...]:
    return tuple(sorted(members, key=_rank, reverse=True)[:MEMBERS])


def _rank(member: MemberMark) -> tuple[int, str]:
    return member.last_at, member.customer_id


def _newest_entries(found: Iterable[tuple[Entry, str]]) -> tuple[Entry, ...]:
    """Customers' entries, each with whose it is, as the newest of the organisation's."""
    told = (
        with_customer(entry, None if customer == NOBODY else customer) for entry, customer in found
    )
    return newest((), told, TIMELINE_ENTRIES)


def _untimed(profile: Profile) -> Profile:
    return msgspec.structs.replace(profile, timeline=())


def _greatest(marks: Iterable[M | None]) -> M | None:
    return max((mark for mark in marks if mark is not None), default=None)
