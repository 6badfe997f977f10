"""The state of a customer, from what its identifiers contribute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from customeros.processors.profile.bounds import CONTRIBUTION_BYTES, STATE_BYTES, fitted_profile
from customeros.processors.profile.entries import Entry, Listed
from customeros.processors.profile.kept import first_purposes
from customeros.processors.profile.merge import merge, merge_consent
from customeros.processors.profile.model import (
    ConsentMark,
    Contribution,
    Profile,
    Standing,
    TouchMark,
    decode_profile,
)
from customeros.processors.profile.shown import known_traits, metrics_of, sealed
from customeros.schemas.customer import (
    Consent,
    CustomerState,
    KnownIdentifier,
    Membership,
    Status,
    Touch,
)
from customeros.schemas.identifier import IdentifierRules

# A state's bytes: so many for identifiers, for the profile, and the rest for consent and framing.
IDENTIFIER_BYTES: Final = 32 * 1024
PROFILE_BYTES: Final = STATE_BYTES - IDENTIFIER_BYTES - 24 * 1024
_IDENTIFIER_FRAME_BYTES: Final = 64
_ALWAYS_FIT: Final = 20  # with values of 256 characters of four bytes


class Member(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    One identifier's newest contribution, as the customer holds it.

    Args:
        limit: of its type when it was assigned; 0: any number, -1: as the configuration has it.
    """

    assignment_version: int
    sequence: int
    contribution: Contribution[msgspec.Raw]
    limit: int = -1


def merged(members: Mapping[str, Member]) -> Profile:
    """What the profiles of *members* say together."""
    return merge(map(decoded, members.values()))


def decoded(member: Member) -> Profile:
    """What the profile of *member* says."""
    return decode_profile(member.contribution.profile)


def customer_state(
    workspace: str,
    customer_id: str,
    members: Mapping[str, Member],
    rules: IdentifierRules,
    profile_of: Callable[[Mapping[str, Member]], Profile] = merged,
) -> Listed[CustomerState]:
    """
    The active state of the customer whose identifiers, by key, are *members*; version 0.

    While an identifier moves, two may be here of which a customer can have one (`rules`): the
    one assigned last is shown, the other one is not, nor what it contributes, but what it
    refuses stays refused.

    Args:
        profile_of: `merged`, by whatever way.
    """
    shown = shown_members(members, rules)
    profile = profile_of(shown)
    if len(shown) * CONTRIBUTION_BYTES > PROFILE_BYTES:
        profile = fitted_profile(profile, max_bytes=PROFILE_BYTES)
    consent = first_purposes(
        merge_consent([members[nid].contribution.consent for nid in sorted(members)])
    )
    return _sealed(
        CustomerState(
            workspace=workspace,
            customer_id=customer_id,
            version=0,
            identifiers=_identifiers(shown, rules),
            traits=known_traits(profile),
            consent={purpose: _consent(mark) for purpose, mark in sorted(consent.items())},
            metrics=metrics_of(profile),
            sets={
                name: dict(sorted(found.items())) for name, found in sorted(profile.sets.items())
            },
            accounts={
                account: _membership(standing)
                for account, standing in sorted(profile.accounts.items())
                if not standing.said.left
            },
            first_touch=_touch(profile.first_touch),
            last_touch=_touch(profile.last_touch),
        ),
        profile.things,
        profile.timeline,
    )


def retired_state(
    workspace: str, customer_id: str, *, merged_into: str | None
) -> Listed[CustomerState]:
    """The state of a customer without identifiers: merged, or erased where they went nowhere."""
    return _sealed(
        CustomerState(
            workspace=workspace,
            customer_id=customer_id,
            version=0,
            status=Status.ERASED if merged_into is None else Status.MERGED,
            merged_into=merged_into,
        )
    )


def _sealed(
    state: CustomerState, things: tuple[Entry, ...] = (), timeline: tuple[Entry, ...] = ()
) -> Listed[CustomerState]:
    """*state* with its digest: over all that it says, not over when it was said."""
    timeless = None
    if any(known.since for known in state.identifiers):
        timeless = msgspec.structs.replace(
            state,
            identifiers=tuple(msgspec.structs.replace(i, since=0) for i in state.identifiers),
        )
    return sealed(state, things, timeline, timeless=timeless)


def shown_members(members: Mapping[str, Member], rules: IdentifierRules) -> Mapping[str, Member]:
    """
    *members* without those that exceed a limit; of several, those assigned last stay.

    The limit is that of the rules by which the last one was assigned.
    """
    if len(members) < 2:
        return members
    by_type: dict[str, list[str]] = {}
    for nid, member in members.items():
        by_type.setdefault(member.contribution.type, []).append(nid)
    hidden: set[str] = set()
    for kind, nids in by_type.items():
        if len(nids) < 2:
            continue
        rank = {nid: (-members[nid].assignment_version, nid) for nid in nids}
        limit = members[min(nids, key=rank.__getitem__)].limit
        if limit < 0:
            limit = rules.type_of(kind).limit or 0
        if 0 < limit < len(nids):
            hidden.update(sorted(nids, key=rank.__getitem__)[limit:])
    return {nid: member for nid, member in members.items() if nid not in hidden}


def _identifiers(
    members: Mapping[str, Member], rules: IdentifierRules
) -> tuple[KnownIdentifier, ...]:
    last = _last_seen(members)
    if len(members) > _ALWAYS_FIT:
        members = _within_bytes(members, rules, last)
    found = [
        KnownIdentifier(
            key=nid,
            type=member.contribution.type,
            value=member.contribution.value,
            source=member.contribution.first.source,
            first_seen_at=member.contribution.first.occurred_at,
            last_seen_at=last[nid],
            since=member.assignment_version,
        )
        for nid, member in members.items()
    ]
    found.sort(key=lambda known: (known.type, known.value or "", known.key))
    return tuple(found)


def _within_bytes(
    members: Mapping[str, Member], rules: IdentifierRules, last: Mapping[str, int]
) -> Mapping[str, Member]:
    """As many as there is room for: by the priority of their types, then last seen."""
    room = IDENTIFIER_BYTES
    kept: dict[str, Member] = {}
    for nid in sorted(
        members,
        key=lambda nid: (rules.type_of(members[nid].contribution.type).priority, -last[nid], nid),
    ):
        it = members[nid].contribution
        room -= _IDENTIFIER_FRAME_BYTES + len(it.type) + len(it.first.source)
        room -= len((it.value or "").encode())
        if room < 0:
            break
        kept[nid] = members[nid]
    return kept


def _last_seen(members: Mapping[str, Member]) -> dict[str, int]:
    """When each identifier was last seen, by the events of the customer it belongs to."""
    found = {
        nid: max(member.contribution.last_at, member.contribution.first.occurred_at)
        for nid, member in members.items()
    }
    if len(found) > 1:
        for member in members.values():
            for nid, at in member.contribution.beside.items():
                if at > found.get(nid, at):
                    found[nid] = at
    return found


def _membership(standing: Standing) -> Membership:
    return Membership(
        role=standing.role.name if standing.role else None,
        since=standing.since,
        last_seen_at=standing.last_at,
        source=standing.said.source,
        event_id=standing.said.event_id,
    )


def _consent(mark: ConsentMark) -> Consent:
    return Consent(
        granted=not mark.refused,
        source=mark.source,
        event_id=mark.event_id,
        occurred_at=mark.occurred_at,
    )


def _touch(mark: TouchMark | None) -> Touch | None:
    if mark is None:
        return None
    return Touch(
        occurred_at=mark.occurred_at,
        event_id=mark.event_id,
        source=mark.source,
        values=dict(mark.values),
    )
